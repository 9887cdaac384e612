"""What was scored, in its order: the stored verdicts, each beside the record in bronze that it was given for."""

from __future__ import annotations

import signal
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from datetime import datetime
from multiprocessing import get_context
from typing import Any, NamedTuple

import psycopg
import pyarrow as pa
import pyarrow.compute as pc

from include.domains import TRANSACTIONS
from include.fraud.order import in_order
from include.lake.bronze_log import BronzeLog
from include.lake.coordinates import Coordinates
from include.lake.s3 import s3_client
from include.quality.columns import RECORD_SCHEMA, VALID, classify_batch, outcome_schema, with_outcome
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
    """Verdicts in the order of scoring, and their transactions (``outcome_schema``), row by row.

    ``unread`` are verdicts whose record today's contract refuses, or reads under another id.
    """

    stored: list[Stored]
    transactions: pa.Table
    unread: list[Stored]


def chunks(conn: psycopg.Connection, settings: Settings, since: datetime, until: datetime) -> Iterator[Chunk]:
    """The verdicts that were given from ``since`` until before ``until``, in chunks that end where a moment ends.

    Reads bronze in a process of its own, one chunk ahead. Holds a transaction of ``conn`` open.
    """
    with ProcessPoolExecutor(1, get_context("spawn"), _open_bronze, (settings,)) as pool:
        ahead: tuple[list[Stored], Future[pa.Table]] | None = None
        for stored in _stored(conn, since, until):
            following = stored, pool.submit(_transactions, _ranges(stored))
            if ahead is not None:
                yield _chunk(ahead[0], ahead[1].result())
            ahead = following
        if ahead is not None:
            yield _chunk(ahead[0], ahead[1].result())


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


def _chunk(stored: Sequence[Stored], transactions: pa.Table) -> Chunk:
    places = {
        where: place
        for place, where in enumerate(
            zip(*(transactions[name].to_pylist() for name in (*Coordinates._fields, "txn_id")), strict=True)
        )
    }
    found = [places.get((one.topic_id, one.partition, one.offset, one.txn_id)) for one in stored]
    read = [one for one, place in zip(stored, found, strict=True) if place is not None]
    rows = transactions.take(pa.array([place for place in found if place is not None], pa.int64()))
    # Each with the number of its verdict, by which the two are together again when they are in order.
    numbered = rows.append_column("moment", pa.array([one.scored_at for one in read], pa.timestamp("us", "UTC")))
    ordered = in_order(numbered.append_column("number", pa.array(range(len(read)), pa.int64())), "moment")
    return Chunk(
        [read[number] for number in ordered["number"].to_pylist()],
        ordered.drop_columns(["moment", "number"]),
        [one for one, place in zip(stored, found, strict=True) if place is None],
    )


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
    """The valid transactions at these offsets."""
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
    whole = pa.concat_tables([outcome_schema(TRANSACTIONS).empty_table(), *tables])
    return with_outcome(whole, VALID)
