"""The server's two databases, and the roles that own them and read them."""

from __future__ import annotations

from typing import LiteralString

import psycopg
from psycopg import sql

WAREHOUSE_OWNER = "paylake"
AIRFLOW_OWNER = "airflow"


def ensure_databases(administrator: str, warehouse_password: str, airflow_password: str) -> None:
    """Make the databases ``warehouse`` and ``airflow`` and their owners unless they are there; set the passwords.

    ``administrator`` is the libpq URI of a superuser.

    Raises:
        psycopg.Error: the server can not be reached, or refuses.
    """
    with psycopg.connect(administrator, autocommit=True, connect_timeout=10) as connection:
        _ensure_database(connection, "warehouse", WAREHOUSE_OWNER, warehouse_password)
        _ensure_database(connection, "airflow", AIRFLOW_OWNER, airflow_password)
        # Made here because the warehouse's owner may not make roles; the schema grants it what analysts may read.
        _ensure_role(connection, "paylake_reader", "NOLOGIN")


def _ensure_database(connection: psycopg.Connection, database: str, role: str, password: str) -> None:
    _ensure_role(connection, role, "LOGIN")
    connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(password)))
    if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone():
        names = sql.Identifier(database), sql.Identifier(role)
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(*names))
        # Airflow's tasks run other people's code: its role has no business in the warehouse, and the reverse.
        connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(names[0]))


def _ensure_role(connection: psycopg.Connection, role: str, login: LiteralString) -> None:
    if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone():
        connection.execute(sql.SQL("CREATE ROLE {} {}").format(sql.Identifier(role), sql.SQL(login)))
