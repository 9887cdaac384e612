"""What a stack's processes use, by the kernel's own books."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

import psutil

from include.local.layout import Stack
from include.local.supervision.leftovers import find


def processes(stack: Stack) -> set[psutil.Process]:
    """All processes of the stack: those that bear its mark, and whatever they started."""
    found = set(find(stack))
    for process in tuple(found):
        with suppress(psutil.NoSuchProcess):
            found.update(process.children(recursive=True))
    return found


def cpu_seconds(processes: Iterable[psutil.Process]) -> float:
    """Processor time that they and their ended children have used so far.

    A process that ends between two looks is in the second one, too: its time goes over to its parent.
    """
    seconds = 0.0
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            seconds += times.user + times.system + times.children_user + times.children_system
    return seconds


def memory_bytes(processes: Iterable[psutil.Process]) -> int:
    """Memory that they have, where what several share counts once."""
    total = 0
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            total += process.memory_full_info().pss
    return total
