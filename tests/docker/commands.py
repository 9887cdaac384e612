"""Programs run to their end; of one that fails, its last lines are told."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from include.errors import StackError

LAST_LINES = 40


def run(
    command: Sequence[str | Path],
    what: str,
    *,
    environment: Mapping[str, str] = os.environ,
    cwd: Path | None = None,
) -> str:
    """Run a program and return what it wrote; ``what`` names its purpose when it fails.

    Raises:
        StackError: it is missing or ended with another status than 0; its last lines are in the message.
    """
    try:
        answer = subprocess.run(
            command,
            cwd=cwd,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError as error:
        raise StackError(f"{what}: {command[0]} can not be started: {error.strerror}.") from error
    if answer.returncode != 0:
        last = "\n  ".join(answer.stdout.splitlines()[-LAST_LINES:])
        raise StackError(f"{what}: {Path(command[0]).name} ended with status {answer.returncode}:\n  {last}")
    return answer.stdout
