"""A warehouse of one's own for a test: a database on the shared server, and what its tables hold."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.sql import SQL, Identifier

from include.domains import TRANSACTIONS
from include.postgres import connect
from include.settings import Settings
from include.warehouse.schema import apply_schema
from include.warehouse.tables import domain_tables, verdict_tables
from tests.support.waiting import wait_until

GOLD_TABLES = tuple(table.name for table in domain_tables())
VERDICT_TABLES = tuple(table.name for table in verdict_tables(TRANSACTIONS.contract))
CLAIM_TABLES = ("ops.transaction_seen", "ops.transaction_duplicate")
"""Which record has a transaction's id, and which came later."""
ROLLUP_TABLES = ("daily_fraud", "ops.daily_fraud_day")
TRANSACTION_TABLES = (*VERDICT_TABLES, *CLAIM_TABLES, "ops.quarantine")
"""All places that a record of the transactions' topic can have."""
# A sum needs no sorting, for which a full disk has no room.
CHECKSUM = "SELECT count(*), sum(hashtextextended((to_jsonb(t) - %s::text[])::text, 0)::numeric) FROM {} AS t"


@contextmanager
def scratch_database(settings: Settings) -> Iterator[str]:
    """The DSN of a new, empty database, which is dropped at the end."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    with connect(settings.warehouse_dsn) as admin:
        admin.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
    try:
        yield make_conninfo(settings.warehouse_dsn, dbname=name)
    finally:
        with connect(settings.warehouse_dsn) as admin:
            drop_database(admin, name)


def drop_database(admin: psycopg.Connection, name: str) -> None:
    """Drop it, with whoever is connected; an autovacuum in it, which only a superuser may end, is waited for."""

    def dropped() -> bool:
        try:
            admin.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))
        except psycopg.errors.InsufficientPrivilege:
            return False
        return True

    wait_until(dropped, f"the end of those who stay in {name}", pause=0.2)


@contextmanager
def warehouse_template(settings: Settings) -> Iterator[str]:
    """The DSN of a database with every table, for `warehouse_copy`."""
    with scratch_database(settings) as dsn:
        with connect(dsn) as conn:
            apply_schema(conn)
        yield dsn


@contextmanager
def warehouse_copy(template: str) -> Iterator[str]:
    """The DSN of a copy of ``template``, which is dropped at the end."""
    name, original = f"fraud_{uuid.uuid4().hex[:12]}", str(conninfo_to_dict(template)["dbname"])
    admin_dsn = make_conninfo(template, dbname="postgres")
    with connect(admin_dsn) as admin:
        admin.execute(SQL("CREATE DATABASE {} TEMPLATE {}").format(Identifier(name), Identifier(original)))
    try:
        yield make_conninfo(template, dbname=name)
    finally:
        with connect(admin_dsn) as admin:
            drop_database(admin, name)


def all_rows(conn: psycopg.Connection, table: str) -> list[tuple[Any, ...]]:
    """Every column of every row, in order."""
    return conn.execute(SQL("SELECT * FROM {} AS row ORDER BY row").format(Identifier(*table.split(".")))).fetchall()


def checksum(conn: psycopg.Connection, table: str, without: Collection[str] = ()) -> tuple[Any, ...] | None:
    """How many rows the table has, and a checksum over all their columns but ``without``; no order of rows counts."""
    return conn.execute(SQL(CHECKSUM).format(Identifier(*table.split("."))), [list(without)]).fetchone()


def rate_merchant(conn: psycopg.Connection, merchant_id: str, risk_level: str) -> None:
    """Have MERCHANTS say that a merchant has this risk level."""
    row = {
        "merchant_id": merchant_id,
        "merchant_name": "Lucky Wheel",
        "category": "Retail",
        "risk_level": risk_level,
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
        SQL(
            "INSERT INTO merchants ({}) VALUES ({})"
            " ON CONFLICT (merchant_id) DO UPDATE SET risk_level = excluded.risk_level"
        ).format(SQL(", ").join(map(Identifier, row)), SQL(", ").join(SQL("%s") for _ in row)),
        list(row.values()),
    )
