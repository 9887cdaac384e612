"""Somebody who calls `./paylake`, with a stack of their own in a temporary home, on free ports."""

from __future__ import annotations

import os
import pwd
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from include.local import layout
from include.local.layout import Stack
from tests.support.ports import free_port_base

LONGEST_SECONDS = 1800


@dataclass(frozen=True)
class Caller:
    """``command`` is what stands before the arguments; ``account`` is whose process it is, None for the test's own."""

    command: tuple[str | Path, ...]
    home: Path
    account: pwd.struct_passwd | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    port_base: int = field(default_factory=free_port_base)

    @property
    def environment(self) -> dict[str, str]:
        own = {"PAYLAKE_HOME": str(self.home), "PAYLAKE_PORT_BASE": str(self.port_base)}
        return {**os.environ, **self.variables, **own}

    @property
    def stack(self) -> Stack:
        return layout.locate(self.environment)

    def __call__(self, *arguments: str) -> str:
        """Run a command, which must succeed; returns what it printed."""
        as_whom: dict[str, Any] = {}
        if self.account is not None:
            as_whom = {"user": self.account.pw_uid, "group": self.account.pw_gid, "extra_groups": [], "umask": 0o022}
        answer: subprocess.CompletedProcess[str] = subprocess.run(
            [*self.command, *arguments],
            cwd=self.home.parent,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LONGEST_SECONDS,
            check=False,
            **as_whom,
        )
        assert answer.returncode == 0, f"{shlex.join(arguments)}:\n{answer.stdout[-8_000:]}{answer.stderr[-8_000:]}"
        return answer.stdout

    @contextmanager
    def up(self) -> Iterator[None]:
        """Have a stack with its first data; remove it at the end, whatever happened."""
        try:
            self("up")
            yield
        finally:
            self("reset", "--yes")
