"""The few calls of Airflow's REST API that starting and watching the stack needs."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping, Sequence
from datetime import date
from functools import cached_property
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import quote

import httpx

from include.errors import StackError


class AirflowApiError(StackError):
    """The API did not answer, or refused; ``status`` is the HTTP status of a refusal."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class AirflowReader(Protocol):
    """What is read of Airflow to watch the stack, in the words of its REST API; see `AirflowApi`."""

    def dags(self) -> list[dict[str, Any]]: ...  # noqa: D102
    def import_errors(self) -> list[dict[str, Any]]: ...  # noqa: D102
    def runs(self, dag_id: str, *, limit: int = 50, **filters: str | Sequence[str]) -> list[dict[str, Any]]: ...  # noqa: D102
    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]: ...  # noqa: D102
    def tries(self, dag_id: str, run_id: str, task_id: str) -> list[dict[str, Any]]: ...  # noqa: D102
    def assets(self) -> list[dict[str, Any]]: ...  # noqa: D102
    def asset_event(self, asset_id: int, *, skip: int = 0) -> dict[str, Any] | None: ...  # noqa: D102


class AirflowApi:
    """The API as one of its users sees it. Every call waits ``seconds`` at most and is tried once."""

    def __init__(self, url: str, username: str, password: str, seconds: float = 30.0) -> None:
        self._url = url
        self._login = {"username": username, "password": password}
        self._token: str | None = None
        self._seconds = seconds

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ, seconds: float = 30.0) -> AirflowApi:
        """The API of the Airflow that AIRFLOW_URL, AIRFLOW_USERNAME and AIRFLOW_PASSWORD name.

        Raises:
            AirflowApiError: one of them is not set.
        """
        names = ("AIRFLOW_URL", "AIRFLOW_USERNAME", "AIRFLOW_PASSWORD")
        if missing := [name for name in names if not environment.get(name)]:
            raise AirflowApiError(f"Airflow could not be asked: {missing[0]} is not set")
        url, username, password = (environment[name] for name in names)
        return cls(url, username, password, seconds)

    def health(self) -> dict[str, Any]:
        """What each part of Airflow last reported."""
        return dict(self._request("GET", "/api/v2/monitor/health", authenticated=False))

    def dags(self) -> list[dict[str, Any]]:
        """The DAGs that were read from the present files."""
        return list(self._call("GET", "/dags?limit=200")["dags"])

    def import_errors(self) -> list[dict[str, Any]]:
        """The files that could not be read, with their tracebacks."""
        return list(self._call("GET", "/importErrors?limit=100")["import_errors"])

    def unpause(self, dag_id: str) -> None:
        """Let the scheduler run the DAG."""
        self._call("PATCH", f"/dags/{quote(dag_id)}?update_mask=is_paused", {"is_paused": False})

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None) -> str:
        """Start a run of the DAG now, with these values of its parameters; its id."""
        body = {"logical_date": None, "conf": dict(conf or {})}
        return str(self._call("POST", f"/dags/{quote(dag_id)}/dagRuns", body)["dag_run_id"])

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """A run of the DAG, as it is now."""
        return dict(self._call("GET", _run(dag_id, run_id)))

    def start_backfill(self, dag_id: str, first: date, last: date, most_at_once: int) -> dict[str, Any]:
        """Have each day of a range made anew by a run of its own, so many side by side; the backfill as it begins."""
        body = {
            "dag_id": dag_id,
            "from_date": f"{first}T00:00:00Z",
            "to_date": f"{last}T00:00:00Z",
            "reprocess_behavior": "completed",
            "max_active_runs": most_at_once,
        }
        return dict(self._call("POST", "/backfills", body))

    def backfill(self, backfill_id: int) -> dict[str, Any]:
        """A backfill, as it is now."""
        return dict(self._call("GET", f"/backfills/{backfill_id}"))

    def count_runs(self, dag_id: str, **filters: str | Sequence[str]) -> int:
        """How many runs of the DAG there are; ``filters`` as `runs` has them."""
        parameters = httpx.QueryParams({"limit": 1, **filters})
        return int(self._call("GET", f"/dags/{quote(dag_id)}/dagRuns?{parameters}")["total_entries"])

    def runs(self, dag_id: str, *, limit: int = 50, **filters: str | Sequence[str]) -> list[dict[str, Any]]:
        """The DAG's newest runs, newest first; dag_id ``~`` stands for all DAGs.

        ``filters`` are parameters of Airflow's own, such as ``state`` or ``end_date_gte``.
        """
        parameters = httpx.QueryParams({"limit": limit, "order_by": "-id", **filters})
        return list(self._call("GET", f"/dags/{quote(dag_id)}/dagRuns?{parameters}")["dag_runs"])

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """The tasks of a run, as they are now."""
        return list(self._call("GET", f"{_run(dag_id, run_id)}/taskInstances?limit=100")["task_instances"])

    def tries(self, dag_id: str, run_id: str, task_id: str) -> list[dict[str, Any]]:
        """Each try of a task that was begun in a run, in no particular order."""
        path = f"{_run(dag_id, run_id)}/taskInstances/{quote(task_id, safe='')}/tries"
        return list(self._call("GET", path)["task_instances"])

    def assets(self) -> list[dict[str, Any]]:
        """The assets of the present DAGs, each with the time of its newest event."""
        return list(self._call("GET", "/assets?limit=200")["assets"])

    def asset_event(self, asset_id: int, *, skip: int = 0) -> dict[str, Any] | None:
        """The asset's newest event, or that before ``skip`` newer ones; None if there is none."""
        parameters = httpx.QueryParams({"asset_id": asset_id, "limit": 1, "offset": skip, "order_by": "-timestamp"})
        found = self._call("GET", f"/assets/events?{parameters}")["asset_events"]
        return dict(found[0]) if found else None

    def ensure_pool(self, name: str, slots: int, description: str, instead_of: int | None = None) -> None:
        """Make the pool unless it is there; one that is there is left as it is, unless it has ``instead_of`` slots."""
        body = {"name": name, "slots": slots, "description": description, "include_deferred": False}
        try:
            self._call("POST", "/pools", body)
        except AirflowApiError as error:
            if error.status != HTTPStatus.CONFLICT:
                raise
            path = f"/pools/{quote(name)}"
            if instead_of is not None and self._call("GET", path)["slots"] == instead_of:
                self._call("PATCH", f"{path}?update_mask=slots", {"slots": slots})

    @cached_property
    def _client(self) -> httpx.Client:
        # The stack is on this machine or beside it: a proxy that the environment names must not be asked for it. And
        # who asks seldom gets a new connection, not one that the server is about to close.
        return httpx.Client(
            timeout=self._seconds,
            trust_env=False,
            verify=ssl.create_default_context(),
            limits=httpx.Limits(keepalive_expiry=1.0),
        )

    def _call(self, method: str, path: str, body: object = None) -> Any:
        if self._token is None:
            self._token = self._request("POST", "/auth/token", self._login, authenticated=False)["access_token"]
        return self._request(method, f"/api/v2{path}", body)

    def _request(self, method: str, path: str, body: object = None, *, authenticated: bool = True) -> Any:
        headers = {"Authorization": f"Bearer {self._token}"} if authenticated else {}
        try:
            answer = self._client.request(method, self._url + path, json=body, headers=headers)
            if answer.is_error:
                raise AirflowApiError(
                    f"Airflow answered {answer.status_code} to {method} {path}: {answer.text[:500]}", answer.status_code
                )
            return answer.json()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise AirflowApiError(f"Airflow does not answer on {self._url}: {error}") from error


def _run(dag_id: str, run_id: str) -> str:
    # Runs are named after moments, with signs that mean something else in an address.
    return f"/dags/{quote(dag_id, safe='')}/dagRuns/{quote(run_id, safe='')}"
