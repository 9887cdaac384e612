"""Servers that end with the process that asked for them, in whatever way it ends, even by SIGKILL.

They belong to a keeper, a process of its own that waits on a pipe: when its starter ends the pipe closes, and the
keeper removes everything.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from include.errors import StackError
from include.local.layout import CLONE

STOP_SECONDS = 120.0


@contextmanager
def kept(module: str, what: str) -> Iterator[dict[str, str]]:
    """Run a module as the keeper until the end of the block; yields the environment that it announces.

    Raises:
        StackError: it ended before it announced one; the reason was printed to standard error. ``what`` names the
            servers in the message.
    """
    keeper = subprocess.Popen(
        [sys.executable, "-m", module],
        cwd=CLONE,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # Ctrl-C is for the starter; the keeper learns of its end by the pipe.
        start_new_session=True,
    )
    try:
        assert keeper.stdout is not None  # noqa: S101 (for the type checker: a pipe was asked for)
        answer = keeper.stdout.readline()
        if not answer:
            raise StackError(f"{what} did not start (exit code {keeper.wait(STOP_SECONDS)}).")
        environment: dict[str, str] = json.loads(answer)
        yield environment
    finally:
        keeper.communicate(timeout=STOP_SECONDS)


def announce(environment: Mapping[str, str]) -> None:
    """In the keeper: tell the starter how clients find the servers, and return when it has ended."""
    sys.stdout.write(json.dumps(dict(environment)) + "\n")
    sys.stdout.flush()
    sys.stdin.read()
