"""Connections to the warehouse, as Airflow's connection says, for the page's requests."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Annotated

import psycopg
from fastapi import Depends
from psycopg_pool import ConnectionPool

from paylake_airflow.hooks import warehouse_dsn

CONNECTIONS = 8
STATEMENT_MS = 10_000
"""No question of the page's may keep the warehouse busy for longer."""


@cache
def pool() -> ConnectionPool:
    """The pool of this process, opened by whoever asks first."""
    return ConnectionPool(
        warehouse_dsn(),
        min_size=0,
        max_size=CONNECTIONS,
        timeout=10.0,
        max_idle=60.0,
        kwargs={
            "autocommit": True,
            "application_name": "paylake desk",
            "options": f"-c statement_timeout={STATEMENT_MS} -c timezone=UTC",
        },
        check=ConnectionPool.check_connection,
        open=True,
    )


def _connection() -> Iterator[psycopg.Connection]:
    with pool().connection() as conn:
        yield conn


Warehouse = Annotated[psycopg.Connection, Depends(_connection)]
