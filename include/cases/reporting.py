"""Frauds that no rule saw: what a cardholder disputes becomes a case that is confirmed."""

from __future__ import annotations

from collections.abc import Iterable

import psycopg

from include.cases.work import CaseError, close, next_moment
from include.sql import load_sql


def report(conn: psycopg.Connection, txn_ids: Iterable[str], who: str, note: str | None = None) -> dict[str, int]:
    """Say that transactions without a case were fraud: those of one user are one case, confirmed.

    Returns:
        The user of each new case, and its number.

    Raises:
        CaseError: of some transaction there is no verdict, or it has a case; nothing was changed.
    """
    asked = list(dict.fromkeys(txn_ids))
    with conn.transaction():
        known_at = next_moment(conn)
        found = conn.execute(load_sql("cases/find_reported"), {"txn_ids": asked}).fetchall()
        for txn_id, user_id, _, _, case_id in found:
            if case_id is not None:
                raise CaseError(f"transaction {txn_id} has the case {case_id}: mark that")
            if user_id is None:
                raise CaseError(f"transaction {txn_id} has no verdict")
        opening: dict[str, str] = {}
        for txn_id, user_id, *_ in found:
            opening.setdefault(user_id, txn_id)
        alerts = {
            "txn_ids": asked,
            "user_ids": [user_id for _, user_id, *_ in found],
            "timestamps": [timestamp for _, _, timestamp, *_ in found],
            "amounts": [amount for _, _, _, amount, _ in found],
            "case_ids": [None] * len(found),
            "opening_txn_ids": [opening[user_id] for _, user_id, *_ in found],
        }
        conn.execute(load_sql("cases/store_alerts"), alerts | {"moment": known_at, "who": who})
        cases: dict[str, int] = {}
        for user_id, txn_id in opening.items():
            row = conn.execute("SELECT case_id FROM public.case_alerts WHERE txn_id = %s", (txn_id,)).fetchone()
            assert row is not None  # noqa: S101 - it was stored just now
            cases[user_id] = row[0]
            close(conn, row[0], "confirmed", who, note, known_at)
    return cases
