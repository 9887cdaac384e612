"""What runs, how it is, where it listens, and how fresh each layer is."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from include.local import airflow, clients, health
from include.local.layers import LayerPart, duration, layers, layers_as_json, render_layers
from include.local.layout import Stack
from include.local.secrets import Secrets
from include.local.supervisor import Condition, Supervisor


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
class Status:
    """The whole stack. ``problems`` are layers that could not be asked, with the reason."""

    home: str
    processes: list[ProcessStatus]
    layers: list[LayerPart]
    problems: dict[str, str]

    @property
    def well(self) -> bool:
        """Whether every process does its work and every layer answers."""
        return not self.problems and all(process.problem is None for process in self.processes)

    def as_json(self) -> dict[str, Any]:
        """The status as plain values; times in ISO 8601, UTC."""
        return {
            "home": self.home,
            "well": self.well,
            "processes": [asdict(process) for process in self.processes],
            "layers": layers_as_json(self.layers),
            "problems": self.problems,
        }


def status(stack: Stack, secrets: Secrets) -> Status:
    """Ask everything at the same time; what does not answer is reported, not raised."""
    conditions = Supervisor(stack).conditions()
    processes = _processes(stack, secrets, conditions)
    found: list[LayerPart] = []
    problems: dict[str, str] = {}
    if any(condition.running for condition in conditions.values()):
        found, problems = layers(clients.settings(stack, secrets))
    return Status(str(stack.home), processes, found, problems)


def _processes(stack: Stack, secrets: Secrets, conditions: dict[str, Condition]) -> list[ProcessStatus]:
    probes = health.probes(stack, secrets)
    addresses = process_addresses(stack)

    def ask(name: str, probe: Callable[[float], str | None]) -> ProcessStatus:
        condition = conditions.get(name)
        if condition is None or not condition.running:
            state = condition.state.lower() if condition else "stopped"
            return ProcessStatus(name, state, "it does not run", None, addresses.get(name, ""), None)
        uptime = int(time.time() - condition.started)
        problem = probe(condition.started)
        return ProcessStatus(name, condition.state.lower(), problem, uptime, addresses.get(name, ""), condition.pid)

    with ThreadPoolExecutor(max_workers=len(probes)) as pool:
        return list(pool.map(ask, probes.keys(), probes.values()))


def process_addresses(stack: Stack) -> dict[str, str]:
    """Where each process that serves clients is reached."""
    host = "127.0.0.1"
    return {
        "postgres": f"{host}:{stack.ports.postgres}",
        "kafka": f"{host}:{stack.ports.kafka}",
        "minio": f"http://{host}:{stack.ports.minio} (console :{stack.ports.minio_console})",
        f"airflow-{airflow.COMPONENTS[0]}": clients.airflow_url(stack),
    }


def render(found: Status, console: Console) -> None:
    """Print the status as tables."""
    table = Table("process", "state", "uptime", "address", title=f"Processes of {found.home}", title_justify="left")
    for process in found.processes:
        state = f"[green]{process.state}[/]" if process.problem is None else f"[red]{process.state}[/]"
        if process.problem and process.uptime_seconds is not None:
            state += f": {process.problem}"
        table.add_row(process.name, state, duration(process.uptime_seconds), process.address)
    console.print(table)
    render_layers(found.layers, found.problems, console)
