"""Shows the steps of ``up``: a live table on a terminal, plain lines anywhere else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from include.stack.steps import State, Task

MARKS = {
    State.WAITING: Text("·", style="dim"),
    State.DONE: Text("✓", style="green"),
    State.FAILED: Text("✗", style="bold red"),
    State.CANCELLED: Text("-", style="yellow"),
}
# How often a step that goes on tells what it is doing: when that has changed, and when it has not.
CHANGED_EVERY_SECONDS = 10.0
SAME_EVERY_SECONDS = 60.0


@contextmanager
def shown(tasks: Mapping[str, Task], console: Console) -> Iterator[Callable[[], None]]:
    """Show the tasks for as long as the block runs; yields the function to call for each refresh."""
    if not console.is_terminal:
        yield PlainLines(tasks, console).tick
        return
    spinners = {name: Spinner("dots", style="cyan") for name in tasks}
    with Live(console=console, get_renderable=lambda: _table(tasks, spinners), refresh_per_second=8):
        yield lambda: None


def _table(tasks: Mapping[str, Task], spinners: Mapping[str, Spinner]) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column(width=2)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(style="dim", no_wrap=True, overflow="ellipsis")
    for name, task in tasks.items():
        mark = spinners[name] if task.state is State.RUNNING else MARKS[task.state]
        table.add_row(mark, task.step.title, _elapsed(task), _message(task))
    return table


def _elapsed(task: Task) -> str:
    if task.state is State.WAITING or not task.started:
        return ""
    seconds = time.monotonic() - task.started if task.state is State.RUNNING else task.seconds
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds // 60:.0f} min {seconds % 60:02.0f} s"


def _message(task: Task) -> str:
    if task.state in (State.RUNNING, State.DONE):
        return task.message
    if task.state is State.FAILED:
        return str(task.error).splitlines()[0]
    return ""


class PlainLines:
    """One line per change of a step."""

    def __init__(self, tasks: Mapping[str, Task], console: Console) -> None:
        self._tasks = tasks
        self._console = console
        self._begin = time.monotonic()
        self._states = dict.fromkeys(tasks, State.WAITING)
        self._last_line = dict.fromkeys(tasks, (0.0, ""))

    def tick(self) -> None:
        """Print what changed since the last call."""
        now = time.monotonic()
        for name, task in self._tasks.items():
            state = task.state
            if state is not self._states[name]:
                self._states[name] = state
                self._print(task, state, now)
            elif state is State.RUNNING and self._due(task, now):
                self._print(task, state, now)

    def _due(self, task: Task, now: float) -> bool:
        printed, message = self._last_line[task.step.name]
        return now - printed > (SAME_EVERY_SECONDS if message == task.message else CHANGED_EVERY_SECONDS)

    def _print(self, task: Task, state: State, now: float) -> None:
        self._last_line[task.step.name] = now, task.message
        words = {
            State.RUNNING: task.message or "begins",
            State.DONE: f"done in {task.seconds:.1f} s" + (f" ({task.message})" if task.message else ""),
            State.FAILED: "FAILED",
            State.CANCELLED: "cancelled",
        }
        line = f"[{now - self._begin:6.1f} s] {task.step.title}: {words.get(state, state.value)}"
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)
