"""What runs, how it is, where it listens, and how fresh each layer is."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg
from botocore.exceptions import BotoCoreError, ClientError
from pyiceberg.exceptions import NoSuchTableError
from rich.console import Console
from rich.table import Table
from sqlalchemy.exc import SQLAlchemyError

from include.local import airflow, clients, health
from include.local.layers import LAYERS, LayerPart
from include.local.layout import Stack
from include.local.secrets import Secrets
from include.local.supervisor import Condition, Supervisor

STORE_ERRORS = (psycopg.Error, BotoCoreError, ClientError, SQLAlchemyError, NoSuchTableError, OSError)


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
        layers = [asdict(part) | {"updated": part.updated and part.updated.isoformat()} for part in self.layers]
        processes = [asdict(process) for process in self.processes]
        return {
            "home": self.home,
            "well": self.well,
            "processes": processes,
            "layers": layers,
            "problems": self.problems,
        }


def status(stack: Stack, secrets: Secrets) -> Status:
    """Ask everything at the same time; what does not answer is reported, not raised."""
    conditions = Supervisor(stack).conditions()
    processes = _processes(stack, secrets, conditions)
    found: list[LayerPart] = []
    problems: dict[str, str] = {}
    if any(condition.running for condition in conditions.values()):
        settings = clients.settings(stack, secrets)
        with ThreadPoolExecutor() as pool:
            answers = {name: pool.submit(ask, settings) for name, ask in LAYERS.items()}
        for name, answer in answers.items():
            try:
                found += answer.result()
            except STORE_ERRORS as error:
                problems[name] = (str(error).strip().splitlines() or [type(error).__name__])[0]
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
        table.add_row(process.name, state, _duration(process.uptime_seconds), process.address)
    console.print(table)
    if found.layers:
        console.print(layer_table(found.layers))
    for layer, reason in found.problems.items():
        console.print(f"{layer} does not answer: {reason}", style="red", markup=False)


def layer_table(parts: list[LayerPart]) -> Table:
    """Rows and last update of each part of each layer."""
    table = Table("layer", "name", title="Layers", title_justify="left")
    table.add_column("rows", justify="right")
    table.add_column("last update")
    previous = ""
    for part in parts:
        layer, previous = ("" if part.layer == previous else part.layer), part.layer
        table.add_row(layer, part.name, f"{part.rows:,}", _ago(part.updated))
    return table


def _ago(moment: datetime | None) -> str:
    if moment is None:
        return "-"
    seconds = int((datetime.now(UTC) - moment).total_seconds())
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC ({_duration(max(seconds, 0))} ago)"


def _duration(seconds: int | None) -> str:
    if seconds is None:
        return "-"
    days, rest = divmod(seconds, 86400)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    shown = [f"{value} {unit}" for value, unit in parts if value][:2]
    return " ".join(shown) or "0 s"
