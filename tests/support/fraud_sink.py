"""Batches for the fraud sink, and what it made of them."""

from __future__ import annotations

from datetime import UTC, datetime
from threading import Event
from typing import Any

import psycopg

from include.domains import TRANSACTIONS, Domain
from include.fraud.lease import acquire
from include.fraud.ledger import Counts
from include.fraud.promotion import Approval, Promotion, promote, promotions
from include.fraud.scorer import Scorer
from include.fraud.sink import Batch, Sink
from include.lake.records import BronzeRecord
from include.postgres import connect
from tests.support.judging import classify_records
from tests.support.records import in_bronze, payment
from tests.support.warehouse import TRANSACTION_TABLES, all_rows

MIXED = (
    in_bronze(0, payment("T0001")),
    in_bronze(1, payment("T0002", amount="30000.0001", channel="online")),
    in_bronze(2, b"not json"),
    in_bronze(3, None),
    in_bronze(4, payment("T0001", amount=99)),
    in_bronze(5, payment("T0003", location=" tehran ", merchant_id="M9999", amount=100_000.01)),
)
MIXED_COUNTS = Counts(records=6, fraud=2, genuine=1, duplicates=1, quarantined=1, tombstones=1)


def no_records(_topic_id: str, _partition: int, _start: int, _end: int) -> bool:
    """Bronze as a sink asks it for records that a batch skips: there are none."""
    return False


def batch(batch_id: int, *records: BronzeRecord, checkpoint: str = "checkpoint-1") -> Batch:
    """A batch of these records."""
    return Batch(checkpoint, batch_id, lambda: [classify_records(records)])


def use_rules(conn: psycopg.Connection, text: str, by: str = "ana", note: str | None = None) -> Promotion:
    """Promote rules as somebody who was asked in Airflow."""
    before = promotions(conn, 1)
    approval = Approval(by, "manual__1", datetime.now(UTC))
    return promote(conn, text, approval, after=before[0].number if before else 0, note=note)


def judge(dsn: str, *records: BronzeRecord, domain: Domain = TRANSACTIONS, checkpoint: str = "first") -> Counts | None:
    """What the fraud stream does with a batch of records, under the contract of ``domain``."""
    with connect(dsn) as conn:
        lease = acquire(conn, "test")
    sink = Sink(dsn, lease, Scorer(), no_records, Event(), patience=30)
    try:
        return sink.write(Batch(checkpoint, 0, lambda: [classify_records(records, domain)])).counts
    finally:
        sink.close()


def contents(conn: psycopg.Connection) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table that a batch writes to, times of writing included."""
    return {table: all_rows(conn, table) for table in TRANSACTION_TABLES}


def txn_ids(conn: psycopg.Connection, table: str) -> list[str]:
    """The ids that a table has, in order."""
    return [txn_id for (txn_id,) in conn.execute(f"SELECT txn_id FROM {table} ORDER BY txn_id")]  # noqa: S608


def ledger(conn: psycopg.Connection) -> list[tuple[Any, ...]]:
    """Checkpoint, number and offsets of each batch that was committed."""
    return conn.execute(
        "SELECT checkpoint_id, batch_id, start_positions, end_positions FROM ops.stream_batch ORDER BY 1, 2"
    ).fetchall()
