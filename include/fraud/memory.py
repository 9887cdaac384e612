"""What is remembered of an entity, and transactions as it is told of them. Times are in microseconds since 1970."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.fraud.expressions import Condition
from include.fraud.features import OF_NEWEST, PANES, Feature, Member
from include.fraud.series import Series
from include.fraud.terms import Batch
from include.fraud.units import units_of

SECOND = 1_000_000
"""In microseconds."""

_FEW = 64
"""Of so many merchants of a user nobody looks whether they are still within reach."""

Newest: TypeAlias = tuple[int, str, str]
"""Time, id and location of a transaction: the greatest is the newest."""


@dataclass(frozen=True, slots=True)
class Window:
    """What features of one entity share that have a window and a filter in common; ``length`` in seconds."""

    length: int
    filter: str | None

    @property
    def pane(self) -> int:
        """The length of a pane."""
        return self.length * SECOND // PANES

    def serves(self, feature: Feature) -> bool:
        """Whether it is the window of this feature."""
        return feature.function not in OF_NEWEST and (feature.window, feature.filter) == (self.length, self.filter)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is remembered of each entity of a kind: a series for each window, the newest for each filter."""

    windows: Mapping[Window, tuple[Member, ...]]
    filters: tuple[str | None, ...]
    span: int

    @classmethod
    def of(cls, features: Iterable[Feature]) -> Plan:
        """What these features, all of one kind of entity, need."""
        windows: dict[Window, dict[Member, None]] = {}
        filters: dict[str | None, None] = {}
        span = 0
        for feature in features:
            span = max(span, feature.window * SECOND)
            if feature.function in OF_NEWEST:
                filters[feature.filter] = None
            else:
                kinds = windows.setdefault(Window(feature.window, feature.filter), {})
                if feature.of is not None:
                    kinds[feature.of] = None
        return cls({window: tuple(kinds) for window, kinds in windows.items()}, tuple(filters), span)

    def blank(self, since: int) -> Memory:
        """The memory of an entity of which nothing was scored."""
        series = [Series(len(kinds)) for kinds in self.windows.values()]
        return Memory(since, series, [None] * len(self.filters), [None] * len(self.filters))

    def holds(self, memory: Memory, since: int) -> bool:
        """Whether there is anything in it from this time on."""
        if any(newest is not None and newest[0] >= since for newest in memory.newest):
            return True
        summed = zip(memory.series, self.windows, strict=True)
        return any((series.last_pane + 1) * window.pane > since for series, window in summed)


@dataclass(slots=True)
class Memory:
    """What is remembered of one entity: all there is from ``since`` on. A user has one for each merchant, too."""

    since: int
    series: list[Series]
    newest: list[Newest | None]
    elsewhere: list[Newest | None]
    """The newest at another place than that of the newest."""
    at_merchants: dict[str, Memory] = field(default_factory=dict)
    many: int = _FEW
    """With more merchants than this it is worth looking which are out of reach."""

    def leave_merchants(self, since: int, plan: Plan) -> None:
        """Drop the merchants of whom there is nothing from this time on, and remember that all there is begins there.

        Who asks for an earlier time has it recalled, as if it had never been in memory. It waits until they are
        twice as many as were within reach the last time, so that nobody looks at all of them for each new one.
        """
        if len(self.at_merchants) > self.many:
            self.since = max(self.since, since)
            self.at_merchants = {name: one for name, one in self.at_merchants.items() if plan.holds(one, since)}
            self.many = max(_FEW, 2 * len(self.at_merchants))

    def see(self, number: int, one: Newest) -> None:
        """Take a transaction for the newest, or for the newest at another place, if it is."""
        newest, elsewhere = self.newest[number], self.elsewhere[number]
        if newest is None or newest < one:
            self.newest[number] = one
            if newest is not None and newest[2] != one[2]:
                self.elsewhere[number] = newest
        elif newest[2] != one[2] and (elsewhere is None or elsewhere < one):
            self.elsewhere[number] = one


def _columns(table: pa.Table) -> dict[str, pa.ChunkedArray]:
    """The columns that filters ask for; a table that was recalled lacks those that follow from the timestamp."""
    own = {name: table[name] for name in table.column_names}
    moments = own["timestamp"]
    return {"date": moments.cast(pa.date32()), "month": pc.month(moments), "year": pc.year(moments)} | own


def passing_masks(table: pa.Table, filters: Mapping[str, Condition]) -> dict[str | None, pa.BooleanArray | None]:
    """Which transactions pass each filter; None for the one that lets all pass, which has no text."""
    batch = Batch(_columns(table))
    return {None: None} | {text: condition.holds(batch).fill_null(False) for text, condition in filters.items()}


class Passing:
    """Transactions as lists, which are made when they are asked for."""

    def __init__(self, table: pa.Table, filters: Mapping[str, Condition]) -> None:
        self.times: list[int] = table["timestamp"].cast(pa.int64()).to_pylist()
        self.amounts = units_of(table["amount"])
        self.txn_ids: list[str] = table["txn_id"].to_pylist()
        self.members: dict[Member, list[str]] = {member: table[member.column].to_pylist() for member in Member}
        self.passing: dict[str | None, list[bool]] = {
            text: [True] * table.num_rows if mask is None else mask.to_pylist()
            for text, mask in passing_masks(table, filters).items()
        }

    def panes(self, window: Window) -> list[int]:
        """The number of the pane in which each is."""
        numbers: list[int] = (np.array(self.times, np.int64) // window.pane).tolist()
        return numbers

    def values(self, kinds: Sequence[Member]) -> list[tuple[str, ...]]:
        """Its member of each kind, for each transaction."""
        return list(zip(*(self.members[kind] for kind in kinds), strict=True)) if kinds else [()] * len(self.times)

    def sightings(self) -> list[Newest]:
        """When, by which id and where each was."""
        return list(zip(self.times, self.txn_ids, self.members[Member.LOCATION], strict=True))
