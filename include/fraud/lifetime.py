"""A stream's driver lives no longer than who started it: an orphan would go on reading for nobody.

Under ``spark-submit`` the driver's parent is the JVM, and the JVM's parent is whoever runs the job. The kernel ends the
driver when the JVM dies. The JVM cannot ask the same of the kernel, so the driver watches the JVM's parent.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread

PR_SET_PDEATHSIG = 1
LOOK_EVERY = 1.0

log = logging.getLogger(__name__)


def stop_on_signals(stop: Event) -> None:
    """Let SIGTERM and SIGINT set ``stop`` instead of ending the process at once. Call it in the main thread."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())


def die_with_parent() -> None:
    """Have this process killed when its parent dies, also if that happened just now. On Linux; elsewhere do nothing.

    The kill is SIGKILL: without its JVM a driver can neither go on nor stop in order, and the database rolls an open
    transaction back.
    """
    if sys.platform != "linux":
        return
    parent = os.getppid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:
        raise SystemExit("the parent process died while this one started")


def watch_grandparent(stop: Event, grace: float) -> None:
    """Set ``stop`` when the parent's own parent dies; kill the parent (and so this process) ``grace`` seconds later.

    Does nothing where there is no ``/proc`` to see it in.
    """
    parent = os.getppid()
    grandparent = parent_of(parent)
    if grandparent is not None:
        Thread(target=_watch, args=(parent, grandparent, stop, grace), name="watch-grandparent", daemon=True).start()


def parent_of(pid: int) -> int | None:
    """The process id of a process's parent; None for one that does not exist, or without ``/proc``."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # "pid (name) state ppid ...", and the name may hold anything.
    return int(status.rpartition(")")[2].split()[1])


def _watch(
    parent: int, grandparent: int, stop: Event, grace: float, kill: Callable[[int, int], None] = os.kill
) -> None:
    never = Event()
    while parent_of(parent) == grandparent:
        never.wait(LOOK_EVERY)
    log.warning("process %d, which started this stream, is gone: stopping", grandparent)
    stop.set()
    never.wait(grace)
    kill(parent, signal.SIGKILL)
