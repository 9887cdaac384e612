"""The whole of Paylake in Docker for a test: a copy of this clone, of its own name, on free ports."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg

from include.docker import env_file
from tests.support.clone import copy_of_clone
from tests.support.ports import free_port_base
from tests.support.waiting import wait_until
from tests.support.warehouse import GOLD_TABLES

ROOT = Path(__file__).parents[2]
PORTS = ("AIRFLOW", "MINIO", "MINIO_CONSOLE", "POSTGRES", "KAFKA", "PGADMIN")
SERVERS = (
    "kafka",
    "minio",
    "postgres",
    "pgadmin",
    "airflow-api-server",
    "airflow-scheduler",
    "airflow-dag-processor",
    "airflow-triggerer",
)
UP_SECONDS = 1500.0
ASK_SECONDS = 1.0
"""Each question is a command of Docker's."""


@dataclass(frozen=True)
class DockerStack:
    """A stack in Docker; ``environment`` is what its commands run with, ``ports`` are those on this machine."""

    folder: Path
    environment: Mapping[str, str]
    ports: Mapping[str, int]

    def paylake(
        self, *arguments: str, seconds: float = 300, folder: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run ``./paylake --docker`` to its end, from any folder; the exit code is for the caller to judge."""
        return self._run([str(self.folder / "paylake"), "--docker", *arguments], seconds, folder)

    def image_holds(self, image: str, texts: Sequence[str]) -> bool:
        """Whether one of the texts is in any layer of an image, or in its configuration."""
        patterns = [word for text in texts for word in ("-e", text)]
        # Layers are saved as they are, not compressed.
        script = 'image="$1"; shift; docker save "$image" | grep -qaF "$@"; exit "${PIPESTATUS[1]}"'
        answer = self._run(["bash", "-c", script, "bash", image, *patterns], 300)
        assert answer.returncode in (0, 1), answer.stderr
        return answer.returncode == 0

    def forget_images(self) -> None:
        """Remove the images that are built, as on a machine that never had them."""
        self._succeed(["docker", "image", "rm", *self.images()])

    def images(self) -> set[str]:
        """The images that are built."""
        images = self.compose("--profile", "*", "config", "--images").split()
        return {image for image in images if image.startswith("paylake/")}

    def shell(self, script: str, seconds: float = UP_SECONDS) -> None:
        """Run a script as a user would paste it into a shell in the clone; each command must succeed."""
        answer = self._run(["bash", "-euo", "pipefail", "-c", script], seconds)
        assert answer.returncode == 0, f"{script}\n{answer.stdout}{answer.stderr}"

    def compose(self, *arguments: str) -> str:
        """Run Docker Compose, which must succeed; returns what it printed."""
        return self._succeed(["docker", "compose", *arguments])

    def interrupted(self, *arguments: str) -> int:
        """Run ``./paylake --docker`` and press Ctrl-C once its container is there; the exit code."""
        command = subprocess.Popen(
            [str(self.folder / "paylake"), "--docker", *arguments],
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            wait_until(lambda: bool(self.commands()), "the container of the command", pause=ASK_SECONDS)
            os.killpg(command.pid, signal.SIGINT)
            return command.wait(60)
        finally:
            command.kill()

    def commands(self) -> list[str]:
        """The containers of commands, also of those that have ended."""
        labels = (
            "com.docker.compose.oneoff=True",
            f"com.docker.compose.project={self.environment['COMPOSE_PROJECT_NAME']}",
        )
        filters = [word for label in labels for word in ("--filter", f"label={label}")]
        return self._succeed(["docker", "ps", "--all", "--quiet", *filters]).split()

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.paylake("status", "--json").stdout)
        return found

    def health(self, service: str) -> str:
        """What Docker's check of a service says now."""
        return str(json.loads(self.compose("ps", "--all", "--format", "json", service))["Health"])

    def variables(self) -> dict[str, str]:
        return env_file.read(self.folder / ".env")

    def query(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Ask the warehouse by its published port."""
        password = self.variables()["WAREHOUSE_PASSWORD"]
        dsn = f"postgresql://paylake:{password}@127.0.0.1:{self.ports['POSTGRES']}/warehouse"
        with psycopg.connect(dsn, connect_timeout=10) as connection:
            return connection.execute(statement.encode(), parameters).fetchall()

    def rows(self) -> dict[str, int]:
        return {table: self.query(f"SELECT count(*) FROM {table}")[0][0] for table in GOLD_TABLES}  # noqa: S608

    def newest_verdict(self) -> float:
        """When the newest verdict was given, as a Unix time; 0 while the warehouse does not answer."""
        try:
            ((newest,),) = self.query("SELECT extract(epoch FROM max(scored_at))::float8 FROM genuinetransaction")
        except psycopg.OperationalError:
            return 0.0
        return float(newest or 0)

    def started(self, service: str) -> str:
        """When a service's container was started, as Docker writes it."""
        return self._inspect(service, "{{.State.StartedAt}}")

    def crash(self, service: str) -> None:
        """Kill the first process of a service's (first) container, as the kernel would; Docker has no part in it."""
        self._as_engine(f"kill -KILL {self._inspect(service, '{{.State.Pid}}')}")

    def freeze(self, service: str) -> None:
        """Stop the process that the first one of a service's container keeps."""
        init = self._inspect(service, "{{.State.Pid}}")
        self._as_engine(f"kill -STOP $(cat /proc/{init}/task/{init}/children)")

    def _inspect(self, service: str, template: str) -> str:
        container = self.compose("ps", "--all", "--quiet", service).split()[0]
        return self._succeed(["docker", "inspect", "--format", template, container]).strip()

    def _as_engine(self, script: str) -> None:
        """Run a shell script that sees the processes as the engine numbers them, which may have numbers of its own."""
        self._succeed(["docker", "run", "--rm", "--pid=host", "debian:12.12-slim", "sh", "-c", script])

    def _succeed(self, command: list[str]) -> str:
        answer = self._run(command, 300)
        assert answer.returncode == 0, answer.stdout + answer.stderr
        return answer.stdout

    def await_well(self, service: str, since: float, seconds: float = 240) -> None:
        """Wait until a service is healthy and a verdict was given after ``since``, a Unix time."""
        wait_until(
            lambda: self.health(service) == "healthy" and self.newest_verdict() > since,
            lambda: f"{service}: it is {self.health(service)}, the newest verdict of {self.newest_verdict():.0f}",
            seconds,
            pause=ASK_SECONDS,
        )

    def _run(self, command: list[str], seconds: float, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=folder or self.folder,
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )


@contextmanager
def docker_stack(engine: Mapping[str, str]) -> Iterator[DockerStack]:
    """A stack that is not started yet; whatever the test did, nothing of it is left."""
    base = free_port_base()
    ports = {name: base + number for number, name in enumerate(PORTS)}
    with TemporaryDirectory(prefix="paylake-docker-") as folder:
        variables = {f"PAYLAKE_{name}_PORT": str(port) for name, port in ports.items()}
        own = {name: value for name, value in os.environ.items() if not name.startswith(("COMPOSE_", "PAYLAKE_"))}
        environment = {**own, **engine, **variables, "COMPOSE_PROJECT_NAME": f"paylake-test-{base}"}
        stack = DockerStack(copy_of_clone(Path(folder)), environment, ports)
        assert stack.paylake("init").returncode == 0
        try:
            yield stack
        finally:
            removed = stack.paylake("reset", "--yes")
            assert removed.returncode == 0, removed.stdout + removed.stderr
