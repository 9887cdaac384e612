"""A standalone Spark cluster of processes: a master and workers, each of which may be lost with all that runs on it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import requests

from tests.support.processes import command_line, parent
from tests.support.waiting import wait_until

HOST = "127.0.0.1"
WORKERS = 2
CORES = 2
MEMORY = "1200m"
START_SECONDS = 60.0
# What the machine of a master or a worker has of its own: programs, but neither our code nor where the stores are.
KNOWN = ("JAVA_HOME", "SPARK_HOME", "SPARK_LOCAL_IP")


@dataclass(frozen=True)
class Member:
    """The master or a worker; executors and their Python workers are in its session, as on one machine."""

    process: subprocess.Popen[bytes]
    web: str
    log: Path

    def page(self) -> dict[str, Any]:
        """What it says of itself."""
        answer = requests.get(f"{self.web}/json/", timeout=10)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def answers(self) -> bool:
        """Whether its page is there; it must be alive."""
        assert self.process.poll() is None, self.log.read_text()[-5000:]
        try:
            return bool(self.page())
        except requests.RequestException:  # its pages are there a moment after its port
            return False

    def command_lines(self) -> dict[int, str]:
        """Its processes and those of its executors."""
        found = {pid: command_line(pid) for pid in psutil.pids() if _session(pid) == self.process.pid}
        return {pid: line for pid, line in found.items() if line}

    def computes_for(self, application: str) -> bool:
        """Whether an executor of the application has started Python here, which it does for its first task."""
        lines = self.command_lines()
        daemons = [pid for pid, line in lines.items() if "include.spark.worker_daemon" in line]
        return any(f"--app-id {application} " in lines.get(parent(pid), "") for pid in daemons)

    def lose(self) -> None:
        """SIGKILL for all that runs on it."""
        for pid in self.command_lines():
            with suppress(ProcessLookupError):  # the end of another one has ended it
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


@dataclass(frozen=True)
class Cluster:
    """``url`` is what ``spark-submit`` takes as its master; all files are in ``folder``."""

    url: str
    master: Member
    workers: list[Member]
    folder: Path

    def application(self, name: str) -> str | None:
        """The id of the application of this name that runs now."""
        return next((app["id"] for app in self.master.page()["activeapps"] if app["name"] == name), None)


@contextmanager
def spark_cluster(folder: Path) -> Iterator[Cluster]:
    """Start a cluster whose processes know nothing of us; its end takes all of them along."""
    with ExitStack() as members:
        port, web = _free_port(), _free_port()
        address = ["--host", HOST, "--port", str(port), "--webui-port", str(web)]
        master = members.enter_context(_member(folder / "master", "master.Master", address, web))
        url = f"spark://{HOST}:{port}"
        workers = []
        for number in range(WORKERS):
            web = _free_port()
            options = ["--host", HOST, "--webui-port", str(web), "--cores", str(CORES), "--memory", MEMORY]
            where = folder / f"worker-{number}"
            member = _member(where, "worker.Worker", [*options, "--work-dir", str(where), url], web)
            workers.append(members.enter_context(member))
        for one in (master, *workers):
            wait_until(one.answers, f"{one.web} answers", START_SECONDS)
        wait_until(lambda: len(master.page()["workers"]) == WORKERS, "the workers are there", START_SECONDS)
        yield Cluster(url, master, workers, folder)


@contextmanager
def _member(folder: Path, daemon: str, options: list[str], web: int) -> Iterator[Member]:
    (folder / "conf").mkdir(parents=True)
    (folder / "scratch").mkdir()
    environment = {
        **{name: os.environ[name] for name in KNOWN},
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "SPARK_CONF_DIR": str(folder / "conf"),
        "SPARK_LOCAL_DIRS": str(folder / "scratch"),
        "SPARK_DAEMON_MEMORY": "256m",
    }
    log = folder / "daemon.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["spark-class", f"org.apache.spark.deploy.{daemon}", *options],
            env=environment,
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    member = Member(process, f"http://{HOST}:{web}", log)
    try:
        yield member
    finally:
        member.lose()


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as server:
        return int(server.getsockname()[1])


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return 0
