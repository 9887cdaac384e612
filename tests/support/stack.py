"""A whole Paylake of its own for a test: `./paylake up` in a temporary home, on free ports, without our traffic.

`Traffic` is a payment system beside it: a plain Kafka client whose every transaction is known to the test.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import Any

import psycopg
import requests
from confluent_kafka import KafkaError, Message, Producer

from include.domains import TRANSACTIONS
from include.local import layout
from include.local.servers.process import Process
from include.local.supervision.leftovers import find
from include.local.supervision.supervisor import Supervisor
from include.settings import Settings
from tests.support.ports import free_port_base
from tests.support.processes import command_line
from tests.support.records import encoded, good
from tests.support.waiting import wait_until

PAYLAKE = layout.CLONE / "paylake"
DRIVER = "include/spark/fraud_stream.py"


class Airflow:
    """Airflow's REST API, as its user sees it."""

    def __init__(self, url: str, username: str, password: str) -> None:
        self._url = url
        self._session = requests.Session()
        token = self._session.post(f"{url}/auth/token", json={"username": username, "password": password}, timeout=30)
        token.raise_for_status()
        self._session.headers["Authorization"] = f"Bearer {token.json()['access_token']}"

    def get(self, path: str, **parameters: Any) -> Any:
        """What the API answers to a GET."""
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

    def post(self, path: str, body: Any) -> requests.Response:
        """The answer, whatever it is."""
        return self._session.post(f"{self._url}/api/v2/{path}", json=body, timeout=60)

    def patch(self, path: str, body: Any) -> requests.Response:
        """The answer, whatever it is."""
        return self._session.patch(f"{self._url}/api/v2/{path}", json=body, timeout=60)

    def make_event(self, name: str, extra: Any) -> requests.Response:
        """Make an event of the asset by hand, as anybody may who has a login."""
        (asset,) = (one for one in self.get("assets", name_pattern=name, limit=100)["assets"] if one["name"] == name)
        return self.post("assets/events", {"asset_id": asset["id"], "extra": extra})

    def unfinished(self, *dag_ids: str) -> list[dict[str, Any]]:
        """The DAGs' runs that are queued or at work."""
        runs = [run for dag_id in dag_ids for run in self.get(f"dags/{dag_id}/dagRuns", limit=100)["dag_runs"]]
        return [run for run in runs if run["state"] not in ("success", "failed")]

    def tasks(self, *dag_ids: str) -> list[dict[str, Any]]:
        """All tasks of all runs of the DAGs."""
        pages = [self.get(f"dags/{dag_id}/dagRuns/~/taskInstances", limit=100) for dag_id in dag_ids]
        assert all(page["total_entries"] <= 100 for page in pages)
        return [task for page in pages for task in page["task_instances"]]

    def newest_tasks(self, dag_id: str, *task_ids: str) -> list[dict[str, Any]]:
        """These tasks of the DAG's newest run."""
        (run,) = self.get(f"dags/{dag_id}/dagRuns", limit=1, order_by="-id")["dag_runs"]
        tasks = self.get(f"dags/{dag_id}/dagRuns/{run['dag_run_id']}/taskInstances")["task_instances"]
        return [task for task in tasks if task["task_id"] in task_ids]

    def run(self, dag_id: str, conf: dict[str, Any] | None = None, seconds: float = 420) -> str:
        """Trigger a DAG and return the state in which its run ended."""
        response = self.post(f"dags/{dag_id}/dagRuns", {"logical_date": None, "conf": conf or {}})
        response.raise_for_status()
        run_id = response.json()["dag_run_id"]

        def state() -> str:
            return str(self.get(f"dags/{dag_id}/dagRuns/{run_id}")["state"])

        wait_until(
            lambda: state() in ("success", "failed"), lambda: f"{dag_id}, which is {state()}", seconds, pause=0.5
        )
        return state()


@dataclass(frozen=True)
class Stack:
    """A running stack; ``environment`` is what ``./paylake`` needs to find it again."""

    home: Path
    environment: dict[str, str]
    settings: Settings
    airflow: Airflow

    def paylake(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ``./paylake`` for this stack."""
        return run_paylake(self.environment, *arguments)

    @property
    def layout(self) -> layout.Stack:
        """Where it is."""
        return layout.locate(self.environment)

    @property
    def supervisor(self) -> Supervisor:
        """Who keeps its processes."""
        return Supervisor(self.layout)

    def pid(self, name: str) -> int:
        """The id of a process that supervisor keeps, 0 while it is down."""
        return self.supervisor.conditions()[name].pid

    def start(self, name: str) -> None:
        """Start again what was stopped."""
        self.supervisor.start(Process(name, [], group_name=self.supervisor.conditions()[name].group))

    def command_lines(self) -> dict[int, str]:
        """Every process of the stack, whoever keeps it, with its command line."""
        found = {process.pid: command_line(process.pid) for process in find(self.layout)}
        return {pid: line for pid, line in found.items() if line}

    def drivers(self) -> list[int]:
        """The JVM of each driver of the fraud stream; its parent is the task."""
        return [pid for pid, line in self.command_lines().items() if "SparkSubmit" in line and DRIVER in line]


class Traffic:
    """Transactions, a few each second, from a client that waits for a broker that is away.

    Every tenth is a tiny payment online, which after the first of them is fraud by what came before; the others are
    genuine.

    Ids sort in the order of sending, so what was sent after some moment is told by its id alone.
    """

    def __init__(self, settings: Settings, prefix: str = "TF", per_second: float = 5.0) -> None:
        self._dsn = settings.warehouse_dsn
        self._prefix = prefix
        self._pause = 1 / per_second
        self._stop = Event()
        self._thread = Thread(target=self._send, daemon=True)
        configuration: dict[str, Any] = {
            "bootstrap.servers": settings.kafka_bootstrap_servers,
            "enable.idempotence": True,
            "message.timeout.ms": 0,  # for ever
            "log_level": 0,
        }
        self._producer = Producer(configuration)
        self._sent = 0
        self.delivered: set[str] = set()
        self.refused: list[str] = []

    def __enter__(self) -> Traffic:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def last(self) -> str:
        """The id of the newest transaction that was sent."""
        return self._id(self._sent)

    def seconds_until_judged(self, after: str, since: float, limit: float) -> float:
        """Wait for the verdict on any transaction sent after the one of this id.

        Returns the seconds from ``since``, a value of the monotonic clock.
        """
        sql = "SELECT EXISTS (SELECT FROM genuinetransaction WHERE txn_id LIKE %s AND txn_id > %s)"
        wait_until(
            lambda: self._ask(sql, [f"{self._prefix}%", after]) == [(True,)],
            "a verdict",
            since + limit - time.monotonic(),
            pause=0.1,
        )
        return time.monotonic() - since

    def assert_all_judged(self, limit: float = 60.0) -> None:
        """Wait until each transaction delivered by now has its verdict."""
        assert not self.refused
        expected = set(self.delivered)
        wait_until(
            lambda: expected <= self._judged(),
            lambda: f"the verdicts on {sorted(expected - self._judged())}",
            limit,
            pause=0.2,
        )

    def _judged(self) -> set[str]:
        return {
            row[0] for row in self._ask("SELECT txn_id FROM transactions WHERE txn_id LIKE %s", [f"{self._prefix}%"])
        }

    def _ask(self, sql: str, arguments: list[str]) -> list[tuple[Any, ...]]:
        """The rows of a query; none while the database is away."""
        try:
            with psycopg.connect(self._dsn, connect_timeout=5) as connection:
                return connection.execute(sql.encode(), arguments).fetchall()
        except psycopg.OperationalError:
            return []

    def _id(self, number: int) -> str:
        return f"{self._prefix}{number:08}"

    def _send(self) -> None:
        while not self._stop.wait(self._pause):
            self._sent += 1
            now = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
            tiny = {"amount": 3, "channel": "Online"} if self._sent % 10 == 0 else {}
            value = encoded(good(TRANSACTIONS, txn_id=self._id(self._sent), timestamp=now, **tiny))
            self._producer.produce(
                TRANSACTIONS.topic, key=f"U{self._sent % 50:04}", value=value, on_delivery=self._note
            )
            self._producer.poll(0)
        self._producer.flush(60)

    def _note(self, error: KafkaError | None, message: Message) -> None:
        value = message.value()
        assert value is not None
        if error is None:
            self.delivered.add(json.loads(value)["txn_id"])
        else:
            self.refused.append(str(error))


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
