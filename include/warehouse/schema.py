"""Bring the warehouse to what the contracts and ``include/sql`` say, and tell where it differs.

What a contract wants is built as empty temporary tables, and both sides are read back from PostgreSQL's catalog: so
types and expressions are compared as PostgreSQL understands them, not as they happen to be spelt.

Migrations that need nobody: a new column is added, a changed CHECK or NOT NULL is replaced. A rule that old rows break
holds for new ones only (NOT VALID) and is logged. Whatever else differs, such as a type, is named and left alone.
"""

from __future__ import annotations

import hashlib
import logging
import re
from dataclasses import dataclass

import psycopg
from psycopg.sql import SQL, Composed, Identifier

from include.domains import TRANSACTIONS
from include.sql import load_sql
from include.warehouse.tables import Table, column_definition, comments, contract_columns, domain_tables, table_body

log = logging.getLogger(__name__)

SCHEMA_LOCK = 0x7061796C616B65  # "paylake": any number that nobody else locks
CREATED_BY_FILES = re.compile(r"^CREATE (?:TABLE IF NOT EXISTS|VIEW) (\S+)", re.MULTILINE)
APPEND_ONLY = re.compile(r"^ALTER TABLE (\S+) ENABLE ALWAYS TRIGGER append_only", re.MULTILINE)


class SchemaError(RuntimeError):
    """The warehouse differs from the contracts in a way that is not changed by itself."""

    def __init__(self, differences: list[str]) -> None:
        super().__init__("the warehouse differs from the contracts: " + "; ".join(differences))


@dataclass(frozen=True, slots=True)
class Constraint:
    """A constraint as the catalog tells it; ``kind`` is p (primary key), n (NOT NULL) or c (CHECK)."""

    kind: str
    definition: str
    validated: bool


@dataclass(frozen=True, slots=True)
class Shape:
    """A table as the catalog tells it: types by column, constraints by name. Both are empty if there is no table."""

    columns: dict[str, str]
    constraints: dict[str, Constraint]

    def rules(self) -> dict[str, str]:
        """Definitions of what can be replaced: every CHECK and NOT NULL."""
        return {name: found.definition for name, found in self.constraints.items() if found.kind != "p"}

    def primary_key(self) -> str | None:
        """Definition of the primary key."""
        return next((found.definition for found in self.constraints.values() if found.kind == "p"), None)


def apply_schema(conn: psycopg.Connection) -> None:
    """Create or migrate everything the warehouse needs; nothing is written or locked if all is as it should be.

    One transaction under an advisory lock: callers at the same time queue, a failure leaves everything as it was.

    Raises:
        SchemaError: a table differs in more than columns to add and rules to replace; nothing was changed.
        psycopg.errors.DependentObjectsStillExist: a view changed on which somebody has built one of their own.
    """
    tables = domain_tables()
    fingerprint = _fingerprint(conn, tables)
    with conn.transaction():
        conn.execute("SELECT pg_advisory_xact_lock(%s)", (SCHEMA_LOCK,))
        # Readers queue behind DDL that waits for its lock: give up before they notice.
        conn.execute("SET LOCAL lock_timeout = '30s'; SET LOCAL search_path TO public")
        _create_wanted(conn, tables)
        if _applied_fingerprint(conn) == fingerprint and not _differences(conn, tables):
            return
        conn.execute(load_sql("schema/ops"))
        conn.execute(load_sql("schema/cases"))
        for table in tables:
            _create_or_migrate(conn, table)
            conn.execute(comments(table))
        conn.execute(load_sql("schema/indexes"))
        conn.execute(_views())
        conn.execute(_grants(tables))
        if differences := _differences(conn, tables):
            raise SchemaError(differences)
        conn.execute(load_sql("schema/record_fingerprint"), {"fingerprint": fingerprint})


def _fingerprint(conn: psycopg.Connection, tables: tuple[Table, ...]) -> str:
    parts = [
        load_sql("schema/ops"),
        load_sql("schema/cases"),
        load_sql("schema/indexes"),
        _grants(tables).as_string(conn),
        _views().as_string(conn),
    ]
    for table in tables:
        parts += [table.name, table_body(table).as_string(conn), comments(table).as_string(conn)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _applied_fingerprint(conn: psycopg.Connection) -> str | None:
    if conn.execute("SELECT to_regclass('ops.schema_state')").fetchone() == (None,):
        return None
    row = conn.execute("SELECT fingerprint FROM ops.schema_state").fetchone()
    return row[0] if row else None


def _views() -> Composed:
    columns = SQL(", ").join(Identifier(column.name) for column in contract_columns(TRANSACTIONS.contract))
    return SQL(load_sql("schema/views")).format(contract_columns=columns)


def _grants(tables: tuple[Table, ...]) -> Composed:
    names = SQL(", ").join(Identifier("public", table.name) for table in tables)
    return SQL(load_sql("schema/grants")).format(domain_tables=names)


def _wanted_name(table: Table) -> str:
    return f"wanted_{table.name}"


def _create_wanted(conn: psycopg.Connection, tables: tuple[Table, ...]) -> None:
    for table in tables:
        statement = SQL("CREATE TEMPORARY TABLE {} ({}) ON COMMIT DROP")
        conn.execute(statement.format(Identifier(_wanted_name(table)), table_body(table)))


def _shape(conn: psycopg.Connection, relation: str) -> Shape:
    name = {"relation": relation}
    columns = conn.execute(load_sql("schema/catalog_columns"), name).fetchall()
    constraints = conn.execute(load_sql("schema/catalog_constraints"), name).fetchall()
    return Shape(dict(columns), {name: Constraint(*rest) for name, *rest in constraints})


def _shapes(conn: psycopg.Connection, table: Table) -> tuple[Shape, Shape]:
    return _shape(conn, f"public.{table.name}"), _shape(conn, f"pg_temp.{_wanted_name(table)}")


def _create_or_migrate(conn: psycopg.Connection, table: Table) -> None:
    name = Identifier("public", table.name)
    found, wanted = _shapes(conn, table)
    if not found.columns:
        conn.execute(SQL("CREATE TABLE {} ({})").format(name, table_body(table)))
        return
    for column in table.columns:
        if column.name not in found.columns:
            log.info("%s gains the column %s", table.name, column.name)
            conn.execute(SQL("ALTER TABLE {} ADD COLUMN {}").format(name, column_definition(column)))
    have, want = found.rules(), wanted.rules()
    for constraint in have.keys() - {rule for rule, definition in want.items() if have.get(rule) == definition}:
        log.info("%s drops the rule %s: %s", table.name, constraint, have[constraint])
        conn.execute(SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(name, Identifier(constraint)))
    for constraint, definition in table.constraints().items():
        if constraint in want and have.get(constraint) != want[constraint]:
            log.info("%s gains the rule %s: %s", table.name, constraint, want[constraint])
            statement = SQL("ALTER TABLE {} ADD CONSTRAINT {} {} NOT VALID")
            conn.execute(statement.format(name, Identifier(constraint), definition))
    _validate(conn, table)


def _validate(conn: psycopg.Connection, table: Table) -> None:
    """Let rules that were added later hold for all rows, where the rows allow it."""
    found, _ = _shapes(conn, table)
    for constraint in (name for name, rule in found.constraints.items() if not rule.validated):
        statement = SQL("ALTER TABLE {} VALIDATE CONSTRAINT {}")
        try:
            with conn.transaction():
                conn.execute(statement.format(Identifier("public", table.name), Identifier(constraint)))
        except (psycopg.errors.CheckViolation, psycopg.errors.NotNullViolation) as broken:
            log.warning("%s: %s holds for new rows only: %s", table.name, constraint, broken.diag.message_primary)


def _differences(conn: psycopg.Connection, tables: tuple[Table, ...]) -> list[str]:
    differences = []
    for table in tables:
        found, wanted = _shapes(conn, table)
        differences += _table_differences(table.name, found, wanted) if found.columns else [f"no table {table.name}"]
    files = "".join(map(load_sql, ("schema/ops", "schema/cases", "schema/views")))
    for relation in CREATED_BY_FILES.findall(files):
        if conn.execute("SELECT to_regclass(%s)", (relation,)).fetchone() == (None,):
            differences.append(f"no table or view {relation}")
    always = "SELECT FROM pg_trigger WHERE tgrelid = to_regclass(%s) AND tgname = 'append_only' AND tgenabled = 'A'"
    for relation in APPEND_ONLY.findall(files):
        if conn.execute(always, (relation,)).fetchone() is None:
            differences.append(f"{relation} is not append only")
    return differences


def _table_differences(table: str, found: Shape, wanted: Shape) -> list[str]:
    differences = []
    for column, type_ in wanted.columns.items():
        if column not in found.columns:
            differences.append(f"{table} has no column {column}")
        elif found.columns[column] != type_:
            differences.append(f"{table}.{column} is {found.columns[column]}, its contract says {type_}")
    if found.primary_key() != wanted.primary_key():
        differences.append(f"{table} has {found.primary_key() or 'no primary key'}, not {wanted.primary_key()}")
    have, want = found.rules(), wanted.rules()
    differences += [
        f"{table}.{name} is {have.get(name, 'missing')}, not {want.get(name, 'wanted')}"
        for name in sorted(have.keys() | want.keys())
        if have.get(name) != want.get(name)
    ]
    return differences
