"""What a start asks of Airflow while it waits for the DAGs: a server that is slow to answer is waited for."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from include.airflow_api import AirflowApi, AirflowApiError
from include.stack.first_data import await_read
from include.stack.steps import Step, Task

ANSWERS = {
    "/auth/token": {"access_token": "t"},
    "/api/v2/importErrors": {"import_errors": []},
    "/api/v2/dags": {"dags": [{"relative_fileloc": "a.py"}]},
}


@contextmanager
def airflow(*statuses: int) -> Iterator[AirflowApi]:
    """A server that breaks off the first requests (status 0), or refuses them, and then answers as Airflow does."""
    first = list(statuses)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            status = first.pop(0) if first else 200
            if status:
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps(ANSWERS[self.path.partition("?")[0]]).encode())

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield AirflowApi(f"http://127.0.0.1:{server.server_port}", "u", "p", 5)
    finally:
        server.shutdown()
        server.server_close()


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
