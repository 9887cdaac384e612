"""The fraud sink on a real PostgreSQL: one place for each record, once."""

from __future__ import annotations

import json
from collections.abc import Iterator

import psycopg
import pyarrow as pa
import pytest

from include.fraud.ledger import Counts
from include.fraud.rules import Rules
from include.fraud.sink import Batch, Sink, Written
from tests.support.fraud_sink import MIXED, MIXED_COUNTS, batch, contents, ledger, txn_ids
from tests.support.judging import classify_records
from tests.support.records import ARRIVED_MS, TOPIC_ID, in_bronze, payment
from tests.support.warehouse import rate_merchant

pytestmark = pytest.mark.integration


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
    # The same user pays in Lisbon at that very second.
    assert reasons == ["suspicious_merchant", "risky_location", "huge_amount", "impossible_travel"]
    assert [fired["rule"] for fired in evidence] == reasons
    assert evidence[2]["values"] == {"amount": "100000.0100", "limit": "100000"}
    assert rest == [rules.version, "100000.0100", TOPIC_ID, 0, 5]


def test_a_merchant_of_high_risk_is_known_from_the_warehouse(conn: psycopg.Connection, sink: Sink) -> None:
    assert sink.write(batch(0, in_bronze(0, payment("T0001", merchant_id="M0007")))).frauds == []
    rate_merchant(conn, "M0007", "High")
    written = sink.write(batch(1, in_bronze(1, payment("T0002", merchant_id="M0007"))))
    assert [row["evidence"][0]["values"]["risk_level"] for row in written.frauds] == ["High"]


def test_a_txn_id_that_comes_again_is_kept_as_a_duplicate(conn: psycopg.Connection, sink: Sink) -> None:
    sink.write(batch(0, in_bronze(0, payment("T0001", amount=50_000, channel="Online"))))
    written = sink.write(
        batch(
            1,
            in_bronze(1, payment("T0001", amount="50000.00", channel=" ONLINE ", timestamp="2026-01-31T13:45:00Z")),
            in_bronze(2, payment("T0001", amount=50_000, channel="Online", location="Paris")),
        )
    )
    assert written == Written(Counts(2, 0, 0, 2, 0, 0), [], ARRIVED_MS)
    noted = conn.execute("SELECT record_offset, same_body FROM ops.transaction_duplicate ORDER BY 1").fetchall()
    assert noted == [(1, True), (2, False)]
    assert conn.execute("SELECT raw FROM ops.transaction_duplicate WHERE record_offset = 2").fetchone() == (
        json.dumps(payment("T0001", amount=50_000, channel="Online", location="Paris")).encode(),
    )
    assert txn_ids(conn, "fraudtransaction") == ["T0001"]
    assert txn_ids(conn, "genuinetransaction") == []


def test_a_txn_id_that_comes_again_in_another_unicode_form_says_the_same(conn: psycopg.Connection, sink: Sink) -> None:
    spellings = ["S\u00e3o Paulo", "Sa\u0303o Paulo", "\ufeffS\u00e3o\u00a0Pau\u00adlo\u200e", "Sao Paulo"]
    for offset, location in enumerate(spellings):
        sink.write(batch(offset, in_bronze(offset, payment("T0001", location=location))))
    noted = conn.execute("SELECT record_offset, same_body FROM ops.transaction_duplicate ORDER BY 1").fetchall()
    assert noted == [(1, True), (2, True), (3, False)]
    assert conn.execute("SELECT location FROM genuinetransaction").fetchall() == [("S\u00e3o Paulo",)]
    assert conn.execute("SELECT count(*) FROM transaction_conflicts").fetchone() == (1,)


def test_a_batch_in_parts_is_written_whole_or_not_at_all(conn: psycopg.Connection, sink: Sink) -> None:
    first = classify_records([in_bronze(0, payment("T0001", amount=200_000)), in_bronze(1, b"x"), in_bronze(2, None)])
    second = classify_records(
        [in_bronze(0, payment("T0001"), partition=1), in_bronze(1, payment("T0002"), partition=1)]
    )
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
            0,
            in_bronze(0, payment("T0001", location=location)),
            in_bronze(1, payment("T0002", amount=200_000, location=location)),
        )
    )
    assert conn.execute("SELECT location FROM genuinetransaction").fetchall() == [(location,)]
    assert conn.execute("SELECT location FROM fraudtransaction").fetchall() == [(location,)]


def test_within_a_batch_the_first_offset_wins_whatever_the_order(conn: psycopg.Connection, sink: Sink) -> None:
    written = sink.write(
        batch(0, in_bronze(7, payment("T0001", amount=200_000)), in_bronze(6, payment("T0001", amount=1)))
    )
    assert written == Written(Counts(2, 0, 1, 1, 0, 0), [], ARRIVED_MS)
    assert conn.execute("SELECT bronze_offset, amount FROM genuinetransaction").fetchall() == [(6, 1)]


@pytest.mark.parametrize("time", ["2025-01-31 13:45:00", "2026-01-24T13:45:00Z"])
def test_late_transactions_are_scored(conn: psycopg.Connection, sink: Sink, time: str) -> None:
    sink.write(batch(0, in_bronze(0, payment("T0009", timestamp="2026-02-01 11:00:00"))))
    sink.write(
        batch(
            1,
            in_bronze(1, payment("T0001", timestamp=time)),
            in_bronze(2, payment("T0002", amount=1e6, timestamp=time)),
        )
    )
    assert txn_ids(conn, "genuinetransaction") == ["T0001", "T0009"]
    assert txn_ids(conn, "fraudtransaction") == ["T0002"]


def test_records_that_the_database_refuses_are_refused_alone(conn: psycopg.Connection, sink: Sink) -> None:
    conn.execute("ALTER TABLE genuinetransaction ADD CONSTRAINT refuse CHECK (txn_id <> 'T0001')")
    written = sink.write(
        batch(0, in_bronze(0, payment("T0001")), in_bronze(1, payment("T0002")), in_bronze(2, payment("T0001")))
    )
    assert written.counts == Counts(records=3, fraud=0, genuine=1, duplicates=0, quarantined=2, tombstones=0)
    kept = conn.execute("SELECT record_offset, reasons -> 0 ->> 'code' FROM ops.quarantine ORDER BY 1").fetchall()
    assert kept == [(0, "unprocessable"), (2, "unprocessable")]
