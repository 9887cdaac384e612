"""Docker Compose on this clone: its containers, and what ``.env`` says of them. Standard library only."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from include.docker import env_file

CLONE = Path(__file__).resolve().parents[2]
ENV_FILE = CLONE / ".env"
COMPOSE = ["docker", "compose"]
# The label of a container that `docker compose run` made.
ONE_OFF = "com.docker.compose.oneoff=True"


class DockerError(Exception):
    """Something the user has to mend; the text is one clear sentence."""


def call(*arguments: str) -> int:
    """Run Docker Compose on this clone and return its exit code.

    Raises:
        DockerError: Docker is missing, or ``.env`` is.
    """
    return _run(arguments).returncode


def ask(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Docker Compose on this clone for what it writes.

    Raises:
        DockerError: as for ``call``.
    """
    return _run(arguments, stdout=subprocess.PIPE)


def in_container(*arguments: str) -> int:
    """Run ``python -m paylake_airflow`` in a container of its own and return its exit code."""
    return run_container("paylake", *arguments)


def run_container(*arguments: str) -> int:
    """``docker compose run``, of which nothing is left when it was interrupted."""
    name = f"paylake-command-{os.getpid()}"
    try:
        return call("run", "--rm", "--no-deps", "--name", name, *terminal(), *arguments)
    except KeyboardInterrupt:
        subprocess.run(["docker", "rm", "--force", name], capture_output=True, check=False)
        raise


def terminal() -> list[str]:
    """No terminal in the container where there is none here, as in a script."""
    return [] if sys.stdin.isatty() and sys.stdout.isatty() else ["--no-TTY"]


def known_variables() -> dict[str, str]:
    """What ``.env`` says, and the caller's environment, which Compose heeds before it."""
    _need_env_file()
    known = env_file.read(ENV_FILE)
    return {**known, **{name: value for name, value in os.environ.items() if name in known or "PAYLAKE_" in name}}


def address(known: dict[str, str], server: str, default: int) -> str:
    """Where a server is published on this machine."""
    return f"127.0.0.1:{known.get(f'PAYLAKE_{server}_PORT') or default}"


def ours(known: dict[str, str], service: str) -> bool:
    """Whether a store is a service of this stack; else a managed one has its place."""
    return service in known["COMPOSE_PROFILES"].split(",")


def airflow_url(known: dict[str, str]) -> str:
    """Where Airflow's UI and REST API are."""
    return f"http://{address(known, 'AIRFLOW', 8080)}"


def containers() -> list[dict[str, Any]]:
    """The services' containers as ``docker compose ps`` describes them, by service.

    Raises:
        DockerError: Docker Compose does not answer.
    """
    answer = ask("ps", "--all", "--format", "json")
    if answer.returncode:
        raise DockerError("Docker Compose does not answer; its words are above.")
    found = [json.loads(line) for line in answer.stdout.splitlines()]
    return sorted((raw for raw in found if ONE_OFF not in raw["Labels"]), key=lambda raw: str(raw["Service"]))


def _run(arguments: Sequence[str], stdout: int | None = None) -> subprocess.CompletedProcess[str]:
    _need_env_file()
    try:
        # In the clone's folder, because Compose looks there for what COMPOSE_FILE names.
        return subprocess.run([*COMPOSE, *arguments], cwd=CLONE, stdout=stdout, text=True, check=False)
    except FileNotFoundError as error:
        raise DockerError("Docker is not on the PATH; install Docker with Compose 2.24 or newer.") from error


def _need_env_file() -> None:
    if not ENV_FILE.exists():
        raise DockerError(f"{ENV_FILE} is missing; ./paylake --docker init writes it.")
