"""When a process ends: in order when it is asked to, at once when the one that watches over it is gone."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from threading import Event

PR_SET_PDEATHSIG = 1


def stop_on_signals(stop: Event) -> None:
    """Let SIGTERM and SIGINT set ``stop`` instead of ending the process at once. Call it in the main thread."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent dies, however it dies. Elsewhere than on Linux it does nothing.

    What a task, its driver or the driver's JVM was doing is started anew elsewhere, while the orphan would go on with
    nobody reading its output. Being killed is safe for all of them: the database rolls an open transaction back, and an
    object is written as a whole or not at all.

    Raises:
        OSError: the kernel refused.
        ProcessLookupError: the parent was gone already.
    """
    if not sys.platform.startswith("linux"):
        return
    parent = os.getppid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:
        raise ProcessLookupError("the process that watched over this one is gone")
