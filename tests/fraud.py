"""Warehouses for tests of the fraud stream: made once with all tables, then copied in a fraction of a second."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.sql import SQL, Identifier

from include.settings import Settings
from include.warehouse.connect import connect
from include.warehouse.schema import apply_schema
from tests.warehouse import drop_database, scratch_database


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
    name, original = f"fraud_{uuid4().hex[:12]}", str(conninfo_to_dict(template)["dbname"])
    admin_dsn = make_conninfo(template, dbname="postgres")
    with connect(admin_dsn) as admin:
        admin.execute(SQL("CREATE DATABASE {} TEMPLATE {}").format(Identifier(name), Identifier(original)))
    try:
        yield make_conninfo(template, dbname=name)
    finally:
        with connect(admin_dsn) as admin:
            drop_database(admin, name)
