"""The warehouse's tables, made from the contracts and migrated with them, on a real PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any, LiteralString, TypeAlias

import psycopg
import pytest
from psycopg.sql import SQL, Identifier, Literal

from include.contracts import Contract
from include.domains import PROFILES
from include.postgres import connect
from include.settings import Settings
from include.warehouse import schema
from include.warehouse.schema import SchemaError, apply_schema
from include.warehouse.tables import domain_tables, gold_table
from tests.support.silver_rows import user_row
from tests.support.warehouse import scratch_database

pytestmark = pytest.mark.integration

UseContract: TypeAlias = Callable[[Contract], None]


@pytest.fixture
def dsn(settings: Settings) -> Iterator[str]:
    with scratch_database(settings) as dsn:
        yield dsn


@pytest.fixture
def conn(dsn: str) -> Iterator[psycopg.Connection]:
    with connect(dsn) as conn:
        apply_schema(conn)
        yield conn


def insert_user(conn: psycopg.Connection, user_id: str = "U1", **changes: Any) -> None:
    row = user_row(user_id, **changes)
    del row["silver_version"]
    names, values = SQL(", ").join(map(Identifier, row)), SQL(", ").join(map(Literal, row.values()))
    conn.execute(SQL("INSERT INTO users ({}) VALUES ({})").format(names, values))


def objects(conn: psycopg.Connection) -> set[tuple[Any, ...]]:
    """Every relation with its identity and version in the catalog: any DDL would show."""
    return set(conn.execute("SELECT oid, xmin::text, relname FROM pg_class WHERE relpersistence = 'p'").fetchall())


def test_applying_again_touches_nothing(conn: psycopg.Connection) -> None:
    before = objects(conn)
    apply_schema(conn)
    assert {row for row in objects(conn) if not row[2].startswith("pg_")} == {
        row for row in before if not row[2].startswith("pg_")
    }


def test_applying_at_the_same_time_is_safe(dsn: str) -> None:
    errors: list[Exception] = []
    barrier = threading.Barrier(4)

    def run() -> None:
        with connect(dsn) as own:
            barrier.wait(30)
            try:
                apply_schema(own)
            except psycopg.Error as error:
                errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    with connect(dsn) as own:
        assert own.execute("SELECT count(*) FROM users").fetchone() == (0,)


def test_names_work_as_typed(conn: psycopg.Connection) -> None:
    for name in ("USERS", "ACCOUNTS", "MERCHANTS", "FraudTransaction", "GenuineTransaction", "Transactions"):
        assert conn.execute(f"SELECT * FROM {name}").fetchall() == []  # noqa: S608


def test_everything_is_described_and_personal_data_is_marked(conn: psycopg.Connection) -> None:
    missing = conn.execute(
        """SELECT relname, attname FROM pg_attribute JOIN pg_class ON attrelid = pg_class.oid
           WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND attnum > 0 AND NOT attisdropped
             AND col_description(attrelid, attnum) IS NULL
           UNION ALL
           SELECT relname, NULL FROM pg_class
           WHERE relnamespace IN ('public'::regnamespace, 'ops'::regnamespace) AND relkind IN ('r', 'v')
             AND obj_description(oid, 'pg_class') IS NULL"""
    ).fetchall()
    assert missing == []
    for table in domain_tables()[:1]:
        for number, column in enumerate(table.columns, start=1):
            comment = conn.execute("SELECT col_description('users'::regclass, %s)", (number,)).fetchone()
            assert comment == (column.description,)
    assert conn.execute("SELECT col_description('users'::regclass, 2)").fetchall()[0][0].startswith("Personal data.")


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"user_id": "X1"}, "users_user_id_pattern"),
        ({"user_id": "U1\n"}, "users_user_id_pattern"),
        ({"credit_score": 851}, "users_credit_score_range"),
        ({"credit_score": 299}, "users_credit_score_range"),
        ({"status": "Active"}, "users_status_values"),
        ({"name": ""}, "users_name_length"),
        ({"name": "x" * 201}, "users_name_length"),
        ({"country_code": "pt"}, "users_country_code_pattern"),
        ({"month": 13}, "users_month_range"),
        ({"email": "no at sign"}, "users_email_pattern"),
    ],
)
def test_the_database_holds_the_contract(conn: psycopg.Connection, changes: dict[str, Any], constraint: str) -> None:
    with pytest.raises(psycopg.errors.CheckViolation) as broken:
        insert_user(conn, **({"user_id": "U1"} | changes))
    assert broken.value.diag.constraint_name == constraint


def test_money_is_a_number_and_above_zero(conn: psycopg.Connection) -> None:
    statement = """INSERT INTO genuinetransaction VALUES ('T1', 'U1', %s, 'M1', 'POS', 'Porto', now(), now(), now(), 1,
                   2026, 'topic', 0, 0, '1', now())"""
    for amount in (Decimal("NaN"), Decimal(0), Decimal("-0.0001")):
        with pytest.raises(psycopg.errors.CheckViolation):
            conn.execute(statement, (amount,))
    with pytest.raises(psycopg.errors.NumericValueOutOfRange):
        conn.execute(statement, (Decimal("1e15"),))
    conn.execute(statement, (Decimal("999999999999999.9999"),))


def test_fraud_needs_a_reason(conn: psycopg.Connection) -> None:
    with pytest.raises(psycopg.errors.CheckViolation, match="fraudtransaction_reasons_given"):
        conn.execute(
            """INSERT INTO fraudtransaction VALUES ('T1', 'U1', 1, 'M1', 'POS', 'Porto', now(), now(), now(), 1, 2026,
               'topic', 0, 0, '1', now(), NULL, NULL, '{}', '[]')"""
        )


def changed(field: str, **changes: Any) -> Contract:
    """The profiles' contract, in which one column of the table is another."""
    contract = PROFILES.contract
    columns = tuple(replace(column, **changes) if column.name == field else column for column in contract.columns)
    return replace(contract, columns=columns)


@pytest.fixture
def use_contract(monkeypatch: pytest.MonkeyPatch) -> UseContract:
    """Let the users' table come from another contract."""

    def use(contract: Contract) -> None:
        others = tuple(table for table in domain_tables() if table.name != "users")
        monkeypatch.setattr(schema, "domain_tables", lambda: (gold_table(contract), *others))

    return use


def test_contract_that_gains_an_optional_field(conn: psycopg.Connection, use_contract: UseContract) -> None:
    insert_user(conn, "U1")
    contract = PROFILES.contract
    city = next(field for field in contract.columns if field.name == "city")
    phone = replace(city, name="phone", pattern="^[0-9]+$", description="The user's telephone number.")
    use_contract(replace(contract, columns=(*contract.columns, phone)))
    apply_schema(conn)
    assert conn.execute("SELECT phone FROM users").fetchall() == [(None,)]
    with pytest.raises(psycopg.errors.CheckViolation, match="users_phone_pattern"):
        insert_user(conn, "U2", phone="none")
    insert_user(conn, "U2", phone="351")


def test_contract_that_makes_a_field_required_keeps_old_rows(
    conn: psycopg.Connection, use_contract: UseContract, caplog: pytest.LogCaptureFixture
) -> None:
    insert_user(conn, "U1", city=None)
    use_contract(changed("city", required=True))
    apply_schema(conn)
    assert "users_city_not_null holds for new rows only" in caplog.text
    with pytest.raises(psycopg.errors.NotNullViolation):
        insert_user(conn, "U2", city=None)
    insert_user(conn, "U2", city="Porto")
    assert conn.execute("SELECT user_id, city FROM users ORDER BY 1").fetchall() == [("U1", None), ("U2", "Porto")]


def test_contract_that_makes_a_field_optional(conn: psycopg.Connection, use_contract: UseContract) -> None:
    use_contract(changed("status", required=False))
    apply_schema(conn)
    insert_user(conn, "U1", status=None)


def test_changed_check_is_replaced_and_holds_for_old_rows_where_they_allow_it(
    conn: psycopg.Connection, use_contract: UseContract
) -> None:
    insert_user(conn, "U1", credit_score=850)
    use_contract(changed("credit_score", maximum=Decimal(900)))
    apply_schema(conn)
    insert_user(conn, "U2", credit_score=900)
    validated = "SELECT convalidated FROM pg_constraint WHERE conname = 'users_credit_score_range'"
    assert conn.execute(validated).fetchone() == (True,)
    use_contract(changed("credit_score", maximum=Decimal(800)))
    apply_schema(conn)
    assert conn.execute(validated).fetchone() == (False,)
    with pytest.raises(psycopg.errors.CheckViolation):
        insert_user(conn, "U3", credit_score=801)


def test_changed_type_is_named_and_nothing_is_changed(conn: psycopg.Connection, use_contract: UseContract) -> None:
    before = objects(conn)
    use_contract(changed("credit_score", physical_type="text", minimum=None, maximum=None))
    with pytest.raises(SchemaError, match=r"users\.credit_score is integer, its contract says text"):
        apply_schema(conn)
    assert {row for row in before if row[2] == "users"} <= objects(conn)


def test_differences_made_by_hand_are_mended_and_additions_kept(conn: psycopg.Connection) -> None:
    conn.execute("ALTER TABLE users DROP CONSTRAINT users_status_values")
    conn.execute("ALTER TABLE accounts ALTER COLUMN currency DROP NOT NULL")
    conn.execute("DROP VIEW balances_by_currency")
    conn.execute("ALTER TABLE merchants ADD COLUMN own_note text")
    apply_schema(conn)
    with pytest.raises(psycopg.errors.CheckViolation, match="users_status_values"):
        insert_user(conn, "U1", status="gone")
    nullable = "SELECT is_nullable FROM information_schema.columns WHERE table_name = 'accounts' AND column_name = %s"
    assert conn.execute(nullable, ("currency",)).fetchone() == ("NO",)
    assert conn.execute("SELECT count(*) FROM balances_by_currency").fetchone() == (0,)
    assert conn.execute("SELECT count(own_note) FROM merchants").fetchone() == (0,)


@pytest.mark.parametrize("table", ["ops.case_event", "ops.list_change", "ops.rules_promotion"])
@pytest.mark.parametrize("opened", ["ALTER TABLE {} DISABLE TRIGGER append_only", "DROP TRIGGER append_only ON {}"])
def test_an_audit_trail_that_its_owner_has_opened_is_closed_again(
    conn: psycopg.Connection, table: str, opened: LiteralString
) -> None:
    name = Identifier(*table.split("."))
    conn.execute(SQL(opened).format(name))
    apply_schema(conn)
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match=f"{table} is append only"):
        conn.execute(SQL("DELETE FROM {}").format(name))


def test_reader_role_reads_and_cannot_write(conn: psycopg.Connection) -> None:
    with conn.transaction():
        conn.execute("SET LOCAL ROLE paylake_reader")
        assert conn.execute("SELECT * FROM transactions").fetchall() == []
        assert conn.execute("SELECT * FROM quarantine_summary").fetchall() == []
    conn.execute("SET ROLE paylake_reader")
    for refused in ("DELETE FROM users", "SELECT raw FROM ops.quarantine"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute(refused)
