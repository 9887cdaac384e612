"""One transaction, and what there is around it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import psycopg
from psycopg.rows import class_row
from psycopg.sql import SQL, Identifier

from include.sql import load_sql

BEFORE, AFTER = 300, 50
"""So many payments of the user are shown before and after one."""
_OTHERS = 20


@dataclass(frozen=True, slots=True)
class Verdict:
    """A transaction with its verdict, its user, its merchant and its case, as far as they are known."""

    txn_id: str
    timestamp: datetime
    scored_at: datetime
    user_id: str
    merchant_id: str
    amount: Decimal
    channel: str
    location: str
    is_fraud: bool
    score: int
    reasons: list[str]
    evidence: list[dict[str, Any]]
    rules_version: str
    lists_version: int | None
    bronze_topic_id: str
    bronze_partition: int
    bronze_offset: int
    user_name: str | None
    user_country_code: str | None
    user_status: str | None
    merchant_name: str | None
    merchant_category: str | None
    merchant_risk_level: str | None
    merchant_country_code: str | None
    case_id: int | None
    case_state: str | None


@dataclass(frozen=True, slots=True)
class Payment:
    """A transaction of the user's history."""

    txn_id: str
    timestamp: datetime
    merchant_id: str
    amount: Decimal
    channel: str
    location: str
    is_fraud: bool


@dataclass(frozen=True, slots=True)
class OtherAlert:
    """Another alert of the same user, or at the same merchant."""

    txn_id: str
    timestamp: datetime
    user_id: str
    merchant_id: str
    amount: Decimal
    channel: str
    location: str
    reasons: list[str]


@dataclass(frozen=True, slots=True)
class HitNotCounted:
    """A rule that fired without making the transaction fraud; ``mode`` is alert, shadow or snoozed."""

    rule: str
    mode: str
    rules_version: str
    evidence: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Around:
    """A transaction, `BEFORE` and `AFTER` of its user's by their own time, and other alerts, the newest first."""

    verdict: Verdict
    hits: list[HitNotCounted]
    history: list[Payment]
    alerts_of_user: list[OtherAlert]
    alerts_of_merchant: list[OtherAlert]


def around(conn: psycopg.Connection, txn_id: str) -> Around | None:
    """A transaction that has a verdict, and what there is around it; None if it has none."""
    with conn.cursor(row_factory=class_row(Verdict)) as cursor:
        verdict = cursor.execute(load_sql("desk/transaction"), {"txn_id": txn_id}).fetchone()
    if verdict is None:
        return None
    with conn.cursor(row_factory=class_row(HitNotCounted)) as cursor:
        hits = cursor.execute(load_sql("desk/hits"), {"txn_id": txn_id}).fetchall()
    asked = {"user_id": verdict.user_id, "moment": verdict.timestamp, "before": BEFORE + 1, "after": AFTER}
    with conn.cursor(row_factory=class_row(Payment)) as cursor:
        history = cursor.execute(load_sql("desk/history"), asked).fetchall()
    return Around(
        verdict,
        hits,
        history,
        _others(conn, "user_id", verdict.user_id, txn_id),
        _others(conn, "merchant_id", verdict.merchant_id, txn_id),
    )


def _others(conn: psycopg.Connection, key: str, value: str, txn_id: str) -> list[OtherAlert]:
    statement = SQL(load_sql("desk/other_alerts")).format(key=Identifier(key))
    with conn.cursor(row_factory=class_row(OtherAlert)) as cursor:
        return cursor.execute(statement, {"id": value, "txn_id": txn_id, "limit": _OTHERS}).fetchall()
