"""What analysts said of transactions, as the warehouse has it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

import psycopg
from psycopg.rows import class_row
from psycopg.sql import SQL, Identifier

from include.fraud.features import Member
from include.fraud.marked import Mark
from include.sql import load_sql

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST = datetime(1, 1, 1, tzinfo=UTC)


def micros_of(moment: datetime) -> int:
    """Microseconds since 1970."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def read_marks(conn: psycopg.Connection, member: Member, ids: Collection[str], since: int) -> list[Mark]:
    """The marks on transactions of users or merchants that became known from a moment on, as ``ReadMarks`` says."""
    statement = SQL(load_sql("fraud/marks")).format(key=Identifier(member.column))
    asked = {"ids": list(ids), "since": max(_EARLIEST, _EPOCH + timedelta(microseconds=since))}
    with conn.cursor(row_factory=class_row(Mark)) as cursor:
        return cursor.execute(statement, asked).fetchall()
