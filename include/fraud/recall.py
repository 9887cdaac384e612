"""What the verdict tables have of users and merchants, for who has to remember it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from tempfile import TemporaryFile

import psycopg
import pyarrow as pa
from psycopg.sql import SQL, Identifier, Literal
from pyarrow import csv

from include.fraud.features import Member
from include.fraud.history import RECALLED
from include.sql import load_sql

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST = datetime(1, 1, 1, tzinfo=UTC)
_BLOCK = 4 * 1024 * 1024
"""So many bytes of them are in memory at once."""
_WRITTEN = pa.schema([field.with_type(pa.int64()) if field.name == "timestamp" else field for field in RECALLED])


def recall(conn: psycopg.Connection, before: datetime, member: Member, sinces: Mapping[str, int]) -> Iterator[pa.Table]:
    """Transactions that were scored before a moment, of users or merchants, as ``include.fraud.history.Recall``.

    Through a file, for they may be many millions.
    """
    moments = [max(_EARLIEST, _EPOCH + timedelta(microseconds=since)) for since in sinces.values()]
    statement = SQL(load_sql("fraud/recall")).format(
        key=Identifier(member.column), ids=Literal(list(sinces)), sinces=Literal(moments), before=Literal(before)
    )
    with TemporaryFile() as file:
        with conn.cursor() as cursor, cursor.copy(statement) as copy:
            for block in copy:
                file.write(block)
        if not file.tell():
            return
        file.seek(0)
        read = csv.open_csv(
            file,
            csv.ReadOptions(column_names=RECALLED.names, block_size=_BLOCK),
            csv.ParseOptions(newlines_in_values=True),
            csv.ConvertOptions(column_types=_WRITTEN),
        )
        for batch in read:
            if batch.num_rows:
                yield pa.Table.from_batches([batch]).cast(RECALLED)
