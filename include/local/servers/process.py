"""What one process of a stack is: its command, its environment, its user."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Process:
    """A server that supervisor keeps. ``environment`` is added to what the user's shell gives every program.

    ``user`` and ``group`` are the numbers it runs as, None for the user of the stack. It is not begun before something
    listens on the port ``needs_port`` of this machine. ``stop_signal`` asks it to end in order; after ``stop_seconds``
    it is killed.
    """

    name: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    address: str = ""
    group_name: str = "stores"
    cwd: str | None = None
    user: int | None = None
    group: int | None = None
    needs_port: int | None = None
    stop_signal: str = "TERM"
    stop_seconds: int = 30

    @property
    def digest(self) -> str:
        """Changes when the process would have to be started anew to be as it is described here."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    def to_json(self) -> str:
        """The definition as ``include/local/supervision/execute.py`` reads it."""
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"

    def definition_file(self, run: Path) -> Path:
        """Where the definition is kept."""
        return run / f"{self.name}.json"
