"""The fraud sink on a real PostgreSQL: one place for each record, once, whatever is repeated or interrupted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Event, Timer
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from psycopg.sql import SQL, Identifier

from include.fraud.checkpoint import CheckpointError
from include.fraud.lease import APPLICATION_NAME, Lease, StaleLeaseError, acquire, hold
from include.fraud.ledger import prune, reached
from include.fraud.rules import RULES_FILE, Rules, load_rules
from include.fraud.settle import Counts
from include.fraud.sink import Batch, Sink, Written
from include.lake.records import BronzeRecord
from include.postgres import connect
from include.settings import Settings
from tests.support.fraud import judged, warehouse_copy, warehouse_template
from tests.support.servers import wait_until

pytestmark = pytest.mark.integration

TOPIC_ID = "topic-one-------------"
# 2026-02-01 12:00:00 UTC, after every time that the records state.
ARRIVED_MS = 1_769_947_200_000


@pytest.fixture(scope="module")
def template(settings: Settings) -> Iterator[str]:
    with warehouse_template(settings) as dsn:
        yield dsn


@pytest.fixture
def dsn(template: str) -> Iterator[str]:
    with warehouse_copy(template) as dsn:
        yield dsn


@pytest.fixture
def conn(dsn: str) -> Iterator[psycopg.Connection]:
    with connect(dsn) as conn:
        yield conn


@pytest.fixture(scope="module")
def rules() -> Rules:
    return load_rules(RULES_FILE)


@pytest.fixture
def lease(conn: psycopg.Connection) -> Lease:
    return acquire(conn, "test")


def no_records(_topic_id: str, _partition: int, _start: int, _end: int) -> bool:
    return False


def some_records(_topic_id: str, _partition: int, _start: int, _end: int) -> bool:
    return True


@pytest.fixture
def sink(dsn: str, lease: Lease, rules: Rules) -> Iterator[Sink]:
    sink = Sink(dsn, lease, rules, no_records, Event(), patience=10)
    yield sink
    sink.close()


def body(txn_id: str, **changes: Any) -> dict[str, Any]:
    plain = {
        "txn_id": txn_id,
        "user_id": "U0001",
        "amount": 12.5,
        "merchant_id": "M0001",
        "channel": "POS",
        "location": "Berlin",
        "timestamp": "2026-01-31 13:45:00",
    }
    return plain | changes


def record(offset: int, value: dict[str, Any] | bytes | None, partition: int = 0) -> BronzeRecord:
    raw = json.dumps(value).encode() if isinstance(value, dict) else value
    return BronzeRecord(TOPIC_ID, partition, offset, ARRIVED_MS, ARRIVED_MS, raw)


def batch(batch_id: int, *records: BronzeRecord, checkpoint: str = "checkpoint-1") -> Batch:
    return Batch(checkpoint, batch_id, lambda: [judged(records)])


TABLES = (
    "fraudtransaction",
    "genuinetransaction",
    "ops.transaction_seen",
    "ops.transaction_duplicate",
    "ops.quarantine",
)


def contents(conn: psycopg.Connection) -> dict[str, list[Any]]:
    """Every row of every table that a batch writes to, times of writing included."""
    return {
        table: conn.execute(f"SELECT to_jsonb(t) FROM {table} AS t ORDER BY to_jsonb(t)::text").fetchall()  # noqa: S608
        for table in TABLES
    }


def txn_ids(conn: psycopg.Connection, table: str) -> list[str]:
    return [txn_id for (txn_id,) in conn.execute(f"SELECT txn_id FROM {table} ORDER BY txn_id")]  # noqa: S608


def ledger(conn: psycopg.Connection) -> list[tuple[Any, ...]]:
    return conn.execute(
        "SELECT checkpoint_id, batch_id, start_positions, end_positions FROM ops.stream_batch ORDER BY 1, 2"
    ).fetchall()


MIXED = (
    record(0, body("T0001")),
    record(1, body("T0002", amount="30000.0001", channel="online")),
    record(2, b"not json"),
    record(3, None),
    record(4, body("T0001", amount=99)),
    record(5, body("T0003", location=" tehran ", merchant_id="M9999", amount=100_000.01)),
)
MIXED_COUNTS = Counts(records=6, fraud=2, genuine=1, duplicates=1, quarantined=1, tombstones=1)


def test_each_record_of_a_batch_gets_its_one_place(conn: psycopg.Connection, sink: Sink) -> None:
    written = sink.write(batch(0, *MIXED))
    assert written.counts == MIXED_COUNTS
    assert [row["txn_id"] for row in written.frauds] == ["T0002", "T0003"]
    assert txn_ids(conn, "genuinetransaction") == ["T0001"]
    assert txn_ids(conn, "fraudtransaction") == ["T0002", "T0003"]
    assert ledger(conn) == [("checkpoint-1", 0, {}, {TOPIC_ID: {"0": 6}})]
    reasons = conn.execute("SELECT record_offset, raw, reasons FROM ops.quarantine").fetchall()
    assert [(offset, raw, reason[0]["code"]) for offset, raw, reason in reasons] == [(2, b"not json", "not_json")]


def test_a_fraud_is_stored_with_every_rule_that_fired(conn: psycopg.Connection, sink: Sink, rules: Rules) -> None:
    sink.write(batch(0, *MIXED))
    row = conn.execute(
        "SELECT reasons, evidence, rules_version, amount::text, bronze_topic_id, bronze_partition, bronze_offset"
        " FROM fraudtransaction WHERE txn_id = 'T0003'"
    ).fetchone()
    assert row is not None
    reasons, evidence, *rest = row
    assert reasons == ["suspicious_merchant", "risky_location", "huge_amount"]
    assert [fired["rule"] for fired in evidence] == reasons
    assert evidence[2]["values"] == {"amount": "100000.0100", "limit": "100000"}
    assert rest == [rules.version, "100000.0100", TOPIC_ID, 0, 5]


def test_a_merchant_of_high_risk_is_known_from_the_warehouse(conn: psycopg.Connection, sink: Sink) -> None:
    assert sink.write(batch(0, record(0, body("T0001", merchant_id="M0007")))).frauds == []
    columns = [
        name
        for (name,) in conn.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_name = 'merchants'"
            " AND is_nullable = 'NO' AND column_default IS NULL"
        )
    ]
    known = {
        "merchant_id": "M0007",
        "merchant_name": "Lucky Wheel",
        "category": "Retail",
        "risk_level": "High",
        "country": "Germany",
        "country_code": "DE",
        "timestamp": "2026-01-01 00:00:00+00",
        "date": "2026-01-01",
        "time": "00:00:00",
        "month": 1,
        "year": 2026,
        "bronze_topic_id": "t",
        "bronze_partition": 0,
        "bronze_offset": 0,
        "bronze_generation": 0,
    }
    conn.execute(
        SQL("INSERT INTO merchants ({}) VALUES ({})").format(
            SQL(", ").join(map(Identifier, columns)), SQL(", ").join(SQL("%s") for _ in columns)
        ),
        [known[column] for column in columns],
    )
    written = sink.write(batch(1, record(1, body("T0002", merchant_id="M0007"))))
    assert [row["evidence"][0]["values"]["risk_level"] for row in written.frauds] == ["High"]


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
    conn: psycopg.Connection, sink: Sink, dsn: str, lease: Lease, rules: Rules
) -> None:
    sink.write(batch(0, *MIXED))
    before = contents(conn)
    strict = rules.model_validate(
        rules.model_dump() | {"version": "strict", "high_online_amount": {"above": "1"}, "huge_amount": {"above": "2"}}
    )
    other = Sink(dsn, lease, strict, no_records, Event())
    assert other.write(batch(0, *MIXED, checkpoint="checkpoint-2")) == Written(MIXED_COUNTS, [], ARRIVED_MS)
    other.close()
    assert contents(conn) == before


def test_a_txn_id_that_comes_again_is_kept_as_a_duplicate(conn: psycopg.Connection, sink: Sink) -> None:
    sink.write(batch(0, record(0, body("T0001", amount=50_000, channel="Online"))))
    written = sink.write(
        batch(
            1,
            record(1, body("T0001", amount="50000.00", channel=" ONLINE ", timestamp="2026-01-31T13:45:00Z")),
            record(2, body("T0001", amount=50_000, channel="Online", location="Paris")),
        )
    )
    assert written == Written(Counts(2, 0, 0, 2, 0, 0), [], ARRIVED_MS)
    noted = conn.execute("SELECT record_offset, same_body FROM ops.transaction_duplicate ORDER BY 1").fetchall()
    assert noted == [(1, True), (2, False)]
    assert conn.execute("SELECT raw FROM ops.transaction_duplicate WHERE record_offset = 2").fetchone() == (
        json.dumps(body("T0001", amount=50_000, channel="Online", location="Paris")).encode(),
    )
    assert txn_ids(conn, "fraudtransaction") == ["T0001"]
    assert txn_ids(conn, "genuinetransaction") == []


def test_a_txn_id_that_comes_again_in_another_unicode_form_says_the_same(conn: psycopg.Connection, sink: Sink) -> None:
    spellings = ["S\u00e3o Paulo", "Sa\u0303o Paulo", "\ufeffS\u00e3o\u00a0Pau\u00adlo\u200e", "Sao Paulo"]
    for offset, location in enumerate(spellings):
        sink.write(batch(offset, record(offset, body("T0001", location=location))))
    noted = conn.execute("SELECT record_offset, same_body FROM ops.transaction_duplicate ORDER BY 1").fetchall()
    assert noted == [(1, True), (2, True), (3, False)]
    assert conn.execute("SELECT location FROM genuinetransaction").fetchall() == [("S\u00e3o Paulo",)]
    assert conn.execute("SELECT count(*) FROM transaction_conflicts").fetchone() == (1,)


def test_a_batch_in_parts_is_written_whole_or_not_at_all(conn: psycopg.Connection, sink: Sink) -> None:
    first = judged([record(0, body("T0001", amount=200_000)), record(1, b"x"), record(2, None)])
    second = judged([record(0, body("T0001"), partition=1), record(1, body("T0002"), partition=1)])
    before = contents(conn)

    def broken() -> Iterator[pa.Table]:
        yield first
        raise RuntimeError("the second part could not be collected")

    with pytest.raises(RuntimeError, match="second part"):
        sink.write(Batch("checkpoint-1", 0, broken))
    assert contents(conn) == before
    written = sink.write(Batch("checkpoint-1", 0, lambda: [first, second]))
    assert written.counts == Counts(records=5, fraud=1, genuine=1, duplicates=1, quarantined=1, tombstones=1)
    assert [row["txn_id"] for row in written.frauds] == ["T0001"]
    assert sink.write(Batch("checkpoint-1", 0, lambda: [first, second])) == Written(None, written.frauds)


@pytest.mark.parametrize(
    "location", ['"Quoted", and, so on', "Back\\slash", "\\N", "x\\.", "NULL Island", "{Braces}", "D'Or;--", "京都"]
)
def test_a_text_is_stored_as_it_came(conn: psycopg.Connection, sink: Sink, location: str) -> None:
    sink.write(
        batch(
            0, record(0, body("T0001", location=location)), record(1, body("T0002", amount=200_000, location=location))
        )
    )
    assert conn.execute("SELECT location FROM genuinetransaction").fetchall() == [(location,)]
    assert conn.execute("SELECT location FROM fraudtransaction").fetchall() == [(location,)]


def test_within_a_batch_the_first_offset_wins_whatever_the_order(conn: psycopg.Connection, sink: Sink) -> None:
    written = sink.write(batch(0, record(7, body("T0001", amount=200_000)), record(6, body("T0001", amount=1))))
    assert written == Written(Counts(2, 0, 1, 1, 0, 0), [], ARRIVED_MS)
    assert conn.execute("SELECT bronze_offset, amount FROM genuinetransaction").fetchall() == [(6, 1)]


@pytest.mark.parametrize("time", ["2025-01-31 13:45:00", "2026-01-24T13:45:00Z"])
def test_late_transactions_are_scored(conn: psycopg.Connection, sink: Sink, time: str) -> None:
    sink.write(batch(0, record(0, body("T0009", timestamp="2026-02-01 11:00:00"))))
    sink.write(batch(1, record(1, body("T0001", timestamp=time)), record(2, body("T0002", amount=1e6, timestamp=time))))
    assert txn_ids(conn, "genuinetransaction") == ["T0001", "T0009"]
    assert txn_ids(conn, "fraudtransaction") == ["T0002"]


def test_only_the_newest_driver_writes(conn: psycopg.Connection, sink: Sink) -> None:
    sink.write(batch(0, *MIXED[:3]))
    acquire(conn, "newer")
    before = contents(conn)
    with pytest.raises(StaleLeaseError, match="epoch 2, this driver has epoch 1"):
        sink.write(batch(1, *MIXED[3:]))
    assert contents(conn) == before
    assert len(ledger(conn)) == 1


def test_a_batch_that_is_being_committed_is_waited_for(dsn: str, conn: psycopg.Connection, lease: Lease) -> None:
    with connect(dsn, APPLICATION_NAME) as older:
        older.execute("BEGIN")
        hold(older, lease)
        commit = Timer(0.5, older.execute, ["COMMIT"])
        commit.start()
        assert acquire(conn, "newer", patience=30) == replace(lease, epoch=2)
        commit.join()
        with pytest.raises(StaleLeaseError):
            hold(older, lease)


def test_a_driver_paused_in_its_transaction_does_not_block_the_next(
    dsn: str, conn: psycopg.Connection, lease: Lease
) -> None:
    with connect(dsn, APPLICATION_NAME) as paused:
        paused.execute("BEGIN")
        hold(paused, lease)
        assert acquire(conn, "newer", patience=0.2) == replace(lease, epoch=2)
        with pytest.raises(psycopg.OperationalError):
            paused.execute("COMMIT")


def test_a_lost_connection_is_replaced_and_the_batch_done_once(dsn: str, conn: psycopg.Connection, sink: Sink) -> None:
    sink.write(batch(0, *MIXED[:3]))
    ended = conn.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE application_name = %s AND datname = current_database()",
        (APPLICATION_NAME,),
    ).fetchall()
    assert len(ended) == 1
    assert sink.write(batch(1, *MIXED[3:])).counts == Counts(3, 1, 0, 1, 0, 1)
    assert len(ledger(conn)) == 2


def test_a_database_that_stays_away_is_given_up(lease: Lease, rules: Rules) -> None:
    sink = Sink("postgresql://nobody@127.0.0.1:1/nowhere", lease, rules, no_records, Event(), patience=1)
    with pytest.raises(psycopg.OperationalError):
        sink.write(batch(0, *MIXED))


def test_who_waits_for_the_database_can_be_stopped(
    lease: Lease, rules: Rules, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("include.fraud.sink._FIRST_PAUSE", 60.0)  # the next try comes too late for this test
    monkeypatch.setattr("include.fraud.sink._LONGEST_PAUSE", 60.0)
    stop = Event()
    sink = Sink("postgresql://nobody@127.0.0.1:1/nowhere", lease, rules, no_records, stop, patience=600)
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


def test_records_that_the_database_refuses_are_refused_alone(conn: psycopg.Connection, sink: Sink) -> None:
    conn.execute("ALTER TABLE genuinetransaction ADD CONSTRAINT refuse CHECK (txn_id <> 'T0001')")
    written = sink.write(batch(0, record(0, body("T0001")), record(1, body("T0002")), record(2, body("T0001"))))
    assert written.counts == Counts(records=3, fraud=0, genuine=1, duplicates=0, quarantined=2, tombstones=0)
    kept = conn.execute("SELECT record_offset, reasons -> 0 ->> 'code' FROM ops.quarantine ORDER BY 1").fetchall()
    assert kept == [(0, "unprocessable"), (2, "unprocessable")]


def test_a_checkpoint_that_skips_records_is_refused(
    conn: psycopg.Connection, dsn: str, lease: Lease, rules: Rules
) -> None:
    sink = Sink(dsn, lease, rules, some_records, Event())
    sink.write(batch(0, *MIXED[:2]))
    with pytest.raises(CheckpointError, match=r"skips offsets 2 to 2 of partition 0.*delete every object"):
        sink.write(batch(1, *MIXED[3:]))
    sink.close()
    assert len(ledger(conn)) == 1


def test_a_gap_in_kafkas_offsets_is_no_reason_to_stop(conn: psycopg.Connection, sink: Sink) -> None:
    sink.write(batch(0, record(5, body("T0001"))))
    sink.write(batch(1, record(9, body("T0002")), record(3, body("T0003"), partition=1)))
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
        sink.write(batch(number, record(number, body(f"T{number}"))))
        sink.write(batch(number, record(number, body(f"T{number}")), checkpoint="checkpoint-2"))
    # Without a verdict, so the one before is the newest that has one.
    for number in (3, 4):
        sink.write(batch(number, record(number, b"not json")))
    assert prune(conn, timedelta(hours=1)) == 0, "none is old"

    conn.execute("UPDATE ops.stream_batch SET committed_at = committed_at - interval '1 day'")
    sink.write(batch(5, record(5, b"not json")))
    before, rows = reached(conn), contents(conn)
    assert before.newest_verdict is not None
    assert prune(conn, timedelta(hours=1)) == 6
    kept = [("checkpoint-1", 2), ("checkpoint-1", 5), ("checkpoint-2", 2)]
    assert [row[:2] for row in ledger(conn)] == kept
    assert reached(conn) == before

    assert sink.write(batch(5, record(5, b"not json"))).counts is None, "still known as a replay"
    assert sink.write(batch(3, record(3, b"not json"))).counts is None, "also one whose row is gone"
    with pytest.raises(CheckpointError, match="batch 4 was committed already"):
        sink.write(batch(4, record(6, body("T6"))))
    assert contents(conn) == rows
