"""The alarm that says: an asset is overdue. Raised once, and cleared when the asset is fresh again."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping

import psycopg

from include.alerts.notices import Notice, note
from include.checks.declared import Check, CheckKind
from include.checks.result import Result, store
from include.sql import load_sql


def follow(conn: psycopg.Connection, overdue: Mapping[str, str], fresh: Iterable[str]) -> list[Notice]:
    """Raise and clear alarms, with a notice of each, in one transaction; returns the notices.

    ``overdue`` has the assets that are, with a sentence each, ``fresh`` those that are not; of any other nobody knows,
    so its alarm stays as it is. Both become results of the asset's check of freshness. ``conn`` is in autocommit mode.

    Raises:
        psycopg.Error: the warehouse does not answer; nothing was changed.
    """
    with conn.transaction():
        became = [
            asset
            for asset, sentence in overdue.items()
            if conn.execute(load_sql("alerts/raise_freshness"), {"asset": asset, "message": sentence}).rowcount
        ]
        raised = [note(conn, f"{asset} is overdue", overdue[asset]) for asset in became]
        cleared = conn.execute(load_sql("alerts/clear_freshness"), {"assets": list(fresh)}).fetchall()
        found = [_result(one, passed=False) for one in became] + [_result(one, passed=True) for one, *_ in cleared]
        store(conn, f"freshness_{uuid.uuid4().hex}", None, found)
        return raised + [
            note(conn, f"{asset} is fresh again", f"since {at:%Y-%m-%d %H:%M} UTC it was not: {why}")
            for asset, at, why in cleared
        ]


def _result(asset: str, *, passed: bool) -> Result:
    return Result(Check(asset, CheckKind.FRESHNESS, name=CheckKind.FRESHNESS.value), passed)


def forget(conn: psycopg.Connection, days: int) -> None:
    """Delete what was cleared, and notices, more than ``days`` ago."""
    conn.execute(load_sql("alerts/forget_alarms"), {"days": days})
    conn.execute(load_sql("alerts/forget_notices"), {"days": days})
