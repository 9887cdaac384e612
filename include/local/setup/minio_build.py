"""MinIO is built from source once, because its images and downloads were withdrawn."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from include.local.layout import Stack, locked
from include.local.setup.cache import lock_of, mark_used
from include.stack.steps import Task

VERSION = "v0.0.0-20260212201848-7aac2a2c5b7c"
MODULE = f"github.com/minio/minio@{VERSION}"
OLDEST_GO = (1, 24)


def binary(stack: Stack) -> Path:
    """Where the built server lies."""
    return stack.cache / f"minio-{VERSION}" / "minio"


def ensure_binary(stack: Stack, task: Task) -> Path:
    """Build the server unless it is there.

    Raises:
        StackError: the build failed; its last lines are in the message.
    """
    program = binary(stack)
    mark_used(program.parent)
    if program.exists():
        return program
    with locked(lock_of(program.parent), wait=True) as lock:
        if program.exists():
            return program
        work = stack.cache / "minio-build"
        environment = {
            **os.environ,
            "GOPATH": str(work / "go"),
            "GOCACHE": str(work / "cache"),
            "GOBIN": str(work / "bin"),
            "GOFLAGS": "-trimpath -modcacherw",
            "CGO_ENABLED": "0",
        }
        task.say("building (2 to 5 minutes)")
        task.command([*go_command(), "install", "-v", MODULE], environment=environment, keep=(lock,), show=_package)
        program.parent.mkdir(parents=True, exist_ok=True)
        os.replace(work / "bin" / "minio", program)
        # Sources and intermediate results are more than a gigabyte and of no use any more.
        shutil.rmtree(work)
    return program


def go_command() -> list[str]:
    """The Go of this machine when it is new enough, else the one that came with the Python environment."""
    found = shutil.which("go")
    if found and _go_version(found) >= OLDEST_GO:
        return [found]
    return [sys.executable, "-c", "import go; go.main()"]


def _go_version(program: str) -> tuple[int, ...]:
    try:
        answer = subprocess.run([program, "version"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return ()  # a Go that does not run is as good as none
    match = re.search(r"go(\d+)\.(\d+)", answer.stdout)
    return tuple(int(part) for part in match.groups()) if match else ()


def _package(line: str) -> str | None:
    return f"building {line[:70]}" if not line.startswith("go:") else line[:70]
