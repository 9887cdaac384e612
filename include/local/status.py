"""What runs, how it is, where it listens, and whether what should flow does."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from rich.console import Console
from rich.table import Table

from include.local.layout import Stack
from include.local.secrets import Secrets
from include.local.servers import airflow, clients
from include.local.supervision import health
from include.local.supervision.supervisor import Condition, Supervisor
from include.stack.status import Status
from include.status.asking import SECONDS, ask
from include.status.flow import NO_ANSWER, Flow, flow, joined
from include.status.problems import Problem
from include.status.render import render
from include.status.times import duration

AIRFLOW_SECONDS = 10.0
"""How long one question to Airflow may take."""


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """One process. ``problem`` is None when it does its work; ``uptime_seconds`` is None when it does not run."""

    name: str
    state: str
    problem: str | None
    uptime_seconds: int | None
    address: str
    pid: int | None


@dataclass(frozen=True, slots=True)
class LocalStatus(Status):
    """The stack with its processes; what is wrong with one of them is a problem of the flow's."""

    home: str
    processes: list[ProcessStatus]

    def as_json(self) -> dict[str, Any]:
        """The status as plain values; times in ISO 8601, UTC."""
        return {
            "home": self.home,
            "well": self.well,
            "processes": [asdict(process) for process in self.processes],
            **self.flow.as_json(),
        }

    def show(self, console: Console) -> None:
        """Print it as tables, the processes first."""
        table = Table("process", "state", "uptime", "address", title=f"Processes of {self.home}", title_justify="left")
        for process in self.processes:
            state = f"[green]{process.state}[/]" if process.problem is None else f"[red]{process.state}[/]"
            table.add_row(process.name, state, duration(process.uptime_seconds), process.address)
        console.print(table)
        render(self.flow, console)


def status(stack: Stack, secrets: Secrets, seconds: float = SECONDS) -> LocalStatus:
    """Ask the processes, then all else, for ``seconds`` each. Nothing is raised: what does not answer is a problem."""
    told, reasons = ask({"supervisor": Supervisor(stack).conditions}, seconds)
    conditions = told.get("supervisor", {})
    processes = _processes(stack, secrets, conditions, seconds)
    problems = [Problem(NO_ANSWER, name, text) for name, text in reasons.items()]
    problems += [Problem("process", one.name, one.problem) for one in processes if one.problem is not None]
    parts = [Flow(problems=tuple(problems))]
    if reasons or any(condition.running for condition in conditions.values()):
        api = clients.airflow_api(stack, secrets, AIRFLOW_SECONDS)
        parts.append(flow(clients.settings(stack, secrets), airflow=api, task_logs=stack.task_logs, seconds=seconds))
    return LocalStatus(joined(parts), str(stack.home), processes)


def _processes(
    stack: Stack, secrets: Secrets, conditions: Mapping[str, Condition], seconds: float
) -> list[ProcessStatus]:
    probes, addresses = health.probes(stack, secrets), process_addresses(stack)
    running = {name for name in probes if name in conditions and conditions[name].running}
    problems, reasons = ask({name: partial(probes[name], conditions[name].started) for name in running}, seconds)

    def describe(name: str) -> ProcessStatus:
        condition, address = conditions.get(name), addresses.get(name, "")
        state = condition.state.lower() if condition else "stopped"
        if condition is None or name not in running:
            return ProcessStatus(name, state, "it does not run", None, address, None)
        problem = reasons.get(name) or problems.get(name)
        return ProcessStatus(name, state, problem, int(time.time() - condition.started), address, condition.pid)

    return [describe(name) for name in probes]


def process_addresses(stack: Stack) -> dict[str, str]:
    """Where each process that serves clients is reached."""
    host = "127.0.0.1"
    return {
        "postgres": f"{host}:{stack.ports.postgres}",
        "kafka": f"{host}:{stack.ports.kafka}",
        "minio": f"http://{host}:{stack.ports.minio} (console :{stack.ports.minio_console})",
        f"airflow-{airflow.COMPONENTS[0]}": clients.airflow_url(stack),
    }
