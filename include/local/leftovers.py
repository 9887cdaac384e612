"""Ends processes of a stack that nobody keeps any more: a killed supervisor's servers, a killed task's driver."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from include.local import postgres
from include.local.errors import StackError
from include.local.layout import Stack
from include.local.processes import STACK_ID_VARIABLE

POLITE_SECONDS = 15.0
FORCED_SECONDS = 10.0


def end_leftovers(stack: Stack) -> list[int]:
    """End every process of this stack, politely at first; returns the ids of those that were found.

    To be called when supervisor does not run: whatever is there then is an orphan.

    Raises:
        StackError: one of them survives even SIGKILL.
    """
    found = find(stack)
    for number, limit in ((signal.SIGTERM, POLITE_SECONDS), (signal.SIGKILL, FORCED_SECONDS)):
        for pid in find(stack):
            _signal(pid, number)
        deadline = time.monotonic() + limit
        while remaining := find(stack):
            if time.monotonic() > deadline:
                break
            time.sleep(0.1)
        else:
            return found
    raise StackError(f"Processes of the stack in {stack.home} can not be ended: {remaining}.")


def find(stack: Stack) -> list[int]:
    """The ids of this stack's processes, also of those that supervisor knows nothing of."""
    mark = f"{STACK_ID_VARIABLE}={stack.stack_id}".encode()
    mine = _ancestors()
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    marked = [pid for pid in pids if pid not in mine and mark in _environment(pid)]
    # PostgreSQL writes its title over its environment; its main process is named in its own file, and ends the others.
    return sorted({*marked, *_postmaster(stack)})


def _environment(pid: int) -> list[bytes]:
    try:
        if _is_zombie(pid):
            return []
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except (FileNotFoundError, PermissionError, ProcessLookupError):
        return []  # it ended meanwhile, or it is another user's


def _is_zombie(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def _postmaster(stack: Stack) -> list[int]:
    data = postgres.server(stack).data
    try:
        pid = int((data / "postmaster.pid").read_text().split("\n")[0])
        # The file outlives a crash, and its number may belong to anybody by now: only ours works in this folder.
        return [pid] if os.readlink(f"/proc/{pid}/cwd") == str(data) and not _is_zombie(pid) else []
    except (FileNotFoundError, PermissionError, ProcessLookupError, ValueError):
        return []


def _ancestors() -> set[int]:
    """This process and those that started it: a paylake command that a task runs must not end itself."""
    pids, pid = set(), os.getpid()
    while pid > 0:
        pids.add(pid)
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return pids


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
