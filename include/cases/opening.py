"""Put each alert into a case: one that somebody has still to look at, or a new one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from include.sql import load_sql

COOL_DOWN = timedelta(hours=24)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class _Case:
    """A case that alerts may join, from its first transaction to its last; ``case_id`` is None while it is new.

    Between the two no gap is longer than the cool-down, so they tell whether any of its transactions is near. ``place``
    is its place among the user's cases, oldest first.
    """

    place: int
    case_id: int | None
    opening_txn_id: str | None
    first: datetime
    last: datetime

    def takes(self, timestamp: datetime, cool_down: timedelta) -> bool:
        # Differences: a sum may lie beyond the last year that a datetime has.
        return self.first - timestamp <= cool_down and timestamp - self.last <= cool_down


class _LiveCases:
    """The cases of a user that alerts may join, by stretches of time as long as the cool-down.

    Where a case has a transaction, it takes all alerts of that stretch. So few cases share one, however many there are.
    """

    def __init__(self, cool_down: timedelta) -> None:
        self._cool_down = cool_down
        self._count = 0
        self._near: defaultdict[int, list[_Case]] = defaultdict(list)

    def add(self, case_id: int | None, opening_txn_id: str | None, first: datetime, last: datetime) -> _Case:
        """Put a case behind all others."""
        case = _Case(self._count, case_id, opening_txn_id, first, last)
        self._count += 1
        for stretch in self._reach(case):
            self._near[stretch].append(case)
        return case

    def choose(self, txn_id: str, timestamp: datetime) -> _Case:
        """The case of an alert, the newest that takes it, or a new one; the case spans the alert from now on."""
        near = self._near.get(self._stretch(timestamp), ())
        taking = (case for case in near if case.takes(timestamp, self._cool_down))
        case = max(taking, key=lambda one: one.place, default=None)
        if case is None:
            return self.add(None, txn_id, timestamp, timestamp)
        before = self._reach(case)
        case.first, case.last = min(case.first, timestamp), max(case.last, timestamp)
        after = self._reach(case)
        for stretch in (*range(after.start, before.start), *range(before.stop, after.stop)):
            self._near[stretch].append(case)
        return case

    def _stretch(self, timestamp: datetime) -> int:
        return (timestamp - _EPOCH) // self._cool_down

    def _reach(self, case: _Case) -> range:
        """The stretches in which there may be alerts that it takes."""
        return range(self._stretch(case.first) - 1, self._stretch(case.last) + 2)


def open_cases(
    conn: psycopg.Connection, frauds: Sequence[Mapping[str, Any]], moment: datetime, cool_down: timedelta = COOL_DOWN
) -> None:
    """Put new rows of FraudTransaction, in the order of scoring, into cases, within the caller's transaction.

    An alert joins the newest case of its user that is open or taken and has a transaction no further than
    ``cool_down`` before or after it, by the transactions' own time; otherwise it opens one. So each alert is decided by
    those that were scored before it, however they are cut into batches. An alert that has its case keeps it.

    ``moment`` is that of scoring. The caller holds the row of ``ops.scoring``: two who score at once would open two
    cases for one.
    """
    if not frauds:
        return
    known_alerts = "SELECT txn_id FROM public.case_alerts WHERE txn_id = ANY(%s)"
    known = {txn_id for (txn_id,) in conn.execute(known_alerts, ([row["txn_id"] for row in frauds],))}
    new = [row for row in frauds if row["txn_id"] not in known]
    if not new:
        return
    alerts: dict[str, Any] = {
        "txn_ids": [row["txn_id"] for row in new],
        "user_ids": [row["user_id"] for row in new],
        "timestamps": [row["timestamp"] for row in new],
        "amounts": [row["amount"] for row in new],
    }
    live = {user_id: _LiveCases(cool_down) for user_id in alerts["user_ids"]}
    for case_id, user_id, first, last in conn.execute(load_sql("cases/find_live"), alerts | {"cool_down": cool_down}):
        live[user_id].add(case_id, None, first, last)
    chosen = [live[row["user_id"]].choose(row["txn_id"], row["timestamp"]) for row in new]
    of_cases = {
        "case_ids": [case.case_id for case in chosen],
        "opening_txn_ids": [case.opening_txn_id for case in chosen],
    }
    conn.execute(load_sql("cases/store_alerts"), alerts | of_cases | {"moment": moment, "who": "paylake"})
