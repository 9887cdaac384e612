"""A Docker engine for the tests: the one that answers here, else a private one for the length of the tests.

An engine that answers is used as it is, with the real images, which it pulls. PAYLAKE_DOCKER_STAND_INS=1 says that it
may be filled with stand-ins instead. Where none answers, root starts one that keeps its images and its build cache in
Paylake's cache folder, for the next time. A second test run waits until the first has ended.

The private engine belongs to a keeper, which removes all containers, networks and volumes when the tests end. The
engine and its containers are in a namespace of processes that the kernel ends with the keeper.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from include.errors import StackError
from include.lifetime import die_with_parent
from include.local.layout import locate, locked
from include.local.testing.keeper import announce, kept
from tests.docker import stand_ins
from tests.docker.commands import run
from tests.docker.compose import ensure_binary, has_plugin

START_SECONDS = 120.0
STOP_SECONDS = 120.0
POLL_SECONDS = 0.2
LOG_LINES = 20
# The engine gets its own: a containerd that runs here would keep containers outside of the namespace.
OWN_CONTAINERD = 'mkdir -p /run/containerd && mount -t tmpfs tmpfs /run/containerd && exec "$@"'


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine that answers; ``environment`` is what ``docker`` and ``docker compose`` find it by."""

    environment: Mapping[str, str]
    has_stand_ins: bool

    def provide_images(self, names: Collection[str] = stand_ins.PULLED) -> None:
        """See to it that the engine has these of the images that Paylake's Docker files pull.

        Raises:
            StackError: an image can neither be pulled nor made.
        """
        if self.has_stand_ins:
            stand_ins.make(names, self.environment, lambda text: print(text, file=sys.stderr, flush=True))
            return
        for name in names:
            if not _succeeds(["docker", "image", "inspect", name], self.environment):
                run(["docker", "pull", "--quiet", name], f"pulling {name}", environment=self.environment)


def why_none() -> str | None:
    """Why this machine can have no engine, None when one answers or can be started."""
    if os.environ.get("DOCKER_HOST") or _answers(os.environ):
        return None
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        return "no Docker engine answers, and only root on Linux can start one"
    if not shutil.which("dockerd") and not shutil.which("apt-get"):
        return "no Docker engine answers, and there is neither dockerd nor apt-get to install it"
    return None


@contextmanager
def engine() -> Iterator[Engine]:
    """The engine of this machine, or a private one until the end of the block.

    Raises:
        StackError: none answers and none can be started; the reason was printed to standard error.
    """
    if _answers(os.environ):
        may_have_stand_ins = os.environ.get("PAYLAKE_DOCKER_STAND_INS") == "1"
        yield Engine(_with_compose(_inherited()), has_stand_ins=may_have_stand_ins)
        return
    if host := os.environ.get("DOCKER_HOST"):
        raise StackError(f"No Docker engine answers at {host}, which DOCKER_HOST names.")
    with kept(__name__, "The Docker engine for the tests") as address:
        yield Engine(_with_compose(_inherited() | address), has_stand_ins=True)


def keep() -> None:
    """Be the keeper: start, tell the tests where the engine is, wait for their end, remove all.

    Raises:
        StackError: the engine can not be installed or does not start.
    """
    folder = locate().cache / "docker"
    with locked(folder / "engine.lock", wait=True), tempfile.TemporaryDirectory(prefix="paylake-engine-") as private:
        _install()
        socket = Path(private) / "docker.sock"
        address = {"DOCKER_HOST": f"unix://{socket}"}
        log = folder / "engine.log"
        with log.open("w") as output:
            # Ctrl-C is not for it; the kernel ends it with the keeper.
            process = subprocess.Popen(
                _command(folder / "engine", Path(private)),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        try:
            _await_answer(process, os.environ | address, log)
            _remove_all(os.environ | address)
            announce(address)
            _remove_all(os.environ | address)
        finally:
            _stop(process)


def _command(data: Path, private: Path) -> list[str]:
    settings = private / "daemon.json"
    settings.write_text(json.dumps({"builder": {"gc": {"enabled": True, "defaultKeepStorage": "20GB"}}}))
    return [
        "unshare",
        *("--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"),
        *("sh", "-c", OWN_CONTAINERD, "sh"),
        "dockerd",
        f"--config-file={settings}",
        f"--data-root={data}",
        f"--exec-root={private / 'exec'}",
        f"--pidfile={private / 'pid'}",
        f"--host=unix://{private / 'docker.sock'}",
    ]


def _install() -> None:
    """Install the engine, and the command where it is a package of its own, unless they are there."""
    if shutil.which("dockerd") and shutil.which("docker") and shutil.which("iptables"):
        return
    what = "installing Docker"
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    run(["apt-get", "update"], what, environment=environment)
    packages = ["docker.io", "iptables", "ca-certificates"]
    if _succeeds(["apt-cache", "show", "docker-cli"], environment):
        packages.append("docker-cli")
    command = ["apt-get", "-o", "DPkg::Lock::Timeout=300", "install", "-y", "--no-install-recommends", *packages]
    run(command, what, environment=environment)


def _await_answer(process: subprocess.Popen[bytes], environment: Mapping[str, str], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _answers(environment):
        if process.poll() is not None or time.monotonic() > deadline:
            last = "\n  ".join(log.read_text(errors="replace").splitlines()[-LOG_LINES:])
            raise StackError(f"dockerd does not answer; its last lines, from {log}:\n  {last}")
        time.sleep(POLL_SECONDS)


def _remove_all(environment: Mapping[str, str]) -> None:
    """Remove what tests have left, also those of an earlier engine; images and the build cache stay."""
    what = "clearing the engine"
    for listing, removal in (
        (["ps", "--all", "--quiet"], ["rm", "--force", "--volumes"]),
        (["volume", "ls", "--quiet"], ["volume", "rm", "--force"]),
    ):
        names = run(["docker", *listing], what, environment=environment).split()
        if names:
            run(["docker", *removal, *names], what, environment=environment)
    run(["docker", "network", "prune", "--force"], what, environment=environment)
    run(["docker", "image", "prune", "--force"], what, environment=environment)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the engine in order, else by force; the process is the one that made its namespace."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    try:
        for child in children.read_text().split():
            os.kill(int(child), signal.SIGTERM)
        process.wait(STOP_SECONDS / 2)
    except (FileNotFoundError, ProcessLookupError, subprocess.TimeoutExpired):
        process.kill()
        process.wait(STOP_SECONDS / 2)


def _inherited() -> dict[str, str]:
    """The caller's environment without what is meant for another stack."""
    kept = ("PAYLAKE_CACHE",)
    return {
        name: value
        for name, value in os.environ.items()
        if name in kept or not name.startswith(("COMPOSE_", "PAYLAKE_"))
    }


def _with_compose(environment: dict[str, str]) -> dict[str, str]:
    """The environment, with Compose as a plugin of ``docker`` also where it is not installed."""
    if has_plugin():
        return environment
    folder = locate().cache / "docker" / "config"
    plugin = folder / "cli-plugins" / "docker-compose"
    plugin.parent.mkdir(parents=True, exist_ok=True)
    if not plugin.is_symlink() or plugin.readlink() != ensure_binary():
        plugin.unlink(missing_ok=True)
        plugin.symlink_to(ensure_binary())
    answer = run(["docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"], "asking for the engine")
    return {"DOCKER_HOST": answer.strip()} | environment | {"DOCKER_CONFIG": str(folder)}


def _answers(environment: Mapping[str, str]) -> bool:
    return bool(shutil.which("docker")) and _succeeds(["docker", "version"], environment)


def _succeeds(command: list[str], environment: Mapping[str, str]) -> bool:
    answer = subprocess.run(
        command,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    return answer.returncode == 0


if __name__ == "__main__":
    try:
        keep()
    except StackError as error:
        sys.exit(f"paylake: {error}")
