"""Servers of a test's own, which it may kill, stop and pause: nobody else uses them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

from rich.console import Console

from include.local.layout import Stack, locate
from include.local.ports import Ports
from include.local.reset import reset
from include.local.servers import clients
from include.local.setup.environment import program_environment
from include.local.start import Start
from include.local.supervision import health
from include.local.supervision.supervisor import Supervisor
from include.local.up import start_stores_and_jars
from include.settings import Settings
from tests.support.waiting import wait_until

Name: TypeAlias = Literal["kafka", "minio", "postgres"]
WELL_SECONDS = 120.0


@dataclass(frozen=True)
class Servers:
    """Kafka, MinIO and PostgreSQL under a supervisor that starts again what dies by itself.

    ``environment`` is what clients and Spark jobs need to find them.
    """

    stack: Stack
    start_made: Start
    environment: dict[str, str]

    @property
    def settings(self) -> Settings:
        """Their addresses."""
        return Settings.from_environment(self.environment)

    def pid(self, name: Name) -> int:
        """The server's process id, 0 while it is down."""
        return Supervisor(self.stack).conditions()[name].pid

    def stop(self, name: Name) -> None:
        """Stop it in order; it stays down until ``start``."""
        Supervisor(self.stack).stop([name])

    def start(self, name: Name) -> None:
        """Start it unless it runs, and wait until it is well."""
        Supervisor(self.stack).start(self.start_made.processes[name])
        self.await_well(name)

    def kill(self, name: Name) -> None:
        """Kill it by SIGKILL, and wait until the supervisor's new one is well."""
        before = self.pid(name)
        os.kill(before, signal.SIGKILL)
        wait_until(lambda: self.pid(name) not in (0, before), f"a new {name}", WELL_SECONDS)
        self.await_well(name)

    @contextmanager
    def paused(self, name: Name) -> Iterator[None]:
        """Let it stand still (SIGSTOP): it takes connections and answers nothing."""
        pid = self.pid(name)
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)
            self.await_well(name)

    @contextmanager
    def down(self, name: Name) -> Iterator[None]:
        """Have it stopped for the length of the block."""
        self.stop(name)
        try:
            yield
        finally:
            self.start(name)

    def await_well(self, name: Name) -> None:
        """Wait until it is well."""
        probe = health.probes(self.stack, self.start_made.secrets)[name]
        wait_until(lambda: probe(0.0) is None, f"{name} is well", WELL_SECONDS)


@contextmanager
def own_servers(folder: Path, prepare: Callable[[Stack], None] = lambda stack: None) -> Iterator[Servers]:
    """Start servers in ``folder``, with topics, buckets, tables and what Spark needs; remove them at the end.

    ``prepare`` is called before the first start, with the stack's home made: for a disk of one's own, say.
    """
    stack = replace(locate(), home=folder.resolve() / "home", ports=Ports.free())
    prepare(stack)
    try:
        start = start_stores_and_jars(stack, Console(stderr=True))
        environment = clients.store_environment(stack, start.secrets) | program_environment(stack, start.java)
        yield Servers(stack, start, environment)
    finally:
        reset(stack)
