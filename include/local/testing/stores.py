"""Kafka, MinIO and PostgreSQL for the length of a test session, in a home of their own, on free ports."""

from __future__ import annotations

import sys
import tempfile
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import psycopg
from rich.console import Console

from include.errors import StackError
from include.local.layout import Stack, locate
from include.local.ports import Ports
from include.local.reset import reset
from include.local.servers import clients, postgres
from include.local.setup.environment import program_environment
from include.local.start import Start
from include.local.testing.keeper import announce, kept
from include.local.up import start_stores_and_jars
from include.warehouse.databases import WAREHOUSE_OWNER


def store_servers() -> AbstractContextManager[dict[str, str]]:
    """Start the servers; yields the environment by which clients and Spark jobs find them.

    Raises:
        StackError: they can not be started; the reason was printed to standard error.
    """
    return kept(__name__, "The servers for the tests")


def keep() -> None:
    """Be the keeper: start, tell the tests how to find the servers, wait for their end, remove all."""
    with tempfile.TemporaryDirectory(prefix="paylake-stores-") as folder:
        stack = replace(locate(), home=Path(folder).resolve() / "home", ports=Ports.free())
        try:
            start = start_stores_and_jars(stack, Console(stderr=True))
            _widen_rights_for_tests(start)
            announce(_environment(start))
        finally:
            reset(stack)


def _widen_rights_for_tests(start: Start) -> None:
    with psycopg.connect(postgres.dsn(start.stack, start.secrets, "postgres"), autocommit=True) as connection:
        connection.execute(f"ALTER ROLE {WAREHOUSE_OWNER} CREATEDB CREATEROLE")
        connection.execute(f"GRANT paylake_reader TO {WAREHOUSE_OWNER}")


def _environment(start: Start) -> dict[str, str]:
    stack: Stack = start.stack
    programs = program_environment(stack, start.java)
    return clients.store_environment(stack, start.secrets) | programs


if __name__ == "__main__":
    try:
        keep()
    except StackError as error:
        sys.exit(f"paylake: {error}")
