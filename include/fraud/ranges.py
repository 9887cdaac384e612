"""Which values there can be, and whether a condition over them can hold or fail at all."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

Cut = tuple[Any, bool]
"""A place between values: just before the value (False) or just after it (True)."""

_MOST_STEPS = 5_000


@dataclass(frozen=True, slots=True)
class Range:
    """The values that something may have.

    ``missing``: it may have none, and ``present``: it may have one. That is one of ``values``, if these are given; else
    one between the cuts ``low`` and ``high`` that is none of ``excluded``, and a text that has the ``pattern``.
    """

    missing: bool = True
    present: bool = True
    values: frozenset[Any] | None = None
    low: Cut | None = None
    high: Cut | None = None
    excluded: frozenset[Any] = frozenset()
    pattern: str | None = None

    def has(self, value: Any) -> bool:
        """Whether it may be this value."""
        if self.values is not None:
            return self.present and value in self.values
        return (
            self.present
            and (self.low is None or self.low <= (value, False))
            and (self.high is None or (value, True) <= self.high)
            and value not in self.excluded
            and (self.pattern is None or re.fullmatch(self.pattern, value) is not None)
        )

    @property
    def empty(self) -> bool:
        """Whether there is nothing that it may be."""
        return not self.missing and not self._any_value()

    def _any_value(self) -> bool:
        if not self.present or self.values == frozenset():
            return False
        if self.values is not None or self.low is None or self.high is None:
            return True
        return self.low < self.high and not (self.low[0] == self.high[0] and self.low[0] in self.excluded)

    def known(self) -> Range:
        """These values, without the possibility that there is none."""
        return replace(self, missing=False)

    def unknown(self) -> Range:
        """No value."""
        return replace(self, present=False)

    def among(self, values: Collection[Any]) -> Range:
        """Those of its values that are among these."""
        return replace(self, missing=False, values=frozenset(filter(self.has, values)))

    def without(self, values: Collection[Any]) -> Range:
        """Those of its values that are not among these."""
        if self.values is not None:
            return replace(self, missing=False, values=self.values.difference(values))
        return replace(self, missing=False, excluded=self.excluded.union(values))

    def below(self, cut: Cut) -> Range:
        """Those of its values that are below the cut."""
        if self.values is not None:
            return replace(self, values=frozenset(value for value in self.values if (value, True) <= cut))
        return replace(self, high=cut if self.high is None else min(cut, self.high))

    def above(self, cut: Cut) -> Range:
        """Those of its values that are above the cut."""
        if self.values is not None:
            return replace(self, values=frozenset(value for value in self.values if cut <= (value, False)))
        return replace(self, low=cut if self.low is None else max(cut, self.low))

    def __str__(self) -> str:
        """The values in words; empty where nothing is known of them."""
        if self.values is not None:
            if len(self.values) > 5 and not any(isinstance(value, str) for value in self.values):
                return f"is from {min(self.values)} to {max(self.values)}"
            if len(self.values) == 1:
                return f"is always {min(self.values)}"
            return "is one of " + ", ".join(sorted(map(str, self.values), key=lambda text: (len(text), text)))
        bounds = [f"{'above' if self.low[1] else 'at least'} {self.low[0]}"] if self.low else []
        bounds += [f"{'at most' if self.high[1] else 'below'} {self.high[0]}"] if self.high else []
        bounds += [f"of the form {self.pattern}"] if self.pattern else []
        return "is " + " and ".join(bounds) if bounds else ""


@dataclass(frozen=True, slots=True)
class Test(ABC):
    """A question about one thing, called ``key``, that is within ``range``.

    The subclasses say what the thing can be where the answer is yes (True), no (False) or not known (None).
    """

    key: str
    range: Range

    @abstractmethod
    def where(self, answer: bool | None, range: Range) -> Range:
        """Those of ``range`` for which the answer is this."""


@dataclass(frozen=True, slots=True)
class Among(Test):
    """Whether it is one of the values."""

    values: tuple[Any, ...]

    def where(self, answer: bool | None, range: Range) -> Range:
        """See `Test`."""
        if answer is None:
            return range.unknown()
        return range.among(self.values) if answer else range.without(self.values)


@dataclass(frozen=True, slots=True)
class Below(Test):
    """Whether it is below the cut."""

    cut: Cut

    def where(self, answer: bool | None, range: Range) -> Range:
        """See `Test`."""
        if answer is None:
            return range.unknown()
        return (range.below(self.cut) if answer else range.above(self.cut)).known()


@dataclass(frozen=True, slots=True)
class Missing(Test):
    """Whether it has no value; that is always known."""

    def where(self, answer: bool | None, range: Range) -> Range:
        """See `Test`."""
        if answer is None:
            return replace(range, missing=False, present=False)
        return range.unknown() if answer else range.known()


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite; what is not known stays so."""

    of: Logic


@dataclass(frozen=True, slots=True)
class Both:
    """Whether both hold, by SQL's logic of three values."""

    left: Logic
    right: Logic


Logic = Test | Not | Both


def either(left: Logic, right: Logic) -> Logic:
    """Whether at least one of them holds."""
    return Not(Both(Not(left), Not(right)))


def possible(logic: Logic, answers: Collection[bool | None]) -> bool:
    """Whether some values give one of these answers.

    Asks one alternative after the other, each with what the ones before it leave of every range. Where there are too
    many alternatives, it is taken for possible.
    """
    steps = count()
    try:
        return any(True for answer in answers for _ in _ways(logic, answer, {}, steps))
    except _TooManyError:
        return True


class _TooManyError(Exception):
    pass


# What left and right must answer, for both together to answer so; Ellipsis: whatever.
_TOGETHER: Mapping[bool | None, tuple[tuple[Any, Any], ...]] = {
    True: ((True, True),),
    False: ((False, ...), (..., False)),
    None: ((None, None), (None, True), (True, None)),
}


def _ways(logic: Logic, answer: Any, ranges: Mapping[str, Range], steps: count[int]) -> Iterator[Mapping[str, Range]]:
    """The ways to this answer: for each, what is left of every range."""
    if next(steps) > _MOST_STEPS:
        raise _TooManyError
    if answer is ...:
        yield ranges
    elif isinstance(logic, Not):
        yield from _ways(logic.of, None if answer is None else not answer, ranges, steps)
    elif isinstance(logic, Both):
        for left, right in _TOGETHER[answer]:
            for narrowed in _ways(logic.left, left, ranges, steps):
                yield from _ways(logic.right, right, narrowed, steps)
    else:
        left_over = logic.where(answer, ranges.get(logic.key, logic.range))
        if not left_over.empty:
            yield {**ranges, logic.key: left_over}
