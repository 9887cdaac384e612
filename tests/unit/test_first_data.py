"""What a start asks of Airflow while it waits for the DAGs: a server that is slow to answer is waited for."""

from __future__ import annotations

import json
import threading
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from include.airflow_api import AirflowApi, AirflowApiError
from include.stack.first_data import await_read
from include.stack.steps import Step, Task
from tests.support.airflow_stand_in import served

ANSWERS = {
    "/api/v2/importErrors": {"import_errors": []},
    "/api/v2/dags": {"dags": [{"relative_fileloc": "a.py"}]},
}


def airflow(*statuses: int) -> AbstractContextManager[AirflowApi]:
    """A server that breaks off the first requests (status 0), or refuses them, and then answers as Airflow does."""
    first = list(statuses)

    def answer(target: str) -> tuple[int, bytes]:
        return first.pop(0) if first else 200, json.dumps(ANSWERS[target.partition("?")[0]]).encode()

    return served(answer)


@pytest.fixture
def task() -> Task:
    return Task(Step("dags", "DAGs", lambda _: None), threading.Event())


@pytest.fixture
def dags(tmp_path: Path) -> Path:
    (tmp_path / "a.py").touch()
    return tmp_path


def test_one_that_does_not_answer_at_once_is_asked_again(task: Task, dags: Path) -> None:
    with airflow(0, 200, 0) as api:
        await_read(api, dags, task)
    assert "does not answer" in task.message


def test_one_that_refuses_is_not(task: Task, dags: Path) -> None:
    with airflow(401) as api, pytest.raises(AirflowApiError, match="401"):
        await_read(api, dags, task)
