"""Where a stack is: its clone, its home with all its state, the cache, its ports."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from include.errors import StackError
from include.files import write_private
from include.local.ports import Ports

CLONE = Path(__file__).resolve().parents[2]
# A socket's path must fit into 108 bytes with its closing zero, whatever the folder of the stack is called.
SOCKET_PATH_LIMIT = 100
# All that a home holds; what is being written has the same name with a suffix.
OURS = ("airflow", "kafka", "lock", "logs", "minio", "postgres", "run", "secrets.json", "spark", "stack.json")


@dataclass(frozen=True, slots=True)
class Stack:
    """One stack on this machine. Everything it writes lies under ``home``; ``cache`` is shared by all stacks."""

    clone: Path
    home: Path
    cache: Path
    ports: Ports

    @property
    def stack_id(self) -> str:
        """A short name for this home, by which its processes are known."""
        return hashlib.sha256(str(self.home).encode()).hexdigest()[:12]

    @property
    def exists(self) -> bool:
        """Whether this home was set up at least once."""
        return self.choice_file.exists()

    @property
    def choice_file(self) -> Path:
        """What was chosen at the first start and must be found again."""
        return self.home / "stack.json"

    @property
    def secrets_file(self) -> Path:
        """The generated passwords, readable by their owner only."""
        return self.home / "secrets.json"

    @property
    def logs(self) -> Path:
        """One log per server."""
        return self.home / "logs"

    @property
    def run(self) -> Path:
        """What supervisor needs: its configuration and the definition of each process."""
        return self.home / "run"

    @property
    def airflow_home(self) -> Path:
        """Airflow's own folder: its configuration, the logs of its tasks."""
        return self.home / "airflow"

    @property
    def airflow_passwords(self) -> Path:
        """The users of Airflow's UI and their passwords."""
        return self.airflow_home / "passwords.json"

    @property
    def task_logs(self) -> Path:
        """The logs of Airflow's tasks."""
        return self.airflow_home / "logs"

    @property
    def spark(self) -> Path:
        """Spark's home, its settings, and what it writes while it runs."""
        return self.home / "spark"

    @property
    def supervisor_socket(self) -> Path:
        """Where supervisor listens; in the temporary folder when the home's path is too long for a socket."""
        path = self.run / "supervisor.sock"
        if len(os.fsencode(path)) <= SOCKET_PATH_LIMIT:
            return path
        return Path("/tmp") / f"paylake-{os.getuid()}-{self.stack_id}" / "supervisor.sock"  # noqa: S108 (folder is ours, 0700)

    def remember(self) -> None:
        """Write down the ports, so that later commands find the stack without being told."""
        make_home(self.home)
        write_private(self.choice_file, json.dumps({"ports": self.ports.by_name()}, indent=2) + "\n")


def locate(environment: Mapping[str, str] = os.environ, *, starting: bool = False) -> Stack:
    """The stack that PAYLAKE_HOME, PAYLAKE_PORT_BASE and PAYLAKE_CACHE name.

    The ports are those the home was last started with; PAYLAKE_PORT_BASE counts for a new home and for a start.

    Raises:
        StackError: one of the variables makes no sense, or the home holds something else.
    """
    home = Path(environment.get("PAYLAKE_HOME") or CLONE / ".paylake").expanduser().resolve()
    cache = Path(environment.get("PAYLAKE_CACHE") or "~/.cache/paylake").expanduser().resolve()
    stack = Stack(clone=CLONE, home=home, cache=cache, ports=Ports())
    remembered = remembered_ports(stack)
    base = environment.get("PAYLAKE_PORT_BASE")
    if base and (starting or remembered is None):
        return replace(stack, ports=Ports.from_text(base))
    return replace(stack, ports=remembered or stack.ports)


def remembered_ports(stack: Stack) -> Ports | None:
    """The ports this home was last started with, None for a new home.

    Raises:
        StackError: the file can not be read as what ``Stack.remember`` wrote.
    """
    try:
        return Ports(**json.loads(stack.choice_file.read_text())["ports"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, NotADirectoryError) as error:
        raise StackError(f"{stack.choice_file} is not a file that Paylake wrote: {error}.") from error


def foreign_files(home: Path) -> list[str]:
    """What lies in a home that no stack has put there."""
    return sorted(path.name for path in home.iterdir() if not path.name.startswith(OURS)) if home.is_dir() else []


def make_home(home: Path) -> None:
    """Make the folder of a stack, closed to other users.

    As root it stays passable: PostgreSQL then runs as somebody else, whose data lies within.

    Raises:
        StackError: it can not be made, or it holds other things: its rights would change, and ``reset`` removes it.
    """
    if foreign := foreign_files(home):
        names = ", ".join(foreign[:5])
        raise StackError(f"{home} holds what is not Paylake's ({names}); set PAYLAKE_HOME to a folder of its own.")
    try:
        home.mkdir(parents=True, exist_ok=True)
        home.chmod(0o711 if os.geteuid() == 0 else 0o700)
    except OSError as error:
        raise StackError(f"The stack's folder {home} can not be made: {error.strerror}.") from error


@contextlib.contextmanager
def locked(path: Path, *, wait: bool) -> Iterator[int]:
    """Hold a lock among processes; the system frees it when its holders end, however they end.

    Yields the lock's descriptor. A child process that inherits it holds the lock too.

    Raises:
        StackError: somebody else holds it and ``wait`` is False.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            raise StackError(
                f"Another paylake command is starting or stopping the stack in {path.parent}; wait until it is done."
            ) from error
        yield file.fileno()
