"""The daily rollup of verdicts, ``public.daily_fraud``: made anew by whole days, from the verdict tables.

Silver of transactions follows the fraud stream: what it holds has its verdict, and that is committed. So a day that
is made after silver has told of it holds the verdicts of all that silver had then; what comes later makes silver tell
of the day again. ``ops.daily_fraud_day`` keeps for which version of silver a day was made: that, not an event, says
which days have to be made anew.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime

import psycopg

from include.domains import TRANSACTIONS
from include.lake.catalog import DayOfSilver, SilverState, silver_days
from include.settings import Settings
from include.sql import load_sql

log = logging.getLogger(__name__)

_LOCK = "SELECT pg_advisory_xact_lock(hashtext('paylake.daily_fraud'), %(day)s::date - DATE '1970-01-01')"
_DELETE = "DELETE FROM public.daily_fraud WHERE day = %(day)s"


@dataclass(frozen=True, slots=True)
class SilverDays:
    """The ``days`` of silver of transactions, and the ``state`` they belong to. Without a table there is neither."""

    state: SilverState | None
    days: Mapping[date, DayOfSilver]

    @classmethod
    def read(cls, settings: Settings) -> SilverDays:
        """As they are now."""
        found = silver_days(settings, TRANSACTIONS)
        return cls(None, {}) if found is None else cls(*found)


@dataclass(frozen=True, slots=True)
class RebuildReport:
    """What was made anew: the ``days``, their ``rows``, and the ``transactions`` in these."""

    days: tuple[date, ...]
    rows: int
    transactions: int
    seconds: float


def lagging_days(conn: psycopg.Connection, silver: SilverDays) -> list[date]:
    """The days that silver holds and that were made for an older version of it, or never; the newest first."""
    if silver.state is None:
        return []
    found = conn.execute(load_sql("daily_fraud/known_days"), {"table_uuid": silver.state.table_uuid})
    known: dict[date, int] = dict(found.fetchall())
    return sorted((day for day, held in silver.days.items() if known.get(day, 0) < held.version), reverse=True)


def last_rebuilt(conn: psycopg.Connection) -> datetime | None:
    """When a day was last made anew."""
    found = conn.execute("SELECT max(rebuilt_at) FROM ops.daily_fraud_day").fetchone()
    return found[0] if found else None


def rebuild(conn: psycopg.Connection, days: Iterable[date], silver: SilverDays) -> RebuildReport:
    """Make these days anew, each in a transaction of its own: readers see it as it was, or as it is.

    ``silver`` was read before. ``conn`` is in autocommit mode. Runs at once queue for a day; doing it twice changes
    nothing.
    """
    started = time.monotonic()
    done: list[date] = []
    rows = transactions = 0
    for day in days:
        of_day = {"day": day}
        with conn.transaction():
            conn.execute(_LOCK, of_day)
            conn.execute(_DELETE, of_day)
            made = conn.execute(load_sql("daily_fraud/insert_day"), of_day).fetchall()
            if silver.state is not None and day in silver.days:
                note = {"table_uuid": silver.state.table_uuid, "version": silver.days[day].version}
                conn.execute(load_sql("daily_fraud/note_day"), of_day | note)
        done.append(day)
        rows += len(made)
        transactions += sum(count for (count,) in made)
        log.info("%s: %d rows of %d transactions", day, len(made), sum(count for (count,) in made))
    return RebuildReport(tuple(done), rows, transactions, round(time.monotonic() - started, 3))


def differing_days(conn: psycopg.Connection) -> list[date]:
    """The days on which the rollup says anything else than the verdicts do now: none, once all is quiet."""
    return [day for (day,) in conn.execute(load_sql("daily_fraud/differing_days"))]
