"""Whether Airflow's parts are well, as its health report says; a server of the test's own tells the report."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from include.local.layout import Stack, locate
from include.local.ports import Ports
from include.local.secrets import ensure_secrets
from include.local.servers.airflow import COMPONENTS
from include.local.supervision import health

BEATING = [component for component in COMPONENTS if component != "api-server"]


class Airflow:
    """An API server that answers with ``report`` and counts how often it was asked; no answer while there is none."""

    def __init__(self) -> None:
        self.report: dict[str, Any] | None = {"metadatabase": {"status": "healthy"}}
        self.asked = 0
        for component in BEATING:
            self.beats(component, seconds_ago=1)

    def beats(self, component: str, seconds_ago: float) -> None:
        """The component's last heartbeat."""
        name = component.replace("-", "_")
        last = datetime.now(UTC) - timedelta(seconds=seconds_ago)
        status = "healthy" if seconds_ago < 30 else "unhealthy"
        assert self.report is not None
        self.report[name] = {"status": status, f"latest_{name}_heartbeat": last.isoformat()}


@contextmanager
def serving(airflow: Airflow) -> Iterator[int]:
    """The port on which it answers."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            airflow.asked += 1
            body = json.dumps(airflow.report or {}).encode()
            self.send_response(503 if airflow.report is None else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture
def airflow() -> Airflow:
    return Airflow()


@pytest.fixture
def stack(airflow: Airflow, tmp_path: Path) -> Iterator[Stack]:
    with serving(airflow) as port:
        yield replace(locate(), home=tmp_path, ports=replace(Ports.free(), airflow=port))


def test_a_look_at_all_parts_asks_for_the_report_once(stack: Stack, airflow: Airflow) -> None:
    probes = health.probes(stack, ensure_secrets(stack))
    started = time.time() - 600
    assert [probes[f"airflow-{name}"](started) for name in COMPONENTS] == [None] * len(COMPONENTS)
    assert airflow.asked == 1, "the watchdog looks every five seconds, and each report costs the API server queries"


def test_the_next_look_is_told_what_has_changed(
    stack: Stack, airflow: Airflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    probes = health.probes(stack, ensure_secrets(stack))
    started = time.time() - 600
    assert probes["airflow-scheduler"](started) is None
    airflow.beats("scheduler", seconds_ago=31)
    monkeypatch.setattr(health, "REPORT_SECONDS", 0.0)
    assert "31 s old" in str(probes["airflow-scheduler"](started))


def test_a_refusal_is_not_taken_for_the_report(stack: Stack, airflow: Airflow) -> None:
    probes = health.probes(stack, ensure_secrets(stack))
    report, airflow.report = airflow.report, None
    assert "503" in str(probes["airflow-api-server"](0.0))
    airflow.report = report
    assert probes["airflow-api-server"](0.0) is None


def test_what_was_reported_before_the_start_does_not_count(stack: Stack) -> None:
    probes = health.probes(stack, ensure_secrets(stack))
    assert probes["airflow-triggerer"](time.time() + 5) == "it has not reported yet"
