"""Kafka, MinIO and PostgreSQL for the length of a test session, in a home of their own, on free ports.

The servers belong to a keeper, a process of its own that waits on a pipe: when the tests end, in whatever way, even
by SIGKILL, the pipe closes and the keeper removes everything.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
from rich.console import Console

from include.local import airflow, clients, postgres
from include.local.errors import StackError
from include.local.layout import CLONE, Stack, locate
from include.local.ports import Ports
from include.local.reset import reset
from include.local.start import Start
from include.local.up import start_stores_and_jars
from include.warehouse.databases import WAREHOUSE_OWNER

STOP_SECONDS = 120.0


@contextmanager
def store_servers() -> Iterator[dict[str, str]]:
    """Start the servers; yields the environment by which clients and Spark jobs find them.

    Raises:
        StackError: they can not be started; the reason was printed to standard error.
    """
    keeper = subprocess.Popen(
        [sys.executable, "-m", __name__],
        cwd=CLONE,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # Ctrl-C is for the tests; the keeper learns of their end by its pipe.
        start_new_session=True,
    )
    try:
        assert keeper.stdout is not None  # noqa: S101 (for the type checker: a pipe was asked for)
        answer = keeper.stdout.readline()
        if not answer:
            raise StackError(f"The servers for the tests did not start (exit code {keeper.wait(STOP_SECONDS)}).")
        yield json.loads(answer)
    finally:
        keeper.communicate(timeout=STOP_SECONDS)


def keep() -> None:
    """Be the keeper: start, print the environment as one line of JSON, wait for the end of the input, remove all."""
    with tempfile.TemporaryDirectory(prefix="paylake-stores-") as folder:
        stack = replace(locate(), home=Path(folder).resolve() / "home", ports=Ports.free())
        try:
            start = start_stores_and_jars(stack, Console(stderr=True))
            _widen_rights_for_tests(start)
            sys.stdout.write(json.dumps(_environment(start)) + "\n")
            sys.stdout.flush()
            sys.stdin.read()
        finally:
            reset(stack)


def _widen_rights_for_tests(start: Start) -> None:
    with psycopg.connect(postgres.dsn(start.stack, start.secrets, "postgres"), autocommit=True) as connection:
        connection.execute(f"ALTER ROLE {WAREHOUSE_OWNER} CREATEDB CREATEROLE")
        connection.execute(f"GRANT paylake_reader TO {WAREHOUSE_OWNER}")


def _environment(start: Start) -> dict[str, str]:
    stack: Stack = start.stack
    programs = airflow.program_environment(stack, start.java)
    return clients.store_environment(stack, start.secrets) | programs


if __name__ == "__main__":
    try:
        keep()
    except StackError as error:
        sys.exit(f"paylake: {error}")
