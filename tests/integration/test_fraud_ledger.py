"""What the fraud stream has behind it: batches, their numbers and offsets, and how long that is kept."""

from __future__ import annotations

from datetime import timedelta
from threading import Event

import psycopg
import pytest

from include.fraud.checkpoint import CheckpointError
from include.fraud.lease import Lease
from include.fraud.ledger import Counts, prune, reached
from include.fraud.scorer import Scorer
from include.fraud.sink import Sink, Written
from include.settings import Settings
from tests.support.fraud_sink import MIXED, batch, contents, ledger
from tests.support.records import TOPIC_ID, in_bronze, payment

pytestmark = pytest.mark.integration


def some_records(_topic_id: str, _partition: int, _start: int, _end: int) -> bool:
    return True


def test_a_checkpoint_that_skips_records_is_refused(conn: psycopg.Connection, own: Settings, lease: Lease) -> None:
    sink = Sink(own.warehouse_dsn, lease, Scorer(), some_records, Event())
    sink.write(batch(0, *MIXED[:2]))
    with pytest.raises(CheckpointError, match=r"skips offsets 2 to 2 of partition 0.*delete every object"):
        sink.write(batch(1, *MIXED[3:]))
    sink.close()
    assert len(ledger(conn)) == 1


def test_a_gap_in_kafkas_offsets_is_no_reason_to_stop(conn: psycopg.Connection, sink: Sink) -> None:
    sink.write(batch(0, in_bronze(5, payment("T0001"))))
    sink.write(batch(1, in_bronze(9, payment("T0002")), in_bronze(3, payment("T0003"), partition=1)))
    assert ledger(conn)[-1] == ("checkpoint-1", 1, {TOPIC_ID: {"0": 6}}, {TOPIC_ID: {"0": 10, "1": 4}})


def test_a_batch_number_used_for_other_records_is_refused(conn: psycopg.Connection, sink: Sink) -> None:
    sink.write(batch(0, *MIXED[:3]))
    before = contents(conn)
    with pytest.raises(CheckpointError, match="batch 0 was committed already"):
        sink.write(batch(0, *MIXED))
    assert contents(conn) == before


def test_an_empty_batch_is_entered(conn: psycopg.Connection, sink: Sink) -> None:
    assert sink.write(batch(0)) == Written(Counts(0, 0, 0, 0, 0, 0), [])
    assert ledger(conn) == [("checkpoint-1", 0, {}, {})]


def test_of_old_batches_stay_those_that_somebody_asks_for(conn: psycopg.Connection, sink: Sink) -> None:
    for number in range(3):
        sink.write(batch(number, in_bronze(number, payment(f"T{number}"))))
        sink.write(batch(number, in_bronze(number, payment(f"T{number}")), checkpoint="checkpoint-2"))
    # Without a verdict, so the one before is the newest that has one.
    for number in (3, 4):
        sink.write(batch(number, in_bronze(number, b"not json")))
    assert prune(conn, timedelta(hours=1)) == 0, "none is old"

    conn.execute("UPDATE ops.stream_batch SET committed_at = committed_at - interval '1 day'")
    sink.write(batch(5, in_bronze(5, b"not json")))
    before, rows = reached(conn), contents(conn)
    assert before.newest_verdict is not None
    assert prune(conn, timedelta(hours=1)) == 6
    kept = [("checkpoint-1", 2), ("checkpoint-1", 5), ("checkpoint-2", 2)]
    assert [row[:2] for row in ledger(conn)] == kept
    assert reached(conn) == before

    assert sink.write(batch(5, in_bronze(5, b"not json"))).counts is None, "still known as a replay"
    assert sink.write(batch(3, in_bronze(3, b"not json"))).counts is None, "also one whose row is gone"
    with pytest.raises(CheckpointError, match="batch 4 was committed already"):
        sink.write(batch(4, in_bronze(6, payment("T6"))))
    assert contents(conn) == rows
