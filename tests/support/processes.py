"""What tests ask of a process by its id."""

from __future__ import annotations

import psutil


def alive(pid: int) -> bool:
    """Whether the process runs; one that is dead but not yet buried does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def parent(pid: int) -> int:
    """The parent of a process, 0 when it is gone."""
    try:
        return psutil.Process(pid).ppid()
    except psutil.NoSuchProcess:
        return 0


def command_line(pid: int) -> str:
    """The command line of a process, empty when it is gone."""
    try:
        return " ".join(psutil.Process(pid).cmdline())
    except psutil.NoSuchProcess:
        return ""


def resident_megabytes(pid: int) -> float:
    """The memory a process has now, 0 when it is gone."""
    try:
        return float(psutil.Process(pid).memory_info().rss) / 1024**2
    except psutil.NoSuchProcess:
        return 0.0
