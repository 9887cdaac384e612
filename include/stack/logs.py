"""Shows logs: of a server, or the newest of a DAG's task, also while they grow, rotate or are replaced."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from include.errors import StackError

FRAUD_DAG = "fraud_stream"
FRAUD_MARK = "FRAUD "
POLL_SECONDS = 0.3


class LogFolders(Protocol):
    """Where the logs of servers and of Airflow's tasks are."""

    @property
    def logs(self) -> Path:
        """Folder of the servers' logs."""

    @property
    def task_logs(self) -> Path:
        """Folder of the logs of Airflow's tasks."""


def last_lines(path: Path, count: int) -> str:
    """The last lines of a file; a note when it does not exist."""
    try:
        with path.open(errors="replace") as file:
            return "".join(deque(file, count)).rstrip()
    except FileNotFoundError:
        return "(no log was written)"


def names(stack: LogFolders) -> list[str]:
    """The names that ``logs`` understands now: servers, DAGs that have run, and ``fraud``."""
    servers = sorted(path.stem for path in stack.logs.glob("*.log"))
    dags = sorted(path.name.removeprefix("dag_id=") for path in stack.task_logs.glob("dag_id=*"))
    return [*servers, "fraud", *dags]


def source(stack: LogFolders, name: str) -> Callable[[], Path | None]:
    """A function that names the file to show at this moment: the newest one, for a DAG.

    Raises:
        StackError: there is no such log.
    """
    server = stack.logs / f"{name}.log"
    if server.exists():
        return lambda: server
    dag_id = FRAUD_DAG if name == "fraud" else name
    folder = stack.task_logs / f"dag_id={dag_id}"
    if name != "fraud" and not folder.is_dir():
        raise StackError(f"There is no log {name!r}; there are: {', '.join(names(stack))}.")
    return lambda: max(folder.rglob("*.log"), key=lambda path: path.stat().st_mtime, default=None)


def show(stack: LogFolders, name: str, *, lines: int, write: Callable[[str], None]) -> None:
    """Write the last lines of a log.

    Raises:
        StackError: there is no such log.
    """
    wanted = _picker(name)
    path = source(stack, name)()
    if path is None:
        return
    with path.open(errors="replace") as file:
        found: deque[str] = deque(filter(None, map(wanted, file)), lines)
    for text in found:
        write(text)


def follow(
    stack: LogFolders, name: str, *, lines: int, write: Callable[[str], None], stop: Callable[[], bool] = lambda: False
) -> None:
    """Write the last lines of a log, then what is added to it, until ``stop`` or Ctrl-C.

    A file that is rotated, or a newer file of the same DAG, is followed from its beginning.
    """
    wanted = _picker(name)
    recent: deque[str] | None = deque(maxlen=lines)
    for raw in _growing(source(stack, name), stop):
        if raw is None:
            for line in recent or ():
                write(line)
            recent = None
        elif (text := wanted(raw)) is not None:
            if recent is None:
                write(text)
            else:
                recent.append(text)


def _growing(newest: Callable[[], Path | None], stop: Callable[[], bool]) -> Iterator[str | None]:
    """Lines as they come; None each time there is nothing more for now."""
    while not stop():
        path = newest()
        if path is None:
            yield None
            time.sleep(POLL_SECONDS)
            continue
        with path.open(errors="replace") as file:
            identity, partial = path.stat().st_ino, ""
            while True:
                chunk = file.readline()
                if chunk:
                    partial += chunk
                    if partial.endswith("\n"):
                        yield partial
                        partial = ""
                    continue
                yield None
                if stop() or newest() != path or _replaced(path, identity, file.tell()):
                    break
                time.sleep(POLL_SECONDS)


def _replaced(path: Path, identity: int, position: int) -> bool:
    try:
        status = path.stat()
    except FileNotFoundError:
        return True
    return status.st_ino != identity or status.st_size < position


def _picker(name: str) -> Callable[[str], str | None]:
    """What of a raw line is shown: for fraud only the events, for a task's JSON lines their message."""
    if name != "fraud":
        return lambda raw: _readable(raw.rstrip("\n"))

    def fraud_only(raw: str) -> str | None:
        _, mark, rest = _event(raw).partition(FRAUD_MARK)
        return mark + rest.rstrip() if mark else None

    return fraud_only


def _event(raw: str) -> str:
    """A task's message: its log is one JSON object per line."""
    try:
        entry = json.loads(raw)
    except ValueError:
        return raw
    return str(entry["event"]) if isinstance(entry, dict) and "event" in entry else raw


def _readable(raw: str) -> str:
    try:
        entry = json.loads(raw)
    except ValueError:
        return raw
    if not isinstance(entry, dict) or "event" not in entry:
        return raw
    message = f"{entry.get('timestamp', '')[:23]} {str(entry.get('level', '')).upper():8}{entry['event']}"
    # The exception that was raised, and before it those that it came from.
    raised = [f"{one['exc_type']}: {one['exc_value']}" for one in reversed(entry.get("error_detail") or [])]
    return "\n".join([message, *raised])
