"""When a stream's driver ends: in order when it is asked to, at once when its JVM is gone."""

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
    """Have the kernel kill this process when its parent dies, also if that happened just now. On Linux only.

    Under ``spark-submit`` the parent is the JVM, without which a driver can neither go on nor stop in order. Killing it
    is safe: the database rolls an open transaction back.
    """
    if sys.platform != "linux":
        return
    parent = os.getppid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:
        raise SystemExit("the parent process died while this one started")
