"""Features over marks: how many transactions of an entity analysts had called fraud, or false alarms, lately.

A mark counts by the moment at which it became known, not by when its transaction was, see docs/features.md. Marks are
few beside transactions, so nothing is remembered of them: they are read when they are asked for.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple, TypeAlias

import pyarrow as pa

from include.fraud.computed import arrow_type
from include.fraud.features import PANES, Entity, Feature, Member
from include.fraud.memory import SECOND


class Mark(NamedTuple):
    """What was said of a transaction, from when on, and until when: None where nothing else was said since.

    Times are in microseconds since 1970. A transaction that was scored at the very moment does not know the mark yet.
    """

    user_id: str
    merchant_id: str
    kind: str
    known_at: int
    until: int | None


ReadMarks: TypeAlias = Callable[[Member, Collection[str], int], Iterable[Mark]]
"""Marks on the transactions of users or merchants (by id) that became known from a moment on."""


class Marked:
    """Tells features over marks. ``read`` is asked for the marks."""

    def __init__(self, features: Iterable[Feature], read: ReadMarks) -> None:
        self._features = [one for one in features if one.marked is not None]
        self._read = read

    def told(self, transactions: pa.Table, moments: Sequence[int]) -> dict[str, pa.Array]:
        """The features of each transaction by name; ``moments`` are those of their scoring, in microseconds."""
        if not self._features or not transactions.num_rows:
            return {one.name: pa.nulls(transactions.num_rows, arrow_type(one)) for one in self._features}
        times: list[int] = transactions["timestamp"].cast(pa.int64()).to_pylist()
        keys: dict[Member, list[str]] = {
            member: transactions[member.column].to_pylist() for member in (Member.USER, Member.MERCHANT)
        }
        found: dict[str, pa.Array] = {}
        for asked_of in (Member.USER, Member.MERCHANT):
            mine = [one for one in self._features if (one.entity is Entity.MERCHANT) == (asked_of is Member.MERCHANT)]
            if not mine:
                continue
            since = min(times) - max(one.window for one in mine) * SECOND
            marks = list(self._read(asked_of, set(keys[asked_of]), since))
            for feature in mine:
                known = _by_entity(marks, feature)
                ids = list(zip(*(keys[Member(part)] for part in feature.entity.split("_")), strict=True))
                pane = feature.window * SECOND // PANES
                ends = [(time // pane + 1) * pane for time in times]
                counts = [
                    known[key].count(end - PANES * pane, end, moment) if key in known else 0
                    for key, end, moment in zip(ids, ends, moments, strict=True)
                ]
                found[feature.name] = pa.array(counts, arrow_type(feature))
        return found


class _Known:
    """When transactions of one entity got a mark of one kind, and which of the marks were replaced, and when."""

    __slots__ = ("_at", "_replaced")

    def __init__(self, marks: Iterable[Mark]) -> None:
        periods = [(one.known_at, one.until) for one in marks]
        self._at = sorted(known_at for known_at, _ in periods)
        self._replaced = [(known_at, until) for known_at, until in periods if until is not None]

    def count(self, start: int, end: int, moment: int) -> int:
        """How many became known from ``start`` until before ``end``, and held at the moment."""
        end = min(end, moment)
        first, last = bisect_left(self._at, start), bisect_left(self._at, end)
        if first >= last:
            return 0
        gone = sum(1 for known_at, until in self._replaced if start <= known_at < end and until < moment)
        return last - first - gone


def _by_entity(marks: Iterable[Mark], feature: Feature) -> dict[tuple[str, ...], _Known]:
    found: defaultdict[tuple[str, ...], list[Mark]] = defaultdict(list)
    columns = [Member(part).column for part in feature.entity.split("_")]
    for one in marks:
        if one.kind == feature.marked:
            found[tuple(getattr(one, column) for column in columns)].append(one)
    return {key: _Known(of_key) for key, of_key in found.items()}
