"""A whole stack for the length of a bench: ``./paylake up`` in a home of its own, on free ports."""

from __future__ import annotations

import gc
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from include.bench.submit import CLONE, BenchError
from include.local.layout import Stack, locate
from include.local.ports import Ports
from include.local.secrets import load_secrets
from include.local.servers import airflow, clients
from include.local.setup.environment import program_environment, without_foreign
from include.local.setup.java import find_java
from include.settings import Settings

UP_SECONDS = 1800.0
PAYLAKE = CLONE / "paylake"
_DONE = re.compile(r"\] (?P<title>.+?): done in ")
_SERVERS = {f"Airflow {component}" for component in airflow.COMPONENTS}
"""They come last: each of them waits for the stores."""


@dataclass(frozen=True, slots=True)
class Whole:
    """A stack that runs.

    ``healthy`` and ``filled``: seconds from the command until all servers were well, and until it ended, which is when
    all five tables have rows.
    """

    stack: Stack
    environment: dict[str, str]
    healthy: float
    filled: float

    @property
    def settings(self) -> Settings:
        """Where its stores are."""
        return Settings.from_environment(self.programs())

    def programs(self) -> dict[str, str]:
        """What a Spark job needs to find its stores and programs."""
        stores = clients.store_environment(self.stack, load_secrets(self.stack))
        return stores | program_environment(self.stack, find_java())

    def paylake(self, *arguments: str) -> None:
        """Run a command of ``./paylake`` to its end.

        Raises:
            BenchError: it failed.
        """
        _paylake(self.environment, *arguments)


@contextmanager
def whole_stack(changes: Mapping[str, str] | None = None) -> Iterator[Whole]:
    """Start a stack with its usual traffic; take it down with all its data at the end of the block.

    ``changes`` are made to the environment, such as PAYLAKE_CACHE.

    Raises:
        BenchError: it does not start, or does not stop.
    """
    with tempfile.TemporaryDirectory(prefix="paylake-bench-") as folder:
        home = Path(folder).resolve() / "home"
        environment = without_foreign(os.environ) | {"PAYLAKE_HOME": str(home)} | dict(changes or {})
        environment.pop("PAYLAKE_PORT_BASE", None)
        stack = replace(locate(environment), ports=Ports.free())
        # The command takes the ports that it finds in the home.
        stack.remember()
        try:
            healthy, filled = _up(environment)
            yield Whole(stack, environment, healthy, filled)
        finally:
            # Producers are parts of cycles, and would complain once the servers are gone.
            gc.collect()
            _paylake(environment, "reset", "--yes")


def _up(environment: Mapping[str, str]) -> tuple[float, float]:
    """Seconds until all servers were well, and until the end."""
    began = time.monotonic()
    missing, healthy, lines = set(_SERVERS), 0.0, list[str]()
    with subprocess.Popen(
        [PAYLAKE, "up"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as command:
        assert command.stdout is not None  # noqa: S101 (for the type checker: a pipe was asked for)
        for line in command.stdout:
            lines.append(line)
            done = _DONE.search(line)
            if done and done["title"] in missing:
                missing.remove(done["title"])
                healthy = time.monotonic() - began
    if command.returncode != 0 or missing:
        raise BenchError(f"./paylake up ended with {command.returncode}: {''.join(lines)[-2_000:]}")
    return healthy, time.monotonic() - began


def _paylake(environment: Mapping[str, str], *arguments: str) -> None:
    done = subprocess.run(
        [PAYLAKE, *arguments], env=environment, capture_output=True, text=True, timeout=UP_SECONDS, check=False
    )
    if done.returncode != 0:
        raise BenchError(f"./paylake {' '.join(arguments)} ended with {done.returncode}: {done.stdout}{done.stderr}")
