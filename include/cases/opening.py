"""Put each alert into a case: one that somebody has still to look at, or a new one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg

from include.sql import load_sql

COOL_DOWN = timedelta(hours=24)


@dataclass(slots=True)
class _Case:
    """A case that alerts may join, from its first transaction to its last; ``case_id`` is None while it is new.

    Between the two no gap is longer than the cool-down, so they tell whether any of its transactions is near.
    """

    case_id: int | None
    opening_txn_id: str | None
    first: datetime
    last: datetime

    def takes(self, timestamp: datetime, cool_down: timedelta) -> bool:
        # Differences: a sum may lie beyond the last year that a datetime has.
        return self.first - timestamp <= cool_down and timestamp - self.last <= cool_down


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
    live: dict[str, list[_Case]] = {user_id: [] for user_id in alerts["user_ids"]}
    for case_id, user_id, first, last in conn.execute(load_sql("cases/find_live"), alerts | {"cool_down": cool_down}):
        live[user_id].append(_Case(case_id, None, first, last))
    chosen = [_choose(live[row["user_id"]], row["txn_id"], row["timestamp"], cool_down) for row in new]
    of_cases = {
        "case_ids": [case.case_id for case in chosen],
        "opening_txn_ids": [case.opening_txn_id for case in chosen],
    }
    conn.execute(load_sql("cases/store_alerts"), alerts | of_cases | {"moment": moment, "who": "paylake"})


def _choose(live: list[_Case], txn_id: str, timestamp: datetime, cool_down: timedelta) -> _Case:
    """The case of an alert, which spans it from now on; a new one is added to the user's ``live``, oldest first."""
    for case in reversed(live):
        if case.takes(timestamp, cool_down):
            case.first, case.last = min(case.first, timestamp), max(case.last, timestamp)
            return case
    case = _Case(None, txn_id, timestamp, timestamp)
    live.append(case)
    return case
