"""What people read from the warehouse: views, quarantine, the summary. On a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Identifier, Literal
from psycopg.types.json import Jsonb

from include.postgres import connect
from include.quarantine.rows import QuarantineRow, counts, store
from include.settings import Settings
from include.warehouse.schema import apply_schema
from include.warehouse.summary import last_frauds, layer_rows
from tests.support.silver_rows import account_row, user_row
from tests.support.warehouse import scratch_database

pytestmark = pytest.mark.integration

NOON = datetime(2026, 2, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def dsn(settings: Settings) -> Iterator[str]:
    with scratch_database(settings) as dsn, connect(dsn) as conn:
        apply_schema(conn)
        yield dsn


@pytest.fixture
def conn(dsn: str) -> Iterator[psycopg.Connection]:
    """Everything a test writes is rolled back."""
    with connect(dsn) as conn, conn.transaction(force_rollback=True):
        yield conn


def insert(conn: psycopg.Connection, table: str, row: dict[str, Any]) -> None:
    row.pop("silver_version", None)
    names, values = SQL(", ").join(map(Identifier, row)), SQL(", ").join(map(Literal, row.values()))
    conn.execute(SQL("INSERT INTO {} ({}) VALUES ({})").format(Identifier(table), names, values))


def transaction(txn_id: str, *rules: str, **changes: Any) -> tuple[str, dict[str, Any]]:
    """The table and the row of a verdict."""
    moment = changes.get("timestamp", NOON)
    row = {
        "txn_id": txn_id,
        "user_id": "U1",
        "amount": Decimal("10.0000"),
        "merchant_id": "M1",
        "channel": "Online",
        "location": "Porto",
        "timestamp": moment,
        "date": moment.date(),
        "time": moment.time(),
        "month": moment.month,
        "year": moment.year,
        "bronze_topic_id": "topic",
        "bronze_partition": 0,
        "bronze_offset": int(txn_id[1:]),
        "rules_version": "1",
    } | changes
    if not rules:
        return "genuinetransaction", row
    evidence = Jsonb([{"rule": rule, "message": f"{rule}!", "values": {}} for rule in rules])
    return "fraudtransaction", row | {"reasons": list(rules), "evidence": evidence}


@pytest.fixture
def data(conn: psycopg.Connection) -> psycopg.Connection:
    """Four genuine and two fraudulent transactions; U9 and M9 are not known."""
    insert(conn, "users", user_row("U1"))
    insert(conn, "users", user_row("U2", country_code="DE", country="Germany", name="Uwe Berg"))
    merchant = {k: v for k, v in user_row("U1").items() if k in {"date", "time", "month", "year", "timestamp", "city"}}
    coordinates = {k: v for k, v in user_row("U1").items() if k.startswith("bronze_")}
    insert(conn, "merchants", merchant | coordinates | {
        "merchant_id": "M1", "merchant_name": "Loja", "category": "Retail", "risk_level": "High",
        "country_code": "PT", "country": "Portugal",
    })  # fmt: skip
    for table, row in (
        transaction("T1"),
        transaction("T2", timestamp=NOON + timedelta(days=1)),
        transaction("T3", user_id="U2"),
        transaction("T4", user_id="U9", merchant_id="M9"),
        transaction("T5", "suspicious_merchant", "huge_amount", amount=Decimal("200000.0001")),
        transaction("T6", "huge_amount", user_id="U9", amount=Decimal("100000.0002")),
    ):
        insert(conn, table, row)
    return conn


def test_transactions_joins_both_tables_and_loses_none(data: psycopg.Connection) -> None:
    query = "SELECT txn_id, is_fraud, reasons, user_name, merchant_name, amount FROM transactions ORDER BY txn_id"
    assert data.execute(query).fetchall() == [
        ("T1", False, [], "Ana Silva", "Loja", Decimal("10.0000")),
        ("T2", False, [], "Ana Silva", "Loja", Decimal("10.0000")),
        ("T3", False, [], "Uwe Berg", "Loja", Decimal("10.0000")),
        ("T4", False, [], None, None, Decimal("10.0000")),
        ("T5", True, ["suspicious_merchant", "huge_amount"], "Ana Silva", "Loja", Decimal("200000.0001")),
        ("T6", True, ["huge_amount"], None, "Loja", Decimal("100000.0002")),
    ]


def shares(conn: psycopg.Connection, view: str, by: str) -> list[tuple[Any, ...]]:
    query = SQL("SELECT {}, transactions, frauds, fraud_share FROM {} ORDER BY 1")
    return conn.execute(query.format(Identifier(by), Identifier(view))).fetchall()


def test_fraud_share_by_day(data: psycopg.Connection) -> None:
    day = NOON.date()
    assert shares(data, "fraud_share_by_day", "day") == [
        (day, 5, 2, Decimal("0.400000")),
        (day + timedelta(days=1), 1, 0, Decimal("0.000000")),
    ]
    amounts = data.execute("SELECT amount, fraud_amount FROM fraud_share_by_day ORDER BY day").fetchall()
    assert amounts == [(Decimal("300030.0003"), Decimal("300000.0003")), (Decimal("10.0000"), Decimal(0))]


def test_fraud_share_by_country_counts_unknown_users_too(data: psycopg.Connection) -> None:
    assert shares(data, "fraud_share_by_country", "country_code") == [
        ("DE", 1, 0, Decimal(0)),
        ("PT", 3, 1, Decimal("0.333333")),
        (None, 2, 1, Decimal("0.500000")),
    ]


def test_fraud_share_by_merchant_counts_unknown_merchants_too(data: psycopg.Connection) -> None:
    assert shares(data, "fraud_share_by_merchant", "merchant_id") == [
        ("M1", 5, 2, Decimal("0.400000")),
        ("M9", 1, 0, Decimal(0)),
    ]


def test_fraud_share_by_rule_counts_every_rule_that_fired(data: psycopg.Connection) -> None:
    assert data.execute("SELECT * FROM fraud_share_by_rule ORDER BY rule").fetchall() == [
        ("huge_amount", 2, Decimal("1.000000"), Decimal("0.333333"), 1, Decimal("300000.0003")),
        ("suspicious_merchant", 1, Decimal("0.500000"), Decimal("0.166667"), 0, Decimal("200000.0001")),
    ]


def test_balances_by_currency(conn: psycopg.Connection) -> None:
    for account_id, balance, currency in (("A1", "0.1", "EUR"), ("A2", "0.2", "EUR"), ("A3", "-5", "USD")):
        insert(conn, "accounts", account_row(account_id, current_balance=Decimal(balance), currency=currency))
    query = "SELECT currency, accounts, total_balance, overdrawn_accounts, overdrawn_balance FROM balances_by_currency"
    assert conn.execute(query + " ORDER BY currency").fetchall() == [
        ("EUR", 2, Decimal("0.3000"), 0, Decimal(0)),
        ("USD", 1, Decimal("-5.0000"), 1, Decimal("-5.0000")),
    ]


def test_orphans(data: psycopg.Connection) -> None:
    insert(data, "accounts", account_row("A1"))
    insert(data, "accounts", account_row("A2", user_id="U8"))
    assert data.execute("SELECT * FROM orphans ORDER BY kind, id").fetchall() == [
        ("account without user", "A2", "U8"),
        ("transaction without merchant", "T4", "M9"),
        ("transaction without user", "T4", "U9"),
        ("transaction without user", "T6", "U9"),
    ]


def refused(offset: int, *codes: str, **changes: Any) -> QuarantineRow:
    values: dict[str, Any] = {
        "domain": "profiles",
        "topic": "user_profiles",
        "topic_id": "topic",
        "partition": 0,
        "offset": offset,
        "timestamp_ms": 1_769_860_000_000,
        "taken_ms": 1_769_860_000_000,
        "raw": b'{"user_id": "X1"}',
        "reasons": [{"field": "user_id", "code": code, "message": "it is wrong"} for code in codes],
        "contract_version": "1.0.0",
    }
    return QuarantineRow(**(values | changes))


def test_storing_a_record_again_adds_nothing(conn: psycopg.Connection) -> None:
    rows = [refused(offset, "pattern") for offset in range(3)]
    assert store(conn, rows) == 3
    before = conn.execute("SELECT xmin, * FROM ops.quarantine").fetchall()
    assert store(conn, iter([*rows, refused(3, "pattern")])) == 1
    assert conn.execute("SELECT xmin, * FROM ops.quarantine WHERE record_offset < 3").fetchall() == before
    assert store(conn, []) == 0


@pytest.mark.parametrize("raw", [b"\x00\xff\n\t\\N", b"", None, bytes(range(256)) * 4096])
def test_raw_bytes_are_kept_exactly(conn: psycopg.Connection, raw: bytes | None) -> None:
    store(conn, [refused(1, "not_json", raw=raw)])
    assert conn.execute("SELECT raw FROM ops.quarantine").fetchall() == [(raw,)]


def test_messages_may_quote_what_no_json_column_holds(conn: psycopg.Connection) -> None:
    message = "NUL \x00, surrogate \ud800, quote \" and backslash \\"  # fmt: skip
    store(conn, [refused(1, "pattern", reasons=[{"field": None, "code": "pattern", "message": message}])])
    ((stored,),) = conn.execute("SELECT reasons -> 0 ->> 'message' FROM ops.quarantine").fetchall()
    assert stored == 'NUL \\x00, surrogate \\ud800, quote " and backslash \\'


def test_timestamps_that_no_date_can_hold_are_kept(conn: psycopg.Connection) -> None:
    store(conn, [refused(1, "pattern", timestamp_ms=-1), refused(2, "pattern", timestamp_ms=2**63 - 1)])
    kept = conn.execute("SELECT kafka_timestamp_ms FROM ops.quarantine ORDER BY record_offset").fetchall()
    assert kept == [(-1,), (2**63 - 1,)]


def test_record_without_a_reason_is_not_stored(conn: psycopg.Connection) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        store(conn, [refused(1, "pattern"), refused(2)])
    assert conn.execute("SELECT count(*) FROM ops.quarantine").fetchone() == (0,)


def test_counts_by_reason(conn: psycopg.Connection) -> None:
    store(conn, [refused(1, "pattern", "pattern", "missing"), refused(2, "missing"), refused(3, "too_long")])
    store(conn, [refused(4, "missing", domain="accounts")])
    conn.execute("UPDATE ops.quarantine SET redriven_at = now() WHERE record_offset = 3")
    assert counts(conn, "profiles") == {"missing": 2, "pattern": 1}
    assert counts(conn, "merchants") == {}
    summary = conn.execute(
        "SELECT domain, code, field, records, waiting FROM quarantine_summary ORDER BY domain, code"
    ).fetchall()
    assert summary == [
        ("accounts", "missing", "user_id", 1, 1),
        ("profiles", "missing", "user_id", 2, 2),
        ("profiles", "pattern", "user_id", 1, 1),
        ("profiles", "too_long", "user_id", 1, 0),
    ]


def test_summary_counts_each_layer(data: psycopg.Connection) -> None:
    rows = {row.name: row for row in layer_rows(data)}
    assert {name: row.rows for name, row in rows.items()} == {
        "users": 2, "accounts": 0, "merchants": 1, "fraudtransaction": 2, "genuinetransaction": 4, "quarantine": 0,
    }  # fmt: skip
    assert rows["accounts"].last_update is None
    assert rows["users"].last_update is not None


def test_summary_of_a_warehouse_without_tables(settings: Settings) -> None:
    with scratch_database(settings) as dsn, connect(dsn) as empty:
        assert [row.rows for row in layer_rows(empty)] == [0] * 6


def test_last_frauds_newest_first(data: psycopg.Connection) -> None:
    table, row = transaction("T7", "huge_amount", scored_at=datetime.now(UTC) + timedelta(seconds=1))
    insert(data, table, row)
    events = last_frauds(data, 2)
    assert [event.txn_id for event in events] == ["T7", "T6"]
    assert events[0].messages == ["huge_amount!"]


def test_ledger_refuses_books_that_do_not_balance(conn: psycopg.Connection) -> None:
    statement = """INSERT INTO ops.stream_batch
                   (checkpoint_id, batch_id, epoch, start_positions, end_positions, records, fraud, genuine)
                   VALUES ('c', %s, 1, '{}', '{}', 3, 1, %s)"""
    conn.execute(statement, (1, 2))
    with pytest.raises(psycopg.errors.CheckViolation, match="stream_batch_books_balance"):
        conn.execute(statement, (2, 1))
