"""A whole Paylake of its own for a test: `./paylake up` in a temporary home, on free ports, without our traffic."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import requests

from include.settings import Settings
from tests.ports import free_port_base

PAYLAKE = Path(__file__).parents[1] / "paylake"


class Airflow:
    """Airflow's REST API, as its user sees it."""

    def __init__(self, url: str, username: str, password: str) -> None:
        self._url = url
        self._session = requests.Session()
        token = self._session.post(f"{url}/auth/token", json={"username": username, "password": password}, timeout=30)
        token.raise_for_status()
        self._session.headers["Authorization"] = f"Bearer {token.json()['access_token']}"

    def get(self, path: str, **parameters: Any) -> Any:
        response = self._session.get(f"{self._url}/api/v2/{path}", params=parameters, timeout=30)
        response.raise_for_status()
        return response.json()

    def asset_events(self, name: str) -> list[dict[str, Any]]:
        """The asset's events, oldest first."""
        found = [asset for asset in self.get("assets", name_pattern=name, limit=100)["assets"] if asset["name"] == name]
        assert len(found) == 1, (name, found)
        page = self.get("assets/events", asset_id=found[0]["id"], limit=100, order_by="timestamp")
        assert page["total_entries"] <= 100
        events: list[dict[str, Any]] = page["asset_events"]
        return events

    def run(self, dag_id: str, conf: dict[str, Any] | None = None, seconds: float = 420) -> str:
        """Trigger a DAG and return the state in which its run ended."""
        response = self._session.post(
            f"{self._url}/api/v2/dags/{dag_id}/dagRuns", json={"logical_date": None, "conf": conf or {}}, timeout=30
        )
        response.raise_for_status()
        run_id = response.json()["dag_run_id"]
        deadline = time.monotonic() + seconds
        while (state := self.get(f"dags/{dag_id}/dagRuns/{run_id}")["state"]) not in ("success", "failed"):
            assert time.monotonic() < deadline, f"{dag_id} is still {state} after {seconds:.0f} s"
            time.sleep(0.5)
        return str(state)


@dataclass(frozen=True)
class Stack:
    """A running stack; ``environment`` is what ``./paylake`` needs to find it again."""

    home: Path
    environment: dict[str, str]
    settings: Settings
    airflow: Airflow

    def paylake(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return run_paylake(self.environment, *arguments)


def run_paylake(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``./paylake`` to its end; its output is captured, its exit code is for the caller to judge."""
    return subprocess.run(
        [PAYLAKE, *arguments], env=environment, capture_output=True, text=True, timeout=1200, check=False
    )


def exports(environment: dict[str, str]) -> dict[str, str]:
    """What a shell knows after ``eval "$(./paylake env)"``."""
    script = f'eval "$("{PAYLAKE}" env)" && env -0'
    shell = subprocess.run(
        ["bash", "-c", script], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    return dict(line.split("=", 1) for line in shell.stdout.split("\0") if line)


@contextmanager
def whole_stack() -> Iterator[Stack]:
    """Start a stack and take it down with its data, whatever the test did."""
    with TemporaryDirectory(prefix="paylake-test-") as home:
        environment = os.environ | {"PAYLAKE_HOME": home, "PAYLAKE_PORT_BASE": str(free_port_base())}
        try:
            up = run_paylake(environment, "up", "--no-traffic")
            assert up.returncode == 0, up.stdout + up.stderr
            known = exports(environment)
            airflow = Airflow(known["AIRFLOW_URL"], known["AIRFLOW_USERNAME"], known["AIRFLOW_PASSWORD"])
            yield Stack(Path(home), environment, Settings.from_environment(known), airflow)
        finally:
            down = run_paylake(environment, "reset", "--yes")
            assert down.returncode == 0, down.stdout + down.stderr
