"""The parts of a condition, computed over Arrow columns: each once for a batch, however many conditions share it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from include.fraud.ranges import Logic, Range
from include.fraud.vocabulary import MOST_DIGITS, Digits, Kind

Column: TypeAlias = pa.Array | pa.ChunkedArray
Membership: TypeAlias = Callable[[str, pa.Array], pa.BooleanArray]
"""Which of these values are in the list of this name; null where the value is."""

QUOTIENT_DECIMALS = 6
"""The decimals of a quotient; those that follow are cut off."""

_DERIVED: Mapping[str, Callable[[pa.Array], pa.Array]] = {
    "hour": pc.hour,
    "weekday": lambda timestamps: pc.day_of_week(timestamps, count_from_zero=False, week_start=1),
}


class Batch:
    """The columns of some transactions, of one length, and what was computed over them so far.

    ``columns`` has those that the conditions name, but not ``hour`` and ``weekday``, which are of ``timestamp``.
    ``has`` says what the lists hold; conditions without lists need none.
    """

    def __init__(self, columns: Mapping[str, Column], has: Membership | None = None) -> None:
        self._columns = columns
        self._has = has
        self._computed: dict[str, Any] = {}
        self._listed: dict[tuple[str, str], pa.BooleanArray] = {}

    def column(self, name: str) -> pa.Array:
        """The column of this name, in one piece.

        Raises:
            KeyError: there is none.
        """
        derive = None if name in self._columns else _DERIVED.get(name)
        found = self._columns[name] if derive is None else derive(self.column("timestamp"))
        return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found

    def listed(self, name: str, column: str) -> pa.BooleanArray:
        """Which of the column's values are in the list of this name."""
        if self._has is None:
            raise ValueError(f"nobody said what the list {name} holds")
        found = self._listed.get((name, column))
        if found is None:
            found = self._listed[name, column] = self._has(name, self.column(column))
        return found

    def value(self, term: Term) -> Any:
        """The term's values: an array, or a scalar if it is constant."""
        found = self._computed.get(term.key)
        if found is None:
            found = self._computed[term.key] = term.compute(self)
        return found


@dataclass(frozen=True, slots=True)
class Term:
    """A part of a condition.

    ``key`` is the part in one spelling: equal keys, equal values. ``constant`` is its value if it has only one.
    ``logic`` is what is known of a boolean's answers.
    """

    key: str
    kind: Kind
    compute: Callable[[Batch], Any]
    range: Range = field(default_factory=Range)
    digits: Digits | None = None
    names: frozenset[str] = frozenset()
    lists: frozenset[str] = frozenset()
    constant: pa.Scalar | None = None
    logic: Logic | None = None


def constant(key: str, kind: Kind, scalar: pa.Scalar, digits: Digits | None = None) -> Term:
    """A term that has one value."""
    return Term(key, kind, lambda _: scalar, Range(missing=False), digits, constant=scalar)


def applied(
    kernel: Callable[..., Any],
    parts: tuple[Term, ...],
    key: str,
    kind: Kind,
    range: Range | None = None,
    digits: Digits | None = None,
) -> Term:
    """What the kernel makes of the values of the parts; of constants it is made at once.

    ``range`` says nothing of missing values: there is none only where no part lacks one.
    """
    if all(part.constant is not None for part in parts):
        return constant(key, kind, kernel(*(part.constant for part in parts)), digits)
    return Term(
        key,
        kind,
        lambda batch: kernel(*(batch.value(part) for part in parts)),
        replace(range or Range(), missing=any(part.range.missing for part in parts)),
        digits,
        frozenset().union(*(part.names for part in parts)),
        frozenset().union(*(part.lists for part in parts)),
    )


def cast(term: Term, to: pa.DataType) -> Term:
    """The same number in another Arrow type, which is wide enough for it."""
    if term.digits is not None and term.digits.arrow == to:
        return term
    return applied(lambda value: pc.cast(value, to), (term,), f"{term.key}::{to}", term.kind, term.range, term.digits)


class TermError(ValueError):
    """A term cannot be made of others; the message says why."""


def together(terms: tuple[Term, ...]) -> tuple[Term, ...]:
    """Terms of one kind, in one Arrow type.

    Raises:
        TermError: there is no such type.
    """
    found = [term.digits for term in terms if term.digits is not None]
    if not found:
        return terms
    digits = held(Digits(max(each.whole for each in found), max(each.decimals for each in found)))
    return tuple(replace(cast(term, digits.arrow), digits=digits) for term in terms)


def arithmetic(operator: str, left: Term, right: Term) -> Term:
    """The result of ``+ - * /`` for two numbers; its digits are the most that it may have.

    A quotient has `QUOTIENT_DECIMALS`, and is not known where the divisor is zero.

    Raises:
        TermError: it may have more than there are.
    """
    one, other = left.digits, right.digits
    assert one is not None and other is not None, "both are numbers"  # noqa: S101, PT018
    key = f"({left.key} {operator} {right.key})"
    if operator == "/":
        return _quotient(key, left, one, right, other)
    if operator == "*":
        decimals = one.decimals + other.decimals
        digits = Digits(one.precision + other.precision + 1 - decimals, decimals)
    else:
        digits = Digits(max(one.whole, other.whole) + 1, max(one.decimals, other.decimals))
    to = held(digits).arrow
    kernel = {"+": pc.add, "-": pc.subtract, "*": pc.multiply}[operator]
    operands = cast(left, _wide(one)), cast(right, _wide(other))
    return applied(lambda a, b: pc.cast(kernel(a, b), to), operands, key, Kind.NUMBER, digits=digits)


def _quotient(key: str, left: Term, one: Digits, right: Term, other: Digits) -> Term:
    # Arrow gives a quotient this many decimals; the dividend gets more where that would be too few.
    more = max(QUOTIENT_DECIMALS - (one.decimals + other.precision - other.decimals + 1), 0)
    dividend = Digits(one.whole, one.decimals + more)
    decimals = dividend.decimals + other.precision - other.decimals + 1
    whole = dividend.precision - dividend.decimals + other.decimals
    held(Digits(whole, decimals))
    digits = Digits(whole, QUOTIENT_DECIMALS)
    zero, nothing = (pa.scalar(value, _wide(other)) for value in (Decimal(0), None))

    def divide(a: Any, b: Any) -> Any:
        exact = pc.divide(a, pc.if_else(pc.equal(b, zero), nothing, b))
        return pc.cast(exact, digits.arrow, safe=False)

    found = applied(divide, (cast(left, _wide(dividend)), cast(right, _wide(other))), key, Kind.NUMBER, digits=digits)
    return found if found.constant is not None else replace(found, range=Range())


def held(digits: Digits) -> Digits:
    """The digits, if a type of Arrow's holds them.

    Raises:
        TermError: there are more than `MOST_DIGITS`.
    """
    if digits.precision > MOST_DIGITS:
        raise TermError(f"the numbers may need {digits.precision} digits, {MOST_DIGITS} are the most")
    return digits


def _wide(digits: Digits) -> pa.DataType:
    return pa.decimal256(held(digits).precision, digits.decimals)
