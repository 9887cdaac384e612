"""Ends processes of a stack that nobody keeps any more: a killed supervisor's servers, a killed task's driver."""

from __future__ import annotations

import time
from contextlib import suppress

import psutil

from include.errors import StackError
from include.local.layout import Stack
from include.local.servers import postgres
from include.local.setup.environment import STACK_ID_VARIABLE

POLITE_SECONDS = 15.0
FORCED_SECONDS = 10.0


def end_leftovers(stack: Stack) -> list[psutil.Process]:
    """End every process of this stack, politely at first; returns those that were found.

    To be called when supervisor does not run: whatever is there then is an orphan.

    Raises:
        StackError: one of them survives even SIGKILL.
    """
    found = find(stack)
    for end, limit in ((psutil.Process.terminate, POLITE_SECONDS), (psutil.Process.kill, FORCED_SECONDS)):
        for process in find(stack):
            with suppress(psutil.NoSuchProcess):
                end(process)
        deadline = time.monotonic() + limit
        while remaining := find(stack):
            if time.monotonic() > deadline:
                break
            time.sleep(0.1)
        else:
            return found
    pids = [process.pid for process in remaining]
    raise StackError(f"Processes of the stack in {stack.home} can not be ended: {pids}.")


def find(stack: Stack) -> list[psutil.Process]:
    """This stack's processes, also those that supervisor knows nothing of."""
    # A paylake command that a task runs must not end itself.
    mine = {psutil.Process(), *psutil.Process().parents()}
    marked = (one for one in psutil.process_iter() if one not in mine and _stack_id(one) == stack.stack_id)
    # PostgreSQL writes its title over its environment; its main process is named in its own file, and ends the others.
    return sorted({*marked, *_postmaster(stack)}, key=lambda process: process.pid)


def _stack_id(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(STACK_ID_VARIABLE)
    except psutil.Error:
        return None  # it ended meanwhile, or it is another user's


def _postmaster(stack: Stack) -> list[psutil.Process]:
    data = postgres.server(stack).data
    try:
        process = psutil.Process(int((data / "postmaster.pid").read_text().split("\n")[0]))
        # The file outlives a crash, and its number may belong to anybody by now: only ours works in this folder.
        return [process] if process.cwd() == str(data) else []
    except (FileNotFoundError, PermissionError, psutil.Error, ValueError):
        return []
