"""Keeps the processes: writes supervisor's configuration, starts it, and speaks to it over its socket."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from supervisor.xmlrpc import SupervisorTransport

from include.errors import StackError
from include.files import write_private
from include.local.layout import Stack
from include.local.servers.process import Process
from include.local.setup.environment import own_environment

EXECUTE = Path(__file__).with_name("execute.py")
# In this order they start; they end in the reverse order, so that nothing loses what it needs while it still works. The
# scheduler's tasks are its children: when they end, they tell the API server how.
GROUPS = ("stores", "airflow", "scheduler")
START_SECONDS = 15.0
STOP_SECONDS = 90.0


@dataclass(frozen=True, slots=True)
class Condition:
    """What supervisor knows of a process.

    ``started`` is a Unix time, 0 when it does not run; ``spawned`` is that of its last start, also when that failed.
    """

    name: str
    group: str
    state: str
    pid: int
    started: float
    spawned: float

    @property
    def running(self) -> bool:
        """Whether the process is there; not whether it is well."""
        return self.state in ("RUNNING", "STARTING")

    @property
    def gave_up(self) -> bool:
        """Whether supervisor does not try to start it any more."""
        return self.state in ("FATAL", "EXITED", "UNKNOWN")


class Supervisor:
    """The keeper of one stack's processes."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._configuration = stack.run / "supervisord.conf"

    def alive(self) -> bool:
        """Whether the keeper runs."""
        try:
            self._call("getPID")
        except StackError:
            return False
        return True

    def conditions(self) -> dict[str, Condition]:
        """Every process by name; empty when the keeper does not run."""
        if not self.alive():
            return {}
        found = (
            Condition(
                name=info["name"],
                group=info["group"],
                state=info["statename"],
                pid=info["pid"],
                started=float(info["start"]) if info["pid"] else 0.0,
                spawned=float(info["start"]),
            )
            for info in self._call("getAllProcessInfo")
        )
        return {condition.name: condition for condition in found}

    def configure(self, processes: Sequence[Process]) -> None:
        """Make the keeper run and know exactly these processes; those whose definition changed are stopped."""
        self._stack.logs.mkdir(parents=True, exist_ok=True)
        for process in processes:
            write_private(process.definition_file(self._stack.run), process.to_json())
        write_private(self._configuration, _configuration(self._stack, processes))
        if not self.alive():
            self._start()
            return
        [[added, changed, removed]] = self._call("reloadConfig")
        for group in [*changed, *removed]:
            self._call("stopProcessGroup", group)
            self._call("removeProcessGroup", group)
        for group in [*changed, *added]:
            self._call("addProcessGroup", group)

    def start(self, process: Process) -> bool:
        """Start the process unless it runs; says whether it had to be started."""
        condition = self.conditions()[process.name]
        if condition.running:
            return False
        name = f"{process.group_name}:{process.name}"
        if condition.state == "BACKOFF":
            # Supervisor would try it again, but perhaps only in a while, and refuses to do so now.
            self._call("stopProcess", name)
        self._call("startProcess", name, False)
        return True

    def stop(self, names: Iterable[str]) -> None:
        """Stop these processes in the order of their groups and wait for each group."""
        conditions = self.conditions()
        for group in reversed(GROUPS):
            members = [name for name in names if name in conditions and conditions[name].group == group]
            running = [name for name in members if conditions[name].state not in ("STOPPED", "EXITED", "FATAL")]
            for name in running:
                self._call("stopProcess", f"{group}:{name}", False)
            self._wait_stopped(running)

    def _wait_stopped(self, names: Sequence[str]) -> None:
        """Wait for processes that were told to stop; supervisor kills each that takes too long."""
        deadline = time.monotonic() + STOP_SECONDS
        while waiting := [name for name in names if self.conditions()[name].pid]:
            if time.monotonic() > deadline:
                raise StackError(f"{', '.join(waiting)} can not be stopped; see {self._stack.logs}/supervisord.log.")
            time.sleep(0.1)

    def shut_down(self) -> None:
        """Stop every process and the keeper itself; nothing happens when it does not run."""
        conditions = self.conditions()
        if not conditions and not self.alive():
            return
        self.stop(list(conditions))
        keeper = psutil.Process(self._call("getPID"))
        self._call("shutdown")
        try:
            keeper.wait(START_SECONDS)
        except psutil.TimeoutExpired as error:
            raise StackError(
                f"supervisord (process {keeper.pid}) does not end; see {self._stack.logs}/supervisord.log."
            ) from error

    def _start(self) -> None:
        socket = self._stack.supervisor_socket
        _own_folder(socket.parent)
        socket.unlink(missing_ok=True)
        command = [sys.executable, "-c", "from supervisor.supervisord import main; main()"]
        answer = subprocess.run(
            [*command, "--configuration", str(self._configuration)],
            env=own_environment(self._stack.stack_id),
            cwd=self._stack.run,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if answer.returncode != 0:
            raise StackError(f"supervisord does not start: {answer.stderr.strip() or answer.stdout.strip()}")
        deadline = time.monotonic() + START_SECONDS
        while not self.alive():
            if time.monotonic() > deadline:
                raise StackError(f"supervisord does not answer; see {self._stack.logs}/supervisord.log.")
            time.sleep(0.05)

    def _proxy(self) -> Any:
        transport = SupervisorTransport(None, None, f"unix://{self._stack.supervisor_socket}")
        return xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport)

    def _call(self, method: str, *arguments: Any) -> Any:
        try:
            return getattr(self._proxy().supervisor, method)(*arguments)
        except xmlrpc.client.Fault as error:
            raise StackError(f"supervisord refused {method}{arguments}: {error.faultString}.") from error
        except OSError as error:
            raise StackError(f"supervisord does not answer on {self._stack.supervisor_socket}: {error}.") from error


def _configuration(stack: Stack, processes: Sequence[Process]) -> str:
    groups = [group for group in GROUPS if any(process.group_name == group for process in processes)]
    parts = [
        _section(
            "supervisord",
            logfile=stack.logs / "supervisord.log",
            logfile_maxbytes="5MB",
            logfile_backups=1,
            pidfile=stack.run / "supervisord.pid",
            childlogdir=stack.logs,
            umask="022",
            identifier=f"paylake-{stack.stack_id}",
            **({"user": "root"} if os.geteuid() == 0 else {}),
        ),
        _section("unix_http_server", file=stack.supervisor_socket, chmod="0700"),
        _section(
            "rpcinterface:supervisor",
            **{"supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"},
        ),
    ]
    parts += [_program(stack, process) for process in processes]
    for priority, group in enumerate(groups):
        members = ",".join(process.name for process in processes if process.group_name == group)
        parts.append(_section(f"group:{group}", programs=members, priority=priority))
    return "\n".join(parts)


def _program(stack: Stack, process: Process) -> str:
    return _section(
        f"program:{process.name}",
        command=f'"{sys.executable}" -I "{EXECUTE}" "{process.definition_file(stack.run)}"',
        # Makes supervisor see that a definition changed.
        environment=f'PAYLAKE_DEFINITION="{process.digest}"',
        autostart="false",
        autorestart="true",
        startsecs=3,
        # For ever, in effect: a server must come back by itself however long what it needs was away.
        startretries=1_000_000,
        stopsignal=process.stop_signal,
        stopwaitsecs=process.stop_seconds,
        killasgroup="true",
        redirect_stderr="true",
        stdout_logfile=stack.logs / f"{process.name}.log",
        stdout_logfile_maxbytes="20MB",
        stdout_logfile_backups=2,
    )


def _section(title: str, **settings: object) -> str:
    # A percent sign starts an expansion in supervisor's configuration.
    lines = [f"{name} = {str(value).replace('%', '%%')}" for name, value in settings.items()]
    return "\n".join([f"[{title}]", *lines, ""])


def _own_folder(folder: Path) -> None:
    """Make the folder of the socket; one that somebody else put there is refused."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.lstat()
    if status.st_uid != os.getuid() or folder.is_symlink():
        raise StackError(f"{folder} belongs to another user; remove it, or use a shorter PAYLAKE_HOME.")
