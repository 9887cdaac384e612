"""The few calls of Airflow's REST API that starting and watching the stack needs."""

from __future__ import annotations

import http.client
import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any

from include.local.errors import StackError

# The stack is on this machine or beside it: a proxy that the environment names must not be asked for it.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class AirflowApiError(StackError):
    """The API did not answer, or refused; ``status`` is the HTTP status of a refusal."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class AirflowApi:
    """The API as one of its users sees it. Every call waits ``seconds`` at most and is tried once."""

    def __init__(self, url: str, username: str, password: str, seconds: float = 30.0) -> None:
        self._url = url
        self._login = {"username": username, "password": password}
        self._seconds = seconds
        self._token: str | None = None

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
        self._call("PATCH", f"/dags/{urllib.parse.quote(dag_id)}?update_mask=is_paused", {"is_paused": False})

    def trigger(self, dag_id: str) -> None:
        """Start a run of the DAG now."""
        self._call("POST", f"/dags/{urllib.parse.quote(dag_id)}/dagRuns", {"logical_date": None})

    def runs(self, dag_id: str, *, limit: int = 50, **filters: str | Sequence[str]) -> list[dict[str, Any]]:
        """The DAG's newest runs, newest first; dag_id ``~`` stands for all DAGs.

        ``filters`` are parameters of Airflow's own, such as ``state`` or ``end_date_gte``.
        """
        query = urllib.parse.urlencode({"limit": limit, "order_by": "-id", **filters}, doseq=True)
        return list(self._call("GET", f"/dags/{urllib.parse.quote(dag_id)}/dagRuns?{query}")["dag_runs"])

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """The tasks of a run, as they are now."""
        return list(self._call("GET", f"{_run(dag_id, run_id)}/taskInstances?limit=100")["task_instances"])

    def tries(self, dag_id: str, run_id: str, task_id: str) -> list[dict[str, Any]]:
        """Each try of a task that was begun in a run, in no particular order."""
        path = f"{_run(dag_id, run_id)}/taskInstances/{urllib.parse.quote(task_id, safe='')}/tries"
        return list(self._call("GET", path)["task_instances"])

    def ensure_pool(self, name: str, slots: int, description: str, instead_of: int | None = None) -> None:
        """Make the pool unless it is there; one that is there is left as it is, unless it has ``instead_of`` slots."""
        body = {"name": name, "slots": slots, "description": description, "include_deferred": False}
        try:
            self._call("POST", "/pools", body)
        except AirflowApiError as error:
            if error.status != http.client.CONFLICT:
                raise
            path = f"/pools/{urllib.parse.quote(name)}"
            if instead_of is not None and self._call("GET", path)["slots"] == instead_of:
                self._call("PATCH", f"{path}?update_mask=slots", {"slots": slots})

    def _call(self, method: str, path: str, body: object = None) -> Any:
        if self._token is None:
            self._token = self._request("POST", "/auth/token", self._login, authenticated=False)["access_token"]
        return self._request(method, f"/api/v2{path}", body)

    def _request(self, method: str, path: str, body: object = None, *, authenticated: bool = True) -> Any:
        request = urllib.request.Request(  # noqa: S310 (the address is the stack's own)
            self._url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "Accept": "application/json"},
        )
        if authenticated:
            request.add_header("Authorization", f"Bearer {self._token}")
        try:
            with _OPENER.open(request, timeout=self._seconds) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            text = error.read().decode(errors="replace")[:500]
            raise AirflowApiError(f"Airflow answered {error.code} to {method} {path}: {text}", error.code) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise AirflowApiError(f"Airflow does not answer on {self._url}: {reason}") from error


def _run(dag_id: str, run_id: str) -> str:
    # Runs are named after moments, with signs that mean something else in an address.
    return f"/dags/{urllib.parse.quote(dag_id, safe='')}/dagRuns/{urllib.parse.quote(run_id, safe='')}"
