"""The transactions of one entity in one kind of window, summed up by panes."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Sequence

from include.fraud.features import PANES

_NOWHERE = -(1 << 62)

REMEMBERED = 2 * PANES
"""A series remembers so many panes: of those in which anything happened the newest."""


def blank_members(kinds: int) -> tuple[dict[str, int], ...]:
    """Where nothing was seen: a count of values for each kind that is told apart."""
    return tuple([{} for _ in range(kinds)]) if kinds else ()


class Pane:
    """What happened in one pane: how many transactions, sums of amounts and their squares, the highest; members seen.

    Amounts are whole numbers of the smallest unit. ``members`` counts each value, for each kind that is told apart.
    """

    __slots__ = ("count", "highest", "members", "squares", "total")

    def __init__(
        self, members: tuple[dict[str, int], ...], count: int = 0, total: int = 0, squares: int = 0, highest: int = 0
    ) -> None:
        self.members = members
        self.count = count
        self.total = total
        self.squares = squares
        self.highest = highest

    def take_in(self, other: Pane) -> None:
        """Count what happened in another one."""
        self.count += other.count
        self.total += other.total
        self.squares += other.squares
        self.highest = max(self.highest, other.highest)
        for mine, others in zip(self.members, other.members, strict=True):
            for value, count in others.items():
                mine[value] = mine.get(value, 0) + count


class Series:
    """Counts transactions by panes, and knows the sums over the window that ends with a pane (`move_to`).

    What it says depends on the set of transactions alone, not on their order. After `move_to`, ``count``, ``total``
    and ``squares`` are the window's; ``members[kind]`` counts how many have each value.
    """

    __slots__ = ("_numbers", "_panes", "count", "head", "kinds", "members", "squares", "total")

    def __init__(self, kinds: int) -> None:
        self.kinds = kinds
        self.head = _NOWHERE
        self._numbers: list[int] = []
        self._panes: dict[int, Pane] = {}
        self._clear()

    def _clear(self) -> None:
        self.count = self.total = self.squares = 0
        self.members: tuple[Counter[str], ...] = tuple(Counter() for _ in range(self.kinds))

    @property
    def last_pane(self) -> int:
        """The number of the newest pane in which anything happened; without one a number before all others."""
        return self._numbers[-1] if self._numbers else _NOWHERE

    def move_to(self, number: int) -> None:
        """Let the window end with this pane."""
        if number == self.head:
            return
        numbers, first = self._numbers, number - PANES + 1
        old_first = self.head - PANES + 1
        if number < self.head or first > self.head:
            self._clear()
            entering = numbers[bisect_left(numbers, first) : bisect_left(numbers, number + 1)]
        else:
            entering = numbers[bisect_left(numbers, self.head + 1) : bisect_left(numbers, number + 1)]
            for leaving in numbers[bisect_left(numbers, old_first) : bisect_left(numbers, first)]:
                self._leave(self._panes[leaving])
        for entered in entering:
            self._enter(self._panes[entered])
        self.head = number

    def highest(self) -> int:
        """The highest amount in the window, 0 without a transaction."""
        numbers = self._numbers
        inside = numbers[bisect_left(numbers, self.head - PANES + 1) : bisect_left(numbers, self.head + 1)]
        return max((self._panes[number].highest for number in inside), default=0)

    def add(self, number: int, amount: int, values: Sequence[str]) -> None:
        """Count a transaction of this pane; ``values`` has one for each kind of members."""
        pane = self._panes.get(number) or self._begin(number)
        if pane is None:
            return
        pane.count += 1
        pane.total += amount
        pane.squares += amount * amount
        pane.highest = max(pane.highest, amount)
        inside = self.head - PANES < number <= self.head
        if inside:
            self.count += 1
            self.total += amount
            self.squares += amount * amount
        for seen, counted, value in zip(pane.members, self.members, values, strict=True):
            seen[value] = seen.get(value, 0) + 1
            if inside:
                counted[value] += 1

    def take_in(self, panes: dict[int, Pane]) -> None:
        """Count all that happened in these panes, at most `REMEMBERED`, which are the series' own from now on.

        The window must not have been moved yet.
        """
        if not self._panes:
            # As nearly always: one after the other would take several times as long.
            self._panes, self._numbers = panes, sorted(panes)
            return
        for number, summed in panes.items():
            if pane := self._panes.get(number) or self._begin(number):
                pane.take_in(summed)

    def _begin(self, number: int) -> Pane | None:
        """A pane in which nothing happened yet; None where it is too old to be remembered."""
        if len(self._numbers) == REMEMBERED and number < self._numbers[0]:
            return None
        pane = self._panes[number] = Pane(blank_members(self.kinds))
        insort(self._numbers, number)
        if len(self._numbers) > REMEMBERED:
            self._forget_oldest()
        return pane

    def _forget_oldest(self) -> None:
        oldest = self._numbers.pop(0)
        pane = self._panes.pop(oldest)
        if self.head - PANES < oldest <= self.head:
            self._leave(pane)

    def _enter(self, pane: Pane) -> None:
        self.count += pane.count
        self.total += pane.total
        self.squares += pane.squares
        for counted, seen in zip(self.members, pane.members, strict=True):
            counted.update(seen)

    def _leave(self, pane: Pane) -> None:
        self.count -= pane.count
        self.total -= pane.total
        self.squares -= pane.squares
        for counted, seen in zip(self.members, pane.members, strict=True):
            for value, count in seen.items():
                counted[value] -= count
                if not counted[value]:
                    del counted[value]
