"""What one process of the stack is: its command, its environment, its user."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

# What a user's shell may hold for other installations of the same programs, and must not reach ours.
FOREIGN_PREFIXES = ("AIRFLOW_", "AWS_", "HADOOP_", "KAFKA_", "MINIO_", "PG", "PYSPARK_", "PYTHON", "S3_", "SPARK_")
KEPT = frozenset({"AWS_CA_BUNDLE"})
STACK_ID_VARIABLE = "PAYLAKE_STACK_ID"


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
        """The definition as ``include/local/execute.py`` reads it."""
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"

    def definition_file(self, run: Path) -> Path:
        """Where the definition is kept."""
        return run / f"{self.name}.json"


def own_environment(stack_id: str, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The user's environment without other installations' settings, with the mark by which our processes are known."""
    kept = without_foreign(environment)
    for name in ("VIRTUAL_ENV", "LD_PRELOAD", "CLASSPATH"):
        kept.pop(name, None)
    return {**kept, STACK_ID_VARIABLE: stack_id}


def without_foreign(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without what names, or tunes clients for, other Kafkas, stores and databases than a stack's."""
    return {name: value for name, value in environment.items() if name in KEPT or not name.startswith(FOREIGN_PREFIXES)}
