"""The fraud sink on a real PostgreSQL when batches are repeated, drivers replaced and connections lost."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event, Timer

import psycopg
import pytest

from include.fraud.lease import APPLICATION_NAME, Lease, StaleLeaseError, acquire, hold
from include.fraud.ledger import Counts
from include.fraud.rulebook import RULES_FILE, load_rules
from include.fraud.scorer import Scorer
from include.fraud.sink import Sink, Written
from include.postgres import connect
from include.settings import Settings
from tests.support.fraud_sink import MIXED, MIXED_COUNTS, batch, contents, ledger, no_records, use_rules
from tests.support.records import ARRIVED_MS
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration


def test_a_replayed_batch_changes_nothing_and_shows_its_frauds_again(conn: psycopg.Connection, sink: Sink) -> None:
    first = sink.write(batch(0, *MIXED))
    before, entered = contents(conn), ledger(conn)
    again = sink.write(batch(0, *MIXED))
    assert again == Written(None, first.frauds)
    assert contents(conn) == before
    assert ledger(conn) == entered


def test_a_lost_checkpoint_changes_nothing(conn: psycopg.Connection, sink: Sink) -> None:
    sink.write(batch(0, *MIXED[:3]))
    sink.write(batch(1, *MIXED[3:]))
    before = contents(conn)
    # Another cut into batches, too.
    assert sink.write(batch(0, *MIXED, checkpoint="checkpoint-2")) == Written(MIXED_COUNTS, [], ARRIVED_MS)
    assert contents(conn) == before


def test_new_rules_do_not_move_what_has_a_verdict(
    conn: psycopg.Connection, sink: Sink, own: Settings, lease: Lease
) -> None:
    sink.write(batch(0, *MIXED))
    before = contents(conn)
    text = RULES_FILE.read_text(encoding="utf-8")
    use_rules(conn, text.replace(f'"{load_rules(RULES_FILE).version}"', '"strict"', 1).replace('"100000"', '"2"'))
    other = Sink(own.warehouse_dsn, lease, Scorer(), no_records, Event())
    assert other.write(batch(0, *MIXED, checkpoint="checkpoint-2")) == Written(MIXED_COUNTS, [], ARRIVED_MS)
    other.close()
    assert contents(conn) == before


def test_only_the_newest_driver_writes(conn: psycopg.Connection, sink: Sink) -> None:
    sink.write(batch(0, *MIXED[:3]))
    acquire(conn, "newer")
    before = contents(conn)
    with pytest.raises(StaleLeaseError, match="epoch 2, this driver has epoch 1"):
        sink.write(batch(1, *MIXED[3:]))
    assert contents(conn) == before
    assert len(ledger(conn)) == 1


def test_a_batch_that_is_being_committed_is_waited_for(own: Settings, conn: psycopg.Connection, lease: Lease) -> None:
    with connect(own.warehouse_dsn, APPLICATION_NAME) as older:
        older.execute("BEGIN")
        hold(older, lease)
        commit = Timer(0.5, older.execute, ["COMMIT"])
        commit.start()
        assert acquire(conn, "newer", patience=30) == replace(lease, epoch=2)
        commit.join()
        with pytest.raises(StaleLeaseError):
            hold(older, lease)


def test_a_driver_paused_in_its_transaction_does_not_block_the_next(
    own: Settings, conn: psycopg.Connection, lease: Lease
) -> None:
    with connect(own.warehouse_dsn, APPLICATION_NAME) as paused:
        paused.execute("BEGIN")
        hold(paused, lease)
        assert acquire(conn, "newer", patience=0.2) == replace(lease, epoch=2)
        with pytest.raises(psycopg.OperationalError):
            paused.execute("COMMIT")


def test_a_lost_connection_is_replaced_and_the_batch_done_once(
    own: Settings, conn: psycopg.Connection, sink: Sink
) -> None:
    sink.write(batch(0, *MIXED[:3]))
    ended = conn.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE application_name = %s AND datname = current_database()",
        (APPLICATION_NAME,),
    ).fetchall()
    assert len(ended) == 1
    assert sink.write(batch(1, *MIXED[3:])).counts == Counts(3, 1, 0, 1, 0, 1)
    assert len(ledger(conn)) == 2


def test_a_database_that_stays_away_is_given_up(lease: Lease) -> None:
    sink = Sink("postgresql://nobody@127.0.0.1:1/nowhere", lease, Scorer(), no_records, Event(), patience=1)
    with pytest.raises(psycopg.OperationalError):
        sink.write(batch(0, *MIXED))


def test_who_waits_for_the_database_can_be_stopped(
    lease: Lease, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("include.fraud.sink._FIRST_PAUSE", 60.0)  # the next try comes too late for this test
    monkeypatch.setattr("include.fraud.sink._LONGEST_PAUSE", 60.0)
    stop = Event()
    sink = Sink("postgresql://nobody@127.0.0.1:1/nowhere", lease, Scorer(), no_records, stop, patience=600)
    with ThreadPoolExecutor() as pool:
        writing = pool.submit(sink.write, batch(0, *MIXED))
        wait_until(lambda: "trying again" in caplog.text, "the first try")
        stop.set()
        with pytest.raises(psycopg.OperationalError):
            writing.result(timeout=20)


def test_a_failed_batch_leaves_nothing_behind(conn: psycopg.Connection, sink: Sink) -> None:
    before = contents(conn)
    conn.execute("ALTER TABLE genuinetransaction RENAME COLUMN location TO place")
    with pytest.raises(psycopg.errors.UndefinedColumn):
        sink.write(batch(0, *MIXED))
    conn.execute("ALTER TABLE genuinetransaction RENAME COLUMN place TO location")
    assert contents(conn) == before
    assert ledger(conn) == []
    assert sink.write(batch(0, *MIXED)).counts == MIXED_COUNTS
