"""What the verdict tables have of users and merchants, for who has to remember it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from tempfile import TemporaryFile
from typing import IO

import psycopg
import pyarrow as pa
from psycopg.sql import SQL, Identifier, Literal
from pyarrow import csv

from include.fraud.features import Member
from include.fraud.history import RECALLED
from include.sql import load_sql

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST = datetime(1, 1, 1, tzinfo=UTC)
_BLOCK = 16 * 1024 * 1024
"""So many bytes of them are in memory at once."""
_AT_ONCE = 50
_WRITTEN = pa.schema([field.with_type(pa.int64()) if field.name == "timestamp" else field for field in RECALLED])


def recall(conn: psycopg.Connection, before: datetime, member: Member, sinces: Mapping[str, int]) -> Iterator[pa.Table]:
    """Transactions that were scored before a moment, of users or merchants, as ``include.fraud.history.Recall``.

    Some of them are asked for at a time, each through a file, for they may have many millions; and while one's history
    is remembered, the session must not be idle for so long that the server ends it.
    """
    asked = iter(sinces.items())
    while some := dict(islice(asked, _AT_ONCE)):
        moments = [max(_EARLIEST, _EPOCH + timedelta(microseconds=since)) for since in some.values()]
        statement = SQL(load_sql("fraud/recall")).format(
            key=Identifier(member.column), ids=Literal(list(some)), sinces=Literal(moments), before=Literal(before)
        )
        with TemporaryFile() as file:
            with conn.cursor() as cursor, cursor.copy(statement) as copy:
                for block in copy:
                    file.write(block)
            if file.tell():
                file.seek(0)
                yield from _read(file)


def _read(file: IO[bytes]) -> Iterator[pa.Table]:
    batches = csv.open_csv(
        file,
        csv.ReadOptions(column_names=RECALLED.names, block_size=_BLOCK),
        csv.ParseOptions(newlines_in_values=True),
        csv.ConvertOptions(column_types=_WRITTEN),
    )
    for batch in batches:
        if batch.num_rows:
            yield pa.Table.from_batches([batch]).cast(RECALLED)
