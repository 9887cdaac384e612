"""Old rows of Airflow's database, on a real PostgreSQL: removed as a task does it, but for what is still needed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from psycopg.sql import SQL, Identifier

from include.settings import Settings
from tests.support.warehouse import scratch_database

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
TASK = """
from datetime import timedelta
from paylake_airflow.operators.retention import PruneMetadataOperator
from airflow.sdk.execution_time.supervisor import block_orm_access
# As Airflow does before it runs a task.
block_orm_access()
PruneMetadataOperator(task_id="airflow_metadata", age=timedelta(days=30)).execute({})
"""
RUNS = [
    ("batch", "scheduled", "success", 50),
    ("batch", "asset_triggered", "failed", 40),
    ("batch", "scheduled", "success", 1),
    ("stream", "scheduled", "running", 50),
    ("stream", "scheduled", "failed", 40),
    ("once", "scheduled", "success", 60),
    ("once", "manual", "success", 50),
]
"""DAG, type and state of runs, and how many days ago each began and, if it has, ended."""
KEPT = {("batch", 1), ("stream", 50), ("stream", 40), ("once", 60)}


@pytest.fixture
def database(settings: Settings) -> Iterator[str]:
    """An empty database, as a libpq URI."""
    with scratch_database(settings) as dsn:
        yield f"{settings.warehouse_dsn.rpartition('/')[0]}/{conninfo_to_dict(dsn)['dbname']}"


def run(code: str, folder: Path, **environment: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={
            "AIRFLOW_HOME": str(folder),
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{ROOT}:{ROOT / 'airflow' / 'plugins'}",
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_old_goes_but_for_what_runs_and_what_the_next_run_follows_from(database: str, tmp_path: Path) -> None:
    run("from airflow.utils.db import initdb; initdb()", tmp_path, AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=database)
    now = datetime.now(UTC)
    with psycopg.connect(database) as conn:
        for dag_id, kind, state, days in RUNS:
            began = now - timedelta(days=days)
            ended = None if state == "running" else began
            values = {"dag": dag_id, "run": f"{days}", "kind": kind, "state": state, "began": began, "ended": ended}
            conn.execute(
                "INSERT INTO dag_run (dag_id, run_id, run_type, state, start_date, end_date, run_after, clear_number)"
                " VALUES (%(dag)s, %(run)s, %(kind)s, %(state)s, %(began)s, %(ended)s, %(began)s, 0)",
                values,
            )
            conn.execute(
                "INSERT INTO task_instance"
                " (id, dag_id, run_id, task_id, map_index, try_number, max_tries, pool, pool_slots, state, start_date)"
                " VALUES"
                " (gen_random_uuid(), %(dag)s, %(run)s, 'task', -1, 1, 0, 'default_pool', 1, %(state)s, %(began)s)",
                values,
            )
        for days in (31, 29):
            event = {"at": now - timedelta(days=days), "id": days}
            conn.execute("INSERT INTO log (dttm, event) VALUES (%(at)s, 'cli')", event)
            conn.execute("INSERT INTO asset_event (asset_id, timestamp, extra) VALUES (%(id)s, %(at)s, '{}')", event)

    run(TASK, tmp_path, AIRFLOW_CONN_AIRFLOW_DB=database)
    with psycopg.connect(database) as conn:
        for table in ("dag_run", "task_instance"):
            kept = conn.execute(SQL("SELECT dag_id, run_id::integer FROM {}").format(Identifier(table))).fetchall()
            assert set(kept) == KEPT, table
        for table, column in (("log", "dttm"), ("asset_event", "timestamp")):
            left = conn.execute(SQL("SELECT {} FROM {}").format(Identifier(column), Identifier(table))).fetchall()
            assert left == [(now - timedelta(days=29),)], table
        archives = conn.execute("SELECT tablename FROM pg_tables WHERE tablename LIKE '%deleted%'").fetchall()
        assert archives == [], "they would grow in the place of the tables"
