"""Starting: what every start has in hand, and what happens when one fails."""

from __future__ import annotations

import contextlib
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field

from rich.console import Console

from include.errors import StackError
from include.local import checks
from include.local.layout import Stack, locked, make_home, remembered_ports
from include.local.secrets import Secrets, ensure_secrets
from include.local.servers import airflow, kafka, minio, postgres
from include.local.servers.process import Process
from include.local.setup import minio_build
from include.local.setup.jars import jar_folder
from include.local.setup.java import Java, find_java
from include.local.supervision import health
from include.local.supervision.leftovers import end_leftovers
from include.local.supervision.supervisor import Supervisor
from include.stack.display import shown
from include.stack.logs import last_lines
from include.stack.steps import Runner, Step, Task

HEALTH_SECONDS = {"postgres": 60.0, "kafka": 90.0, "minio": 60.0}
AIRFLOW_HEALTH_SECONDS = 300.0
MOST_STARTS = 2
# The stores answer a probe for nothing; Airflow is busy enough while it starts.
EVERY = dict.fromkeys(HEALTH_SECONDS, 0.2)


@dataclass(slots=True)
class Start:
    """One start of a stack: what it works with, and which processes it has started so far."""

    stack: Stack
    secrets: Secrets
    java: Java
    supervisor: Supervisor
    processes: dict[str, Process]
    started: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, task: Task, name: str) -> str:
        """Start a process unless it runs, and wait until it is well; returns its address.

        Raises:
            StackError: it gave up, or is not well in time; the end of its log is in the message.
        """
        with self._lock:
            task.check()
            if self.supervisor.start(self.processes[name]):
                self.started.append(name)
        probe = health.probes(self.stack, self.secrets)[name]
        log = self.stack.logs / f"{name}.log"

        starts: set[float] = set()

        def why_not() -> str | None:
            condition = self.supervisor.conditions().get(name)
            if condition is None:
                raise StackError(f"supervisord ended while {name} was starting; see {self.stack.logs}/supervisord.log.")
            starts.add(condition.spawned)
            # Supervisor starts it again and again; that need not be watched for ever.
            if condition.gave_up or len(starts) > MOST_STARTS:
                raise StackError(f"{name} does not start; the end of {log}:\n" + last_lines(log, 10))
            return probe(condition.started) if condition.running else "it ended and is started again"

        limit = HEALTH_SECONDS.get(name, AIRFLOW_HEALTH_SECONDS)
        task.wait_until(why_not, seconds=limit, what=f"The start of {name} (log: {log})", every=EVERY.get(name, 1.0))
        return self.processes[name].address


def bring_up(stack: Stack, console: Console, steps: Callable[[Start], list[Step]], *, with_airflow: bool) -> Start:
    """Check the machine, then run the steps that ``steps`` makes; a failure or Ctrl-C undoes what was started.

    Raises:
        StackError: something is missing or failed.
        KeyboardInterrupt: the user pressed Ctrl-C.
    """
    make_home(stack.home)
    with locked(stack.home / "lock", wait=False):
        supervisor = Supervisor(stack)
        kept = supervisor.alive()
        java = check(stack, supervisor)
        if not kept:
            end_leftovers(stack)
        stack.remember()
        start = Start(stack, ensure_secrets(stack), java, supervisor, {})
        start.processes = {process.name: process for process in _processes(start, with_airflow)}
        runner = Runner(steps(start))
        try:
            supervisor.configure(list(start.processes.values()))
            with shown(runner.tasks, console) as tick:
                runner.run(tick)
        except BaseException:
            trace = traceback.format_exc()
            console.print("Stopping what was started ...", style="dim")
            _undo(start, kept)
            # On a full disk, or in a home that was removed, there is no room for it; the error itself is raised anyway.
            with contextlib.suppress(OSError):
                (stack.logs / "up.log").write_text(trace)
            raise
        return start


def check(stack: Stack, supervisor: Supervisor) -> Java:
    """Check all that can be known beforehand; returns the Java to use.

    Raises:
        StackError: Java, a port or the disk does not do, or the stack runs on other ports.
    """
    running = {name for name, condition in supervisor.conditions().items() if condition.running}
    remembered = remembered_ports(stack)
    if running and remembered is not None and remembered != stack.ports:
        raise StackError(
            f"This stack runs on other ports already (Airflow on {remembered.airflow}); ./paylake down comes first."
        )
    java = find_java()
    checks.check_ports(stack.ports, running)
    checks.check_disk(stack.home, checks.HOME_GIGABYTES)
    if not all(
        path.exists() for path in (minio_build.binary(stack), jar_folder(stack, "kafka"), jar_folder(stack, "spark"))
    ):
        checks.check_disk(stack.cache, checks.CACHE_GIGABYTES)
    return java


def _processes(start: Start, with_airflow: bool) -> list[Process]:
    stores = [
        postgres.process(start.stack),
        kafka.process(start.stack, start.java),
        minio.process(start.stack, start.secrets),
    ]
    return stores + (airflow.processes(start.stack, start.secrets, start.java) if with_airflow else [])


def _undo(start: Start, kept: bool) -> None:
    if kept:
        start.supervisor.stop(start.started)
        return
    start.supervisor.shut_down()
    end_leftovers(start.stack)


def down(stack: Stack) -> bool:
    """Stop every process of the stack; says whether any ran.

    Raises:
        StackError: a process can not be ended, or another command works on the stack.
    """
    if not stack.exists:
        return False
    with locked(stack.home / "lock", wait=False):
        supervisor = Supervisor(stack)
        ran = supervisor.alive()
        supervisor.shut_down()
        return bool(end_leftovers(stack)) or ran
