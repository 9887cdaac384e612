"""What was scored, in its order: the stored verdicts, each beside the record in bronze that it was given for."""

from __future__ import annotations

import os
import signal
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from multiprocessing import get_context
from typing import Any, NamedTuple

import psycopg
import pyarrow as pa
import pyarrow.compute as pc

from include.domains import TRANSACTIONS
from include.fraud.history import RECALLED
from include.fraud.order import in_order
from include.lake.bronze_log import BronzeLog
from include.lake.coordinates import Coordinates
from include.lake.s3 import s3_client
from include.quality.columns import OUTCOME, RECORD_SCHEMA, VALID, classify_batch, outcome_schema
from include.settings import Settings
from include.sql import load_sql

CHUNK = 20_000
"""About so many verdicts are in hand at once, and as many are being read."""
_NEAR = 1_000
"""Offsets no further apart are read together."""


class Stored(NamedTuple):
    """A verdict as the warehouse has it; ``reasons`` is None of a genuine transaction."""

    txn_id: str
    topic_id: str
    partition: int
    offset: int
    scored_at: datetime
    rules_version: str
    lists_version: int
    score: int
    reasons: list[str] | None


class Chunk(NamedTuple):
    """Verdicts in the order of scoring, and their transactions (the contract's columns), row by row.

    ``unread`` are verdicts whose record today's contract refuses, or reads under another id. ``remembered`` has the
    columns `RECALLED` of all of them in the order of scoring, of the unread ones as the warehouse has them, and
    ``is_read`` says which of its rows are those of ``transactions``.
    """

    stored: list[Stored]
    transactions: pa.Table
    unread: list[Stored]
    remembered: pa.Table
    is_read: pa.BooleanArray

    @property
    def began(self) -> datetime:
        """When the first of the verdicts was given."""
        return min(one.scored_at for one in (*self.stored[:1], *self.unread[:1]))


@contextmanager
def bronze_reader(settings: Settings) -> Iterator[Executor]:
    """A process of its own that reads bronze, for `chunks`; it starts at once, and is ready a second later."""
    with ProcessPoolExecutor(1, get_context("spawn"), _open_bronze, (settings,)) as reader:
        reader.submit(os.getpid)
        yield reader


def chunks(conn: psycopg.Connection, reader: Executor, since: datetime, until: datetime) -> Iterator[Chunk]:
    """The verdicts that were given from ``since`` until before ``until``, in chunks that end where a moment ends.

    Bronze is read one chunk ahead. Holds a transaction of ``conn`` open.
    """
    ahead: tuple[list[Stored], Future[pa.Table]] | None = None
    for stored in _stored(conn, since, until):
        following = stored, reader.submit(_transactions, _ranges(stored))
        if ahead is not None:
            yield _chunk(conn, ahead[0], ahead[1].result())
        ahead = following
    if ahead is not None:
        yield _chunk(conn, ahead[0], ahead[1].result())


def _stored(conn: psycopg.Connection, since: datetime, until: datetime) -> Iterator[list[Stored]]:
    held: list[Stored] = []
    with conn.transaction(), conn.cursor("scored") as cursor:
        # The transaction stays open, and idle, for as long as a chunk is judged.
        conn.execute("SET LOCAL work_mem = '128MB'; SET LOCAL idle_in_transaction_session_timeout = 0")
        cursor.execute(load_sql("backtest/scored"), {"since": since, "until": until})
        while rows := cursor.fetchmany(CHUNK):
            held += [Stored(*row) for row in rows]
            end = len(held)
            while end and held[end - 1].scored_at == held[-1].scored_at:
                end -= 1
            if end:
                yield held[:end]
                held = held[end:]
    if held:
        yield held


def _chunk(conn: psycopg.Connection, stored: Sequence[Stored], records: pa.Table) -> Chunk:
    coordinates = zip(*(records[name].to_pylist() for name in Coordinates._fields), strict=True)
    places = {where: place for place, where in enumerate(coordinates)}
    came, outcomes, txn_ids = (records[name].to_pylist() for name in ("taken_ms", OUTCOME, "txn_id"))
    found = [places.get((one.topic_id, one.partition, one.offset)) for one in stored]
    columns = {
        "topic_id": [one.topic_id for one in stored],
        "partition": [one.partition for one in stored],
        "offset": [one.offset for one in stored],
        # Of a record that bronze has no more: its running maximum is that of the one before it.
        "taken_ms": [0 if place is None else came[place] for place in found],
        "moment": pa.array([one.scored_at for one in stored], pa.timestamp("us", "UTC")),
        "number": range(len(stored)),
    }
    order = in_order(pa.table(columns), "moment")["number"].to_pylist()
    read: list[tuple[Stored, int]] = []
    unread: list[Stored] = []
    is_read: list[bool] = []
    for number in order:
        one, place = stored[number], found[number]
        is_read.append(place is not None and outcomes[place] == VALID and txn_ids[place] == one.txn_id)
        if is_read[-1] and place is not None:
            read.append((one, place))
        else:
            unread.append(one)
    transactions = records.take(pa.array([place for _, place in read], pa.int64()))
    return Chunk(
        [one for one, _ in read],
        transactions,
        unread,
        _remembered(conn, transactions, unread, is_read),
        pa.array(is_read, pa.bool_()),
    )


def _remembered(
    conn: psycopg.Connection, transactions: pa.Table, unread: Sequence[Stored], is_read: Sequence[bool]
) -> pa.Table:
    known = transactions.select(RECALLED.names)
    if not unread:
        return known
    ids = [one.txn_id for one in unread]
    rows = {row[0]: row for row in conn.execute(load_sql("backtest/as_scored"), {"txn_ids": ids})}
    columns = zip(*(rows[txn_id] for txn_id in ids), strict=True)
    as_scored = pa.table(list(map(list, columns)), schema=RECALLED)
    first, second = iter(range(known.num_rows)), iter(range(known.num_rows, len(is_read)))
    return pa.concat_tables([known, as_scored]).take(pa.array([next(first if one else second) for one in is_read]))


def _ranges(stored: Iterable[Stored]) -> list[tuple[str, int, list[int]]]:
    """Topic id, partition and offsets to read; offsets that lie near each other together."""
    offsets: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
    for one in stored:
        offsets[one.topic_id, one.partition].append(one.offset)
    ranges: list[tuple[str, int, list[int]]] = []
    for (topic_id, partition), wanted in offsets.items():
        for offset in sorted(wanted):
            if not ranges or ranges[-1][:2] != (topic_id, partition) or offset - ranges[-1][2][-1] > _NEAR:
                ranges.append((topic_id, partition, []))
            ranges[-1][2].append(offset)
    return ranges


_bronze: BronzeLog | None = None


def _open_bronze(settings: Settings) -> None:
    global _bronze
    # Ctrl-C is for who asked, and ends this process, too.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _bronze = BronzeLog(s3_client(settings), TRANSACTIONS)


def _transactions(ranges: Sequence[tuple[str, int, list[int]]]) -> pa.Table:
    """What the records at these offsets are by today's contract, without their bytes."""
    assert _bronze is not None  # noqa: S101
    tables = []
    for topic_id, partition, offsets in ranges:
        for content in _bronze.contents(topic_id, partition, offsets[0], offsets[-1] + 1):
            columns: dict[str, Any] = {
                "topic_id": [topic_id] * len(content.offsets),
                "partition": [partition] * len(content.offsets),
                "offset": content.offsets,
                "timestamp_ms": content.timestamps_ms,
                "taken_ms": content.taken_ms,
                "value": content.values,
            }
            batch = pa.RecordBatch.from_pydict(columns, RECORD_SCHEMA)
            wanted = batch.filter(pc.is_in(batch["offset"], pa.array(offsets, pa.int64())))
            tables += [pa.Table.from_batches([one]) for one in classify_batch(TRANSACTIONS, wanted)]
    return pa.concat_tables([outcome_schema(TRANSACTIONS).empty_table(), *tables]).drop_columns(["value", "reasons"])
