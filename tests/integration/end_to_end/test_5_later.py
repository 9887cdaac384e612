"""A task is killed, and months pass."""

from __future__ import annotations

import json
import os
import signal
import time
from datetime import datetime

import psycopg
import pytest

from include.local.secrets import load_secrets
from include.local.servers import postgres
from tests.support.people import webhook
from tests.support.processes import parent
from tests.support.stack import Traffic
from tests.support.story import FLOW_SECONDS, Story
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1500)]


def test_verdicts_flow_again_soon_after_the_fraud_task_was_killed(story: Story) -> None:
    (driver,) = story.stack.drivers()
    os.kill(parent(driver), signal.SIGKILL)
    killed = time.monotonic()
    with Traffic(story.settings) as traffic:
        traffic.seconds_until_judged(traffic.last(), killed, 180)
    assert driver not in story.stack.drivers()
    traffic.assert_all_judged()
    verified = story.stack.paylake("verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert "The books balance" in verified.stdout


def test_what_is_old_goes_and_what_is_at_work_stays(story: Story) -> None:
    layout, airflow = story.stack.layout, story.airflow
    (driver,), (stream,) = story.stack.drivers(), airflow.unfinished("fraud_stream")
    assert airflow.run("bronze_profiles") == "success"
    runs = airflow.get("dags/bronze_profiles/dagRuns", limit=100)["dag_runs"]
    by_itself = [run for run in runs if run["run_type"] != "manual"]
    newest = max(by_itself, key=lambda run: datetime.fromisoformat(run["queued_at"]))["dag_run_id"]
    assert len(runs) > 1
    young = airflow.asset_events("bronze/account-folder")
    assert young

    with psycopg.connect(postgres.dsn(layout, load_secrets(layout), "airflow")) as database:
        for table in ("dag_run", "task_instance"):
            database.execute(
                f"UPDATE {table} SET start_date = start_date - interval '40 days',"  # noqa: S608 - names from above
                " end_date = end_date - interval '40 days' WHERE dag_id IN ('bronze_profiles', 'fraud_stream')"
            )
        database.execute(
            "UPDATE asset_event SET timestamp = timestamp - interval '40 days' WHERE source_dag_id = 'bronze_profiles'"
        )
    with psycopg.connect(story.settings.warehouse_dsn) as warehouse:
        warehouse.execute("UPDATE ops.stream_batch SET committed_at = committed_at - interval '3 days'")
    logs = sorted((layout.task_logs / "dag_id=bronze_profiles").rglob("*.log"), key=lambda path: path.stat().st_mtime)
    for number, path in enumerate(logs):
        then = time.time() - 40 * 86_400 + number
        os.utime(path, (then, then))

    assert airflow.run("retention") == "success", story.stack.paylake("logs", "retention").stdout
    kept = airflow.get("dags/bronze_profiles/dagRuns", limit=100)["dag_runs"]
    assert [run["dag_run_id"] for run in kept] == [newest]
    assert airflow.asset_events("bronze/profiles-folder") == []
    assert airflow.asset_events("bronze/account-folder") == young
    assert list((layout.task_logs / "dag_id=bronze_profiles").rglob("*.log")) == logs[-1:]
    assert max(count for (count,) in story.rows("SELECT count(*) FROM ops.stream_batch GROUP BY checkpoint_id")) <= 2

    assert [run["dag_run_id"] for run in airflow.unfinished("fraud_stream")] == [stream["dag_run_id"]]
    assert story.stack.drivers() == [driver]
    verified = story.stack.paylake("verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_people_are_told_once_of_books_that_nobody_looked_at_and_once_more_when_somebody_did(story: Story) -> None:
    airflow, layout = story.airflow, story.stack.layout
    assert story.stack.paylake("airflow", "dags", "pause", "verify_books").returncode == 0
    wait_until(lambda: not airflow.unfinished("verify_books"), "the end of verifications", FLOW_SECONDS)
    with psycopg.connect(postgres.dsn(layout, load_secrets(layout), "airflow")) as database:
        database.execute(
            "UPDATE asset_event SET timestamp = timestamp - interval '3 hours' WHERE source_dag_id = 'verify_books'"
        )
    with webhook() as (url, told):
        connection = {"connection_id": "alert_webhook", "conn_type": "http", "host": url}
        assert airflow.post("connections", connection).status_code == 201

        def of_books() -> list[str]:
            return [one["subject"] for one in told if "checks/books" in one["subject"]]

        for _ in range(2):
            assert airflow.run("freshness") == "success"
            assert of_books() == ["checks/books is overdue"]
        found = json.loads(story.stack.paylake("status", "--json").stdout)
        assert ("overdue", "checks/books") in {(one["check"], one["subject"]) for one in found["problems"]}

        assert story.stack.paylake("airflow", "dags", "unpause", "verify_books").returncode == 0
        assert airflow.run("verify_books") == "success"
        assert airflow.run("freshness") == "success"
        assert of_books() == ["checks/books is overdue", "checks/books is fresh again"]
