"""A task's process must not outlive the one that watches over it."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent dies, however it dies.

    A task's process is a child of Airflow's supervisor of the task. When that is killed, Airflow starts the task anew
    elsewhere, while the old process would go on with nobody reading its output. Linux only; elsewhere it does nothing.

    Raises:
        OSError: the kernel refused.
        ProcessLookupError: the parent was gone already.
    """
    if not sys.platform.startswith("linux"):
        return
    parent = os.getppid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:
        raise ProcessLookupError("the process that watched over this task is gone")
