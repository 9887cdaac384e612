"""The Compose v2 command: Docker's plugin where it is installed, else built once from its Go module."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from include.local.layout import locate, locked
from include.local.setup.cache import lock_of, mark_used
from include.local.setup.minio_build import go_command
from tests.docker.commands import run

VERSION = "v2.40.3"
MODULE = "github.com/docker/compose/v2"
OLDEST_MAJOR = 2


def compose_command() -> list[str]:
    """How Compose is called here.

    Raises:
        StackError: there is no plugin and the build failed; its last lines are in the message.
    """
    return ["docker", "compose"] if has_plugin() else [str(ensure_binary())]


def has_plugin() -> bool:
    """Whether ``docker compose`` is installed and new enough."""
    if not shutil.which("docker"):
        return False
    command = ["docker", "compose", "version", "--short"]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    match = re.match(r"v?(\d+)\.", answer.stdout)
    return answer.returncode == 0 and match is not None and int(match[1]) >= OLDEST_MAJOR


def ensure_binary() -> Path:
    """Build Compose unless it is there.

    Raises:
        StackError: the build failed; its last lines are in the message.
    """
    program = locate().cache / f"docker-compose-{VERSION}" / "docker-compose"
    mark_used(program.parent)
    if program.exists():
        return program
    with locked(lock_of(program.parent), wait=True):
        if not program.exists():
            program.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=program.parent, prefix="build-") as folder:
                _build(Path(folder))
                os.replace(Path(folder) / "docker-compose", program)
    return program


def _build(folder: Path) -> None:
    """Build it in a module made for this, because ``go install`` refuses a module that replaces others."""
    environment = {
        **os.environ,
        "GOPATH": str(folder / "go"),
        "GOCACHE": str(folder / "cache"),
        # The module cache is removed with the folder, so it must be writable.
        "GOFLAGS": "-modcacherw",
        "CGO_ENABLED": "0",
    }
    flags = f"-s -w -X {MODULE}/internal.Version={VERSION}"
    for arguments in (
        ["mod", "init", "paylake/compose"],
        ["get", f"{MODULE}/cmd@{VERSION}"],
        ["build", "-trimpath", "-ldflags", flags, "-o", "docker-compose", f"{MODULE}/cmd"],
    ):
        run([*go_command(), *arguments], f"building Compose {VERSION}", environment=environment, cwd=folder)
