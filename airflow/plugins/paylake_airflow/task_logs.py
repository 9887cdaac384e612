"""The folder of Airflow's logs, kept from growing for ever."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from pathlib import Path

TAIL_BYTES = 1024 * 1024
"""What stays of a log that has become too large."""

log = logging.getLogger(__name__)


def prune(folder: Path, before: float, most_bytes: int) -> None:
    """Remove logs to which nothing was added since ``before`` (Unix time), and cut the others down to their end when
    they have more than ``most_bytes``.

    The newest log of each DAG stays: a stream that has had nothing to say for long still writes to it. A log that is
    cut may lose a line that comes at that very moment: Airflow opens a task's log once, to add to its end.
    """
    for area in folder.iterdir():
        if area.is_dir() and not area.is_symlink():
            _prune_area(area, before, most_bytes)


def _prune_area(area: Path, before: float, most_bytes: int) -> None:
    # A folder's time changes with what is removed from it.
    folders = [Path(path) for path, _, _ in os.walk(area, topdown=False)]
    old_folders = [path for path in folders if path.stat().st_mtime < before]
    files = {path: path.stat() for path in area.rglob("*") if path.is_file() and not path.is_symlink()}
    newest = max(files, key=lambda path: files[path].st_mtime, default=None)
    for path, status in files.items():
        if path != newest and status.st_mtime < before:
            path.unlink()
        elif status.st_size > most_bytes:
            log.info("%s has %d bytes: the last %d stay", path, status.st_size, TAIL_BYTES)
            _cut(path)
    for path in old_folders:
        with suppress(OSError):  # it is not empty
            path.rmdir()


def _cut(path: Path) -> None:
    """In place, because whoever writes to the file would go on with the old one."""
    with path.open("rb") as file:
        file.seek(-TAIL_BYTES, os.SEEK_END)
        file.readline()
        tail = file.read()
    os.truncate(path, 0)
    with path.open("ab") as file:
        file.write(tail)
