"""What ``status`` shows of a stack."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rich.console import Console

from include.status.flow import Flow
from include.status.render import render


@dataclass(frozen=True, slots=True)
class Status:
    """How a stack is: the flow through it, with all that is wrong."""

    flow: Flow

    @property
    def well(self) -> bool:
        """Whether every part answers, and all that should flow does."""
        return not self.flow.problems

    def as_json(self) -> dict[str, Any]:
        """The status as plain values; times in ISO 8601, UTC."""
        return self.flow.as_json()

    def show(self, console: Console) -> None:
        """Print it as tables."""
        render(self.flow, console)
