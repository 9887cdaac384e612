"""What `./paylake status` and `./paylake up` show of the warehouse."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import LiteralString

import psycopg
from psycopg.rows import class_row
from psycopg.sql import SQL, Identifier

from include.sql import load_sql

# The tables to show, each with the column that says when a row came or changed, and which of its rows count: records
# that were driven through again have their place elsewhere.
LAYER_TABLES: tuple[tuple[str, str, str, LiteralString], ...] = (
    ("public", "users", "loaded_at", "true"),
    ("public", "accounts", "loaded_at", "true"),
    ("public", "merchants", "loaded_at", "true"),
    ("public", "fraudtransaction", "scored_at", "true"),
    ("public", "genuinetransaction", "scored_at", "true"),
    ("ops", "quarantine", "quarantined_at", "redriven_at IS NULL"),
)


@dataclass(frozen=True, slots=True)
class LayerRows:
    """Rows of one table, counted; of quarantine those that wait. ``last_update`` is None while there are none."""

    name: str
    rows: int
    last_update: datetime | None


@dataclass(frozen=True, slots=True)
class FraudEvent:
    """One fraudulent transaction; ``messages`` are the rules' own words, in the order of ``reasons``."""

    txn_id: str
    user_id: str
    amount: Decimal
    merchant_id: str
    channel: str
    location: str
    timestamp: datetime
    reasons: list[str]
    messages: list[str]
    scored_at: datetime


def layer_rows(conn: psycopg.Connection) -> list[LayerRows]:
    """Count the rows of each table, in the order of ``LAYER_TABLES``; a table not made yet has none."""
    return [_layer(conn, *table) for table in LAYER_TABLES]


def _layer(conn: psycopg.Connection, schema: str, table: str, changed_at: str, condition: LiteralString) -> LayerRows:
    if conn.execute("SELECT to_regclass(%s)", (f"{schema}.{table}",)).fetchone() == (None,):
        return LayerRows(table, 0, None)
    query = SQL(load_sql("layer_rows")).format(
        changed_at=Identifier(changed_at), relation=Identifier(schema, table), condition=SQL(condition)
    )
    ((rows, last_update),) = conn.execute(query).fetchall()
    return LayerRows(table, rows, last_update)


def last_frauds(conn: psycopg.Connection, limit: int) -> list[FraudEvent]:
    """The newest fraud verdicts, newest first, at most ``limit``.

    Raises:
        psycopg.errors.UndefinedTable: the schema was not applied yet.
    """
    with conn.cursor(row_factory=class_row(FraudEvent)) as cursor:
        return cursor.execute(load_sql("last_frauds"), {"limit": limit}).fetchall()
