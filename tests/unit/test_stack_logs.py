"""Logs: the newest one of a DAG, the fraud events among other lines, and files that grow, rotate and are replaced."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from include.errors import StackError
from include.local.layout import Stack, locate
from include.stack.logs import follow, names, show
from tests.support.waiting import wait_until


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    found = replace(locate(), home=tmp_path)
    found.logs.mkdir()
    return found


def task_log(stack: Stack, dag_id: str, run: str, attempt: int = 1) -> Path:
    path = stack.task_logs / f"dag_id={dag_id}" / f"run_id={run}" / "task_id=t" / f"attempt={attempt}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def event(text: str) -> str:
    return json.dumps({"timestamp": "2026-01-31T13:45:00.123456Z", "level": "info", "event": text}) + "\n"


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def shown(stack: Stack, name: str, lines: int = 50) -> list[str]:
    found: list[str] = []
    show(stack, name, lines=lines, write=found.append)
    return found


@contextmanager
def followed(stack: Stack, name: str, lines: int = 50) -> Iterator[Callable[[list[str]], None]]:
    """Follow a log in the background; yields a function that waits for exactly these lines."""
    found: list[str] = []
    stop = threading.Event()
    thread = threading.Thread(
        target=follow,
        args=(stack, name),
        kwargs={"lines": lines, "write": found.append, "stop": stop.is_set},
    )
    thread.start()

    def await_lines(expected: list[str]) -> None:
        wait_until(lambda: found == expected, lambda: f"{expected}, found {found}", 20)

    try:
        yield await_lines
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()


def test_the_last_lines_of_a_server(stack: Stack) -> None:
    (stack.logs / "kafka.log").write_text("one\ntwo\nthree\n")
    assert shown(stack, "kafka", lines=2) == ["two", "three"]


def test_an_unknown_name_lists_the_known(stack: Stack) -> None:
    (stack.logs / "kafka.log").touch()
    task_log(stack, "silver_profiles", "1").touch()
    assert names(stack) == ["kafka", "fraud", "silver_profiles"]
    with pytest.raises(StackError, match="There is no log 'kafak'; there are: kafka, fraud, silver_profiles"):
        shown(stack, "kafak")


def test_the_newest_run_of_a_dag_readable(stack: Stack) -> None:
    for age, run in ((100, "old"), (0, "new"), (50, "older")):
        path = task_log(stack, "silver_profiles", run)
        path.write_text(event(f"of the {run} run"))
        os.utime(path, (time.time() - age,) * 2)
    assert shown(stack, "silver_profiles") == ["2026-01-31T13:45:00.123 INFO    of the new run"]


def test_a_task_that_failed_says_why(stack: Stack) -> None:
    entry = json.loads(event("Task failed with exception"))
    entry["error_detail"] = [
        {"exc_type": "AirflowFailException", "exc_value": "300 of 320 records\nwere rejected", "frames": []},
        {"exc_type": "OSError", "exc_value": "the cause", "frames": []},
    ]
    task_log(stack, "silver_profiles", "1").write_text(json.dumps(entry) + "\n")
    assert "\n".join(shown(stack, "silver_profiles")).splitlines() == [
        "2026-01-31T13:45:00.123 INFO    Task failed with exception",
        "OSError: the cause",
        "AirflowFailException: 300 of 320 records",
        "were rejected",
    ]


def test_only_the_fraud_events(stack: Stack) -> None:
    log = task_log(stack, "fraud_stream", "1")
    log.write_text(event("batch 1") + event("FRAUD T1 why") + "FRAUD T2 plain\n" + "{damaged\n" + event("FRAUD T3 why"))
    assert shown(stack, "fraud") == ["FRAUD T1 why", "FRAUD T2 plain", "FRAUD T3 why"]
    assert shown(stack, "fraud", lines=1) == ["FRAUD T3 why"]


def test_fraud_before_the_first_run_is_empty(stack: Stack) -> None:
    assert shown(stack, "fraud") == []


def test_following_goes_on_in_a_rotated_file(stack: Stack) -> None:
    log = stack.logs / "kafka.log"
    log.write_text("one\ntwo\n")
    with followed(stack, "kafka", lines=1) as await_lines:
        await_lines(["two"])
        append(log, "three\nfo")
        await_lines(["two", "three"])
        append(log, "ur\n")
        await_lines(["two", "three", "four"])
        log.rename(log.with_suffix(".log.1"))
        log.write_text("five\n")
        await_lines(["two", "three", "four", "five"])


def test_following_goes_on_in_a_cut_file(stack: Stack) -> None:
    log = stack.logs / "kafka.log"
    log.write_text("a long line\n")
    with followed(stack, "kafka") as await_lines:
        await_lines(["a long line"])
        log.write_text("new\n")
        await_lines(["a long line", "new"])


def test_following_fraud_goes_over_to_the_next_run(stack: Stack) -> None:
    with followed(stack, "fraud") as await_lines:
        first = task_log(stack, "fraud_stream", "1")
        first.write_text(event("FRAUD T1") + event("other"))
        await_lines(["FRAUD T1"])
        task_log(stack, "fraud_stream", "2").write_text(event("FRAUD T2"))
        await_lines(["FRAUD T1", "FRAUD T2"])
