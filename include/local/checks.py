"""What must be right before a stack can start: Java, ports, disk, memory."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import psutil

from include.errors import StackError
from include.local.layout import Stack
from include.local.ports import Ports, why_unusable
from include.local.setup.java import Java, find_java

GIGABYTE = 10**9
HOME_GIGABYTES = 2
CACHE_GIGABYTES = 4
MEMORY_GIGABYTES = 5
# Which process listens on which port.
LISTENERS = {
    "airflow": "airflow-api-server",
    "minio": "minio",
    "minio_console": "minio",
    "postgres": "postgres",
    "kafka": "kafka",
    "kafka_controller": "kafka",
}


def check_ports(ports: Ports, running: Collection[str]) -> None:
    """Check the ports of all processes that do not run yet.

    Raises:
        StackError: one of them is taken.
    """
    for name, port in ports.by_name().items():
        if LISTENERS[name] not in running and (reason := why_unusable(port)):
            raise StackError(
                f"Port {port} (for {name.replace('_', ' ')}) {reason}; free it, or choose other ports for all servers: "
                "PAYLAKE_PORT_BASE=20000 ./paylake up."
            )


def check_disk(folder: Path, gigabytes: float) -> None:
    """Check the free space where a folder is or will be.

    Raises:
        StackError: there is too little.
    """
    free = free_gigabytes(folder)
    if free < gigabytes:
        raise StackError(
            f"The disk of {folder} is nearly full: {free:.1f} GB are free, Paylake needs {gigabytes} GB there; make "
            "room, or choose another place with PAYLAKE_HOME and PAYLAKE_CACHE."
        )


def free_gigabytes(folder: Path) -> float:
    """Space left for us on the disk of a folder that need not exist yet."""
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    return shutil.disk_usage(existing).free / GIGABYTE


def available_memory() -> float:
    """Memory that programs can get without swapping, in gigabytes."""
    return psutil.virtual_memory().available / GIGABYTE


@dataclass(frozen=True, slots=True)
class Finding:
    """What ``doctor`` says about one thing. ``mend`` is empty when it is well."""

    subject: str
    well: bool
    found: str
    mend: str = ""
    vital: bool = True


def examine(stack: Stack, running: Collection[str]) -> list[Finding]:
    """Look at everything the stack needs; ``running`` are the processes of this stack that run already."""
    return [
        _java(),
        *(_port(name, port, LISTENERS[name] in running) for name, port in stack.ports.by_name().items()),
        _disk("disk for the stack", stack.home, HOME_GIGABYTES),
        _disk("disk for the cache", stack.cache, CACHE_GIGABYTES),
        _memory(bool(running)),
        _processors(),
        _rights(stack),
    ]


def _java() -> Finding:
    try:
        java: Java = find_java()
    except StackError as error:
        return Finding("Java", False, "none that fits", str(error))
    return Finding("Java", True, f"Java {java.version} ({java.program})")


def _port(name: str, port: int, ours: bool) -> Finding:
    subject = f"port for {name.replace('_', ' ')}"
    if ours:
        return Finding(subject, True, f"{port}, used by this stack")
    reason = why_unusable(port)
    if reason is None:
        return Finding(subject, True, f"{port}, free")
    mend = f"stop what uses it (ss -ltnp 'sport = :{port}'), or PAYLAKE_PORT_BASE=20000 ./paylake up"
    return Finding(subject, False, f"{port} {reason}", mend)


def _disk(subject: str, folder: Path, gigabytes: float) -> Finding:
    free = free_gigabytes(folder)
    mend = f"make room on the disk of {folder}, or set PAYLAKE_HOME and PAYLAKE_CACHE to folders on another"
    return Finding(subject, free >= gigabytes, f"{free:.1f} GB free in {folder}", "" if free >= gigabytes else mend)


def _memory(running: bool) -> Finding:
    available = available_memory()
    if running or available >= MEMORY_GIGABYTES:
        return Finding("memory", True, f"{available:.1f} GB available")
    mend = f"the stack takes about {MEMORY_GIGABYTES} GB: close other programs, or add swap"
    return Finding("memory", False, f"{available:.1f} GB available", mend, vital=False)


def _processors() -> Finding:
    count = len(os.sched_getaffinity(0))
    mend = "" if count >= 2 else "with one processor everything works, but slowly"
    return Finding("processors", count >= 2, str(count), mend, vital=False)


def _rights(stack: Stack) -> Finding:
    existing = next(parent for parent in (stack.home, *stack.home.parents) if parent.exists())
    if os.access(existing, os.W_OK):
        return Finding("stack's folder", True, str(stack.home))
    return Finding("stack's folder", False, f"{existing} is not writable", "set PAYLAKE_HOME to a folder of yours")
