"""Starts anew what of Airflow runs but does nothing: supervisor only notices processes that end.

    python -m include.local.supervision.watchdog

It is a process of the stack itself. Whether a process does its work, it learns as ``./paylake status`` does: the API
server answers, and reports when each of the others last gave a sign of life. What gives none for too long is killed
with all its children, and supervisor starts it again. Each decision is logged with its reason.

It also marks what the stack uses of the cache, which other clones share and clean up.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from include.errors import StackError
from include.lifetime import die_with_parent
from include.liveness import HUNG_SECONDS, START_SECONDS
from include.local.layout import Stack, locate
from include.local.secrets import load_secrets
from include.local.servers.airflow import COMPONENTS, WATCHDOG
from include.local.setup import minio_build
from include.local.setup.cache import mark_used
from include.local.setup.jars import jar_folder
from include.local.supervision import health
from include.local.supervision.supervisor import Condition, Supervisor

EVERY_SECONDS = 5.0
API_SERVER = "airflow-api-server"

log = logging.getLogger("watchdog")


@dataclass(slots=True)
class _Trouble:
    pid: int
    since: float


@dataclass(slots=True)
class Watchdog:
    """Looks after processes of ``supervisor``.

    ``probes`` say, by the name of a process and given the Unix time at which it started, what its problem is (None:
    it is well). ``database_problem`` says the same of the database without which none of them can do anything.
    ``clock`` counts seconds.
    """

    supervisor: Supervisor
    probes: Mapping[str, Callable[[float], str | None]]
    database_problem: Callable[[], str | None]
    clock: Callable[[], float] = time.monotonic
    _troubles: dict[str, _Trouble] = field(default_factory=dict)
    _well: dict[str, int] = field(default_factory=dict)

    def look(self) -> None:
        """Look once at every process, and kill those that have had a problem for too long.

        Time during which nothing can be known does not count: while the database is away, and, for all but the API
        server, while that does not answer.
        """
        if self.database_problem() is not None:
            self._troubles.clear()
            return
        conditions = self.supervisor.conditions()
        api_well = self._judge(API_SERVER, conditions)
        for name in self.probes:
            if name == API_SERVER:
                continue
            if api_well:
                self._judge(name, conditions)
            else:
                self._troubles.pop(name, None)

    def _judge(self, name: str, conditions: Mapping[str, Condition]) -> bool:
        """Look at one process; says whether it is well."""
        condition = conditions.get(name)
        if condition is None or not condition.running:
            self._troubles.pop(name, None)
            return False
        pid, problem = condition.pid, self.probes[name](condition.started)
        if problem is None:
            self._well[name] = pid
            self._troubles.pop(name, None)
            return True
        now = self.clock()
        trouble = self._troubles.get(name)
        if trouble is None or trouble.pid != pid:
            self._troubles[name] = trouble = _Trouble(pid, now)
        limit = HUNG_SECONDS if self._well.get(name) == pid else START_SECONDS
        if now - trouble.since > limit:
            log.warning("%s (process %d) is killed: for more than %.0f s, %s", name, pid, limit, problem)
            _kill_group(pid)
            del self._troubles[name]
        return False


def _kill_group(pid: int) -> None:
    """Kill a child of supervisor with all that is in its process group, which bears its number."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        log.info("process %d had ended meanwhile", pid)


def mark_what_runs(stack: Stack) -> None:
    """Mark what a running stack uses of the cache.

    Raises:
        OSError: it cannot be written to.
    """
    jars = [jar_folder(stack, name) for name in ("kafka", "spark")]
    for entry in (Path(sys.prefix).resolve(), *jars, minio_build.binary(stack).parent):
        # An environment made by hand lies elsewhere.
        if entry.is_relative_to(stack.cache):
            mark_used(entry)


def main() -> None:
    """Watch until the end of the process, or of supervisor."""
    die_with_parent()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it tells of each question
    stack = locate()
    secrets = load_secrets(stack)
    probes = health.probes(stack, secrets)
    watchdog = Watchdog(
        Supervisor(stack),
        {name: probes[name] for name in (f"airflow-{component}" for component in COMPONENTS)},
        lambda: health.postgres_problem(stack, secrets),
    )
    log.info("%s looks after %s", WATCHDOG, ", ".join(watchdog.probes))
    while True:
        try:
            watchdog.look()
            mark_what_runs(stack)
        except (StackError, OSError) as error:
            log.warning("could not look: %s", error)
        time.sleep(EVERY_SECONDS)


if __name__ == "__main__":
    main()
