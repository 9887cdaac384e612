"""What `./paylake status` and `./paylake up` show of the warehouse."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import LiteralString

import psycopg
from psycopg.rows import class_row
from psycopg.sql import SQL, Identifier

from include.domains import GOLD_DOMAINS
from include.sql import load_sql


class MissingTableError(LookupError):
    """The warehouse lacks a table that Paylake made; the message says which and what to do."""


@dataclass(frozen=True, slots=True)
class LayerTable:
    """A table to show. ``changed_at`` is the column that says when a row came or changed, ``counted`` which rows count:
    records that were driven through again have their place elsewhere."""

    schema: str
    name: str
    changed_at: str
    counted: LiteralString = "true"


LAYER_TABLES = (
    *(LayerTable("public", domain.table, "loaded_at") for domain in GOLD_DOMAINS.values()),
    LayerTable("public", "fraudtransaction", "scored_at"),
    LayerTable("public", "genuinetransaction", "scored_at"),
    LayerTable("ops", "quarantine", "quarantined_at", "redriven_at IS NULL"),
)


@dataclass(frozen=True, slots=True)
class LayerRows:
    """Rows of one table; of quarantine those that wait. ``last_update`` is None while there are none, or if not known.

    ``exact`` is False for the server's own estimate.
    """

    name: str
    rows: int
    last_update: datetime | None
    exact: bool = True


@dataclass(frozen=True, slots=True)
class FraudEvent:
    """One fraudulent transaction; ``messages`` are the words of the rules that fired."""

    txn_id: str
    user_id: str
    amount: Decimal
    channel: str
    location: str
    messages: list[str]


def layer_rows(conn: psycopg.Connection) -> list[LayerRows]:
    """Count the rows of each table, in the order of ``LAYER_TABLES``; a table not made yet has none."""
    return [_count(conn, table) if _exists(conn, table) else LayerRows(table.name, 0, None) for table in LAYER_TABLES]


def rows_of(conn: psycopg.Connection, table: LayerTable) -> LayerRows:
    """The rows of one table; the server's estimate when they cannot be counted within the statement's time limit.

    Raises:
        MissingTableError: there is no such table.
    """
    if not _exists(conn, table):
        raise MissingTableError(f"there is no table {table.schema}.{table.name}; the next start makes it")
    try:
        return _count(conn, table)
    except psycopg.errors.QueryCanceled:
        name = {"table": f"{table.schema}.{table.name}"}
        ((rows,),) = conn.execute(load_sql("status/estimated_rows"), name).fetchall()
        return LayerRows(table.name, rows, None, exact=False)


def _exists(conn: psycopg.Connection, table: LayerTable) -> bool:
    return conn.execute("SELECT to_regclass(%s)", (f"{table.schema}.{table.name}",)).fetchone() != (None,)


def _count(conn: psycopg.Connection, table: LayerTable) -> LayerRows:
    query = SQL(load_sql("status/layer_rows")).format(
        changed_at=Identifier(table.changed_at),
        relation=Identifier(table.schema, table.name),
        condition=SQL(table.counted),
    )
    ((rows, last_update),) = conn.execute(query).fetchall()
    return LayerRows(table.name, rows, last_update)


def last_frauds(conn: psycopg.Connection, limit: int) -> list[FraudEvent]:
    """The newest fraud verdicts, newest first, at most ``limit``.

    Raises:
        psycopg.errors.UndefinedTable: the schema was not applied yet.
    """
    with conn.cursor(row_factory=class_row(FraudEvent)) as cursor:
        return cursor.execute(load_sql("status/last_frauds"), {"limit": limit}).fetchall()
