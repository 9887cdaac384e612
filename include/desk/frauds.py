"""Frauds as a feed, and added up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

import psycopg
from psycopg.rows import class_row
from psycopg.sql import SQL, Composed

from include.desk.filters import Filter
from include.sql import load_sql

BARS = 60
"""A period is cut into so many steps at most."""
_STEPS = (1, 5, 10, 30, 60, 300, 600, 1800, 3600, 10_800, 21_600, 43_200, 86_400, 604_800)
"""In seconds: a step of a chart's time axis is one of these."""


@dataclass(frozen=True, slots=True)
class Fraud:
    """A row of FraudTransaction with its user, its merchant and its case, as far as they are known."""

    txn_id: str
    scored_at: datetime
    timestamp: datetime
    user_id: str
    user_name: str | None
    amount: Decimal
    merchant_id: str
    merchant_name: str | None
    country_code: str | None
    channel: str
    location: str
    score: int
    reasons: list[str]
    evidence: list[dict[str, Any]]
    case_id: int | None
    case_state: str | None


@dataclass(frozen=True, slots=True)
class Share:
    """Frauds of one rule, merchant, country or channel, or of one step of time; ``name`` is a merchant's."""

    value: str
    name: str | None
    frauds: int
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Summary:
    """Frauds of a period; those of several rules are in each of them. Steps without any are left out."""

    step_seconds: int
    times: list[Share]
    rules: list[Share]
    merchants: list[Share]
    countries: list[Share]
    channels: list[Share]


@cache
def _chosen(name: str) -> Composed:
    return SQL(load_sql(f"desk/{name}")).format(chosen=SQL(load_sql("desk/chosen")))


def feed(
    conn: psycopg.Connection, chosen: Filter, limit: int, before: tuple[datetime, str] | None = None
) -> list[Fraud]:
    """Frauds, the newest verdict first, at most ``limit``; those before the fraud with this ``scored_at`` and id."""
    before_at, before_id = before or (None, None)
    asked = chosen.parameters() | {"limit": limit, "before_at": before_at, "before_id": before_id}
    with conn.cursor(row_factory=class_row(Fraud)) as cursor:
        return cursor.execute(_chosen("feed"), asked).fetchall()


def step_of(since: datetime, until: datetime) -> timedelta:
    """The shortest of the usual steps that cut a period into no more than `BARS`."""
    wanted = (until - since).total_seconds() / BARS
    return timedelta(seconds=next((step for step in _STEPS if step >= wanted), _STEPS[-1]))


def summary(conn: psycopg.Connection, chosen: Filter) -> Summary:
    """The frauds added up by steps of time from ``since`` on, rule, merchant (the 20 with most), country, channel."""
    step = step_of(chosen.since, chosen.until)
    found: dict[str, list[Share]] = {by: [] for by in ("time", "rule", "merchant", "country", "channel")}
    for by, *share in conn.execute(_chosen("summary"), chosen.parameters() | {"step": step}):
        found[by].append(Share(*share))
    for by, shares in found.items():
        shares.sort(key=(lambda one: one.value) if by == "time" else (lambda one: (-one.frauds, one.value)))
    return Summary(
        int(step.total_seconds()),
        found["time"],
        found["rule"],
        found["merchant"],
        found["country"],
        found["channel"],
    )
