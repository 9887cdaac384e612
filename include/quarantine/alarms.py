"""The alarm that says: more records were rejected than is usual, somebody has to look.

It stops nothing. What was rejected is in quarantine, what is good lands. But silver's runs are failed, and ``status``
names the alarm, until somebody accepts it (``./paylake quarantine accept``).

The share is looked at when at least `FEWEST_RECORDS` new records came together, from however many runs: a producer
that sends only rubbish is noticed at any rate. A record that quarantine holds already is not new, so neither a run that
is tried again nor a table that is built anew raises the same alarm twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import psycopg

from include.quality.limit import FEWEST_RECORDS, VARIABLE, RejectedLimit
from include.sql import load_sql


@dataclass(frozen=True, slots=True)
class Alarm:
    """An open alarm: of ``records`` that came from ``since`` on, ``rejected`` broke their contract.

    That is more than ``limit_share`` (0 to 1) of them. ``reasons`` counts the rejected records by field and code; one
    with several reasons counts for each of them.
    """

    domain: str
    raised_at: datetime
    since: datetime
    records: int
    rejected: int
    limit_share: float
    reasons: dict[str, int]

    def __str__(self) -> str:
        by_count = sorted(self.reasons.items(), key=lambda one: (-one[1], one[0]))
        listed = ", ".join(f"{reason}: {count:,}" for reason, count in by_count)
        return (
            f"{self.domain}: {self.rejected:,} of {self.records:,} records since {self.since:%Y-%m-%d %H:%M:%S} UTC "
            f"were rejected ({listed or 'none waits any more'}), more than the share of {self.limit_share:g} that "
            f"{VARIABLE} allows"
        )

    @property
    def advice(self) -> str:
        """What to do about it."""
        return (
            f"`./paylake quarantine list --domain {self.domain}` shows them, `./paylake quarantine accept --domain "
            f"{self.domain}` accepts them; in Docker it is `./paylake --docker quarantine …`."
        )

    def as_json(self) -> dict[str, Any]:
        """The alarm as plain values; times in ISO 8601, UTC."""
        return asdict(self) | {"raised_at": self.raised_at.isoformat(), "since": self.since.isoformat()}


def count(conn: psycopg.Connection, domain: str, records: int, rejected: int, limit: RejectedLimit) -> None:
    """Count new records, and raise the domain's alarm if they are too many; in the transaction that stores them.

    While an alarm is open, more of the kind are added to it. Only for one who holds the domain's lock.
    """
    values = {"domain": domain, "records": records, "rejected": rejected, "share": limit.share}
    counted = conn.execute(load_sql("alarms/count_window"), values).fetchone()
    assert counted is not None  # noqa: S101 - the statement returns the row that it wrote
    if counted[0] < FEWEST_RECORDS:
        return
    if limit.is_exceeded(*counted):
        conn.execute(load_sql("alarms/raise_alarm"), values)
    else:
        conn.execute("DELETE FROM ops.rejected_window WHERE domain = %(domain)s", values)


def open_alarms(conn: psycopg.Connection, domain: str | None = None) -> list[Alarm]:
    """The alarms that nobody has accepted, one for each domain at most."""
    return [Alarm(*row) for row in conn.execute(load_sql("alarms/open_alarms"), {"domain": domain})]


def accept(conn: psycopg.Connection, alarms: Iterable[Alarm]) -> list[Alarm]:
    """Close these alarms; returns those that are not what they were when they were read, and stay as they are."""
    statement = load_sql("alarms/accept_alarm")
    return [alarm for alarm in alarms if not conn.execute(statement, _version(alarm)).rowcount]


def _version(alarm: Alarm) -> dict[str, Any]:
    """What says that an alarm is still as it was read."""
    return {"domain": alarm.domain, "raised_at": alarm.raised_at, "rejected": alarm.rejected}
