"""The parts of a status that need no servers: asking, judging, and reading what Airflow says."""

from __future__ import annotations

import json
import threading
import time
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from rich.console import Console

from include.airflow_api import AirflowApi
from include.status.asking import ask, one_line
from include.status.flow import Flow
from include.status.lag import Lag
from include.status.problems import Problem
from include.status.render import render
from include.status.tasks import FLOW_DAGS, FailedTask, last_error, look
from include.status.times import duration
from include.status.waiting import OPEN_TRANSACTION, QUARANTINE, Waiting
from tests.support.airflow_stand_in import served


def test_each_question_is_answered_on_its_own() -> None:
    never = threading.Event()

    def broken() -> str:
        raise KeyError("dags")

    def several_lines() -> str:
        raise RuntimeError("first\n\tsecond \x1b[31mred")

    started = time.monotonic()
    answers, reasons = ask(
        {"good": lambda: "yes", "broken": broken, "silent": lambda: str(never.wait(60)), "long": several_lines},
        seconds=0.5,
    )
    assert time.monotonic() - started < 5
    assert answers == {"good": "yes"}
    assert reasons == {
        "broken": "KeyError: 'dags'",
        "silent": "no answer within 0 s",
        "long": "RuntimeError: first second [31mred",
    }


def test_a_line_is_cut_where_it_is_very_long() -> None:
    assert one_line("x" * 1000) == "x" * 299 + "…"
    assert one_line("Größe: 5 €") == "Größe: 5 €"


@pytest.mark.parametrize(
    ("records", "seconds", "late"), [(0, None, False), (5, None, False), (5, 60.0, False), (5, 60.1, True)]
)
def test_what_waits_for_longer_than_its_limit_is_late(records: int, seconds: float | None, late: bool) -> None:
    assert Lag("bronze", "kafka", "transactions", records, seconds, 60.0).late is late


@pytest.mark.parametrize(
    ("waiting", "too_long"),
    [
        (Waiting(OPEN_TRANSACTION, "transactions", 5, 59.0, "transactions", 1, 4), False),
        (Waiting(OPEN_TRANSACTION, "transactions", 5, None, "transactions", 1, 4), False),
        (Waiting(OPEN_TRANSACTION, "transactions", 5, 61.0, "transactions", 1, 4), True),
        (Waiting(QUARANTINE, "profiles", 5, 1e6), False),
    ],
)
def test_quarantine_waits_for_people_and_a_transaction_for_a_minute(waiting: Waiting, too_long: bool) -> None:
    assert waiting.too_long is too_long


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "-"), (0.4, "0 s"), (61.0, "1 min 1 s"), (3600, "1 h"), (90061, "1 d 1 h")]
)
def test_durations_have_two_units(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_what_is_said_of_several_parts_is_printed_once_and_markup_is_text() -> None:
    output = StringIO()
    found = Flow(problems=(Problem("no_answer", "a", "[red]gone[/]"), Problem("no_answer", "b", "[red]gone[/]")))
    render(found, Console(file=output, width=100))
    assert output.getvalue() == "✗ a; b: [red]gone[/]\n"


class StandIn:
    """Answers as Airflow's REST API does to what a status asks."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)
        self.dags = {
            name: {"dag_id": name, "is_paused": False, "timetable_summary": "Asset"}
            for name in (*FLOW_DAGS, "verify_books")
        }
        self.runs: list[dict[str, Any]] = []
        self.tries: list[dict[str, Any]] = []
        self.import_errors: list[dict[str, Any]] = []
        self.nonsense: bytes | None = None

    def ago(self, seconds: float) -> str:
        return (self.now - timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")

    def run(self, dag_id: str, state: str, ended: float | None, *tries: tuple[str, float, float | None]) -> str:
        """A run newer than those before, with one task; a try is its state and how long ago it began and ended."""
        run_id = f"asset_triggered__{len(self.runs)}+00:00/x"
        end = None if ended is None else self.ago(ended)
        self.runs.append({"dag_id": dag_id, "dag_run_id": run_id, "state": state, "end_date": end})
        for number, (outcome, began, ceased) in enumerate(tries, start=1):
            self.tries.append(
                {
                    "dag_id": dag_id,
                    "dag_run_id": run_id,
                    "task_id": "work",
                    "map_index": -1,
                    "state": outcome,
                    "try_number": number,
                    "pool": "streams" if dag_id == "fraud_stream" else "default_pool",
                    "start_date": self.ago(began),
                    "end_date": None if ceased is None else self.ago(ceased),
                }
            )
        return run_id

    def answer(self, target: str) -> Any:
        parts = [unquote(part) for part in urlsplit(target).path.split("/")[3:]]
        query = parse_qs(urlsplit(target).query)
        match parts:
            case ["dags"]:
                return {"dags": list(self.dags.values())}
            case ["importErrors"]:
                return {"import_errors": self.import_errors}
            case ["dags", dag_id, "dagRuns"]:
                return {"dag_runs": self._runs(dag_id, query)}
            case ["dags", _, "dagRuns", run_id, "taskInstances"]:
                return {"task_instances": [one for one in self.tries if one["dag_run_id"] == run_id][-1:]}
            case ["dags", _, "dagRuns", run_id, "taskInstances", "work", "tries"]:
                return {"task_instances": [one for one in self.tries if one["dag_run_id"] == run_id]}
        raise LookupError(target)

    def _runs(self, dag_id: str, query: dict[str, list[str]]) -> list[dict[str, Any]]:
        found = [
            run
            for run in self.runs
            if dag_id in ("~", run["dag_id"])
            and run["state"] in query.get("state", [run["state"]])
            and (run["end_date"] or "") >= query.get("end_date_gte", [""])[0]
        ]
        newest_first = query["order_by"] == ["-id"]
        return (found[::-1] if newest_first else found)[: int(query["limit"][0])]


def told_by(stand_in: StandIn) -> AbstractContextManager[AirflowApi]:
    return served(lambda target: (200, stand_in.nonsense or json.dumps(stand_in.answer(target)).encode()))


@pytest.fixture
def airflow() -> StandIn:
    return StandIn()


def failed(airflow: StandIn, logs: Path | None = None) -> list[FailedTask]:
    with told_by(airflow) as api:
        found, problems = look(api, logs)
    told = [problem.subject for problem in problems if problem.check == "failed_task"]
    assert told == [f"{task.dag_id}.{task.task_id}" for task in found]
    return found


def seconds_ago(airflow: StandIn, task: FailedTask) -> int:
    assert task.since is not None
    return round((airflow.now - task.since).total_seconds())


def test_a_dag_that_has_succeeded_since_is_well(airflow: StandIn) -> None:
    airflow.run("gold_accounts", "failed", 500, ("failed", 510, 500))
    airflow.run("gold_accounts", "success", 400, ("success", 410, 400))
    airflow.run("gold_users", "success", 400, ("success", 410, 400))
    assert failed(airflow) == []


def test_a_dag_whose_newest_finished_run_failed_is_told_with_its_first_failure_since(airflow: StandIn) -> None:
    airflow.run("gold_accounts", "failed", 900, ("failed", 910, 900))
    airflow.run("gold_accounts", "success", 800, ("success", 810, 800))
    airflow.run("gold_accounts", "failed", 700, ("failed", 710, 700))
    last = airflow.run("gold_accounts", "failed", 600, ("up_for_retry", 650, 640), ("failed", 610, 600))
    airflow.run("gold_accounts", "running", None, ("running", 5, None))
    (task,) = failed(airflow)
    assert (task.dag_id, task.task_id, task.run_id, task.state) == ("gold_accounts", "work", last, "failed")
    assert (task.try_number, seconds_ago(airflow, task)) == (2, 700)


@pytest.mark.parametrize("now", ["up_for_retry", "queued", "running"])
def test_a_task_that_is_tried_again_is_told(airflow: StandIn, now: str) -> None:
    airflow.run("silver_accounts", "success", 800, ("success", 810, 800))
    tries = [("up_for_retry", 60.0, 50.0), (now, 20.0, 10.0 if now == "up_for_retry" else None)]
    airflow.run("silver_accounts", "running", None, *tries)
    (task,) = failed(airflow)
    assert (task.state, seconds_ago(airflow, task)) == ("up_for_retry", 50)
    assert task.try_number == (2 if now == "up_for_retry" else 1)


def test_a_stream_that_runs_steadily_is_well_whatever_happened_before(airflow: StandIn) -> None:
    airflow.run("fraud_stream", "failed", 5000, ("failed", 6000, 5000))
    airflow.run("fraud_stream", "running", None, ("failed", 4000, 3900), ("running", 3895, None))
    assert failed(airflow) == []


def test_a_stream_that_has_just_come_back_is_not_well_yet(airflow: StandIn) -> None:
    airflow.run("fraud_stream", "failed", 5000, ("failed", 6000, 5000))
    airflow.run("fraud_stream", "running", None, ("failed", 4000, 90), ("failed", 80, 40), ("running", 5, None))
    (task,) = failed(airflow)
    assert (task.state, task.try_number) == ("up_for_retry", 2)
    assert seconds_ago(airflow, task) == 90, "it was well for an hour before"


def test_a_stream_whose_first_try_begins_after_a_failed_run_is_not_well_yet(airflow: StandIn) -> None:
    airflow.run("fraud_stream", "failed", 10, ("failed", 200, 190), ("failed", 20, 10))
    airflow.run("fraud_stream", "running", None, ("running", 5, None))
    (task,) = failed(airflow)
    assert (task.state, seconds_ago(airflow, task)) == ("failed", 190)


def test_a_new_stream_is_well_at_once(airflow: StandIn) -> None:
    airflow.run("fraud_stream", "running", None, ("running", 5, None))
    assert failed(airflow) == []


def test_what_somebody_started_by_hand_or_paused_is_not_watched(airflow: StandIn) -> None:
    airflow.dags["reset_topics"] = {"dag_id": "reset_topics", "is_paused": False, "timetable_summary": None}
    airflow.run("reset_topics", "failed", 100, ("failed", 110, 100))
    airflow.dags["verify_books"]["is_paused"] = True
    airflow.run("verify_books", "failed", 100, ("failed", 110, 100))
    assert failed(airflow) == []


def test_dags_that_are_paused_missing_or_unreadable_are_problems(airflow: StandIn) -> None:
    airflow.dags["gold_profiles"]["is_paused"] = True
    del airflow.dags["silver_profiles"]
    trace = "Traceback (most recent call last):\n  File x\nSyntaxError: invalid syntax\n"
    airflow.import_errors = [{"filename": "silver.py", "stack_trace": trace}]
    with told_by(airflow) as api:
        _, problems = look(api, None)
    assert {(problem.check, problem.subject) for problem in problems} == {
        ("paused", "gold_profiles"),
        ("missing_dag", "silver_profiles"),
        ("import_error", "silver.py"),
    }
    assert "it cannot be read: SyntaxError: invalid syntax" in {problem.message for problem in problems}


def line(event: str, **more: Any) -> str:
    return json.dumps({"event": event, "level": "info", **more})


CANNOT = {"exc_type": "AirflowException", "exc_value": "Cannot execute: spark-submit. Error code is: 1.\nLast output"}


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        ([], None),
        ([line("::group::Pre Execute"), line("FRAUD T1 9000.00")], None),
        (
            [
                line("26/11/26 13:38:10 WARN NativeCodeLoader: Unable to load"),
                line("Traceback (most recent call last):"),
                line('File "/x.py", line 71, in settle'),
                line('psycopg.errors.UndefinedTable: relation "users" does not exist'),
                line("Task failed with exception", level="error", error_detail=[CANNOT]),
                line("::endgroup::"),
            ],
            'psycopg.errors.UndefinedTable: relation "users" does not exist',
        ),
        (
            [
                line("include.errors.EarlierError: this one was survived"),
                line(
                    "Task failed with exception",
                    level="error",
                    error_detail=[
                        {"exc_type": "Broken", "exc_value": "a row\n  breaks the contract"},
                        {"exc_type": "CheckViolation", "exc_value": "the cause"},
                    ],
                ),
            ],
            "Broken: a row breaks the contract",
        ),
        (
            [line("Task failed with exception", level="error", error_detail=[CANNOT])],
            "AirflowException: Cannot execute: spark-submit. Error code is: 1. Last output",
        ),
        ([line("Task killed!", level="error"), line("the last word")], "Task killed!"),
        (
            [line("Caused by: org.apache.spark.SparkException: Job aborted.")],
            "Caused by: org.apache.spark.SparkException: Job aborted.",
        ),
        (["no JSON at all", "[1, 2]", "ValueError: in plain text"], "ValueError: in plain text"),
        ([line("x", level="error", error_detail="nonsense"), line("y", error_detail=[7])], "x"),
    ],
)
def test_the_last_error_of_a_log_is_the_one_that_says_why(lines: list[str], error: str | None) -> None:
    assert last_error(lines) == error


def test_the_error_is_read_from_the_end_of_the_log_of_the_try_that_failed(airflow: StandIn, tmp_path: Path) -> None:
    run_id = airflow.run("gold_accounts", "failed", 100, ("failed", 110, 100))
    folder = tmp_path / "dag_id=gold_accounts" / f"run_id={run_id}" / "task_id=work"
    folder.mkdir(parents=True)
    with (folder / "attempt=1.log").open("w") as log:
        log.write(
            "x" * 1_000_000 + "\n" + line("include.warehouse.gold.BrokenContractError: accounts: negative") + "\n"
        )
    (task,) = failed(airflow, tmp_path)
    assert task.error == "include.warehouse.gold.BrokenContractError: accounts: negative"
    assert task.sentence.startswith("has failed, since 1 min 4")


@pytest.mark.parametrize("nonsense", [b"<html>", b"{}", b"[]", b"null", b"7", b'{"dags": [{}]}', b'{"dags": null}'])
def test_nonsense_is_one_line(airflow: StandIn, nonsense: bytes) -> None:
    airflow.nonsense = nonsense
    with told_by(airflow) as api:
        answers, reasons = ask({"airflow": lambda: look(api, None)})
    assert not answers
    assert reasons["airflow"]
    assert "\n" not in reasons["airflow"]
