"""What a stack's processes use, by the kernel's own books (Linux)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from include.local.layout import Stack
from include.local.leftovers import find

_TICKS = os.sysconf("SC_CLK_TCK")


def processes(stack: Stack) -> set[int]:
    """The ids of all processes of the stack: those that bear its mark, and whatever they started."""
    parents = {pid: int(fields[1]) for pid in _all() if (fields := _fields(pid))}
    found, news = set[int](), set(find(stack))
    while news:
        found |= news
        news = {pid for pid, parent in parents.items() if parent in found} - found
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """Processor time that they and their ended children have used so far.

    A process that ends between two looks is in the second one, too: its time goes over to its parent.
    """
    return sum(sum(map(int, fields[11:15])) for pid in pids if (fields := _fields(pid))) / _TICKS


def memory_bytes(pids: Iterable[int]) -> int:
    """Memory that they have, where what several share counts once."""
    return sum(1024 * _proportional_kilobytes(pid) for pid in pids)


def _all() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _fields(pid: int) -> list[str]:
    """What ``/proc/<pid>/stat`` says from the process's state on; nothing when it is gone."""
    return _read(f"/proc/{pid}/stat").rpartition(")")[2].split()


def _proportional_kilobytes(pid: int) -> int:
    lines = _read(f"/proc/{pid}/smaps_rollup").splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
