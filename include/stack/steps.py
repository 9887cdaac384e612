"""Runs steps that depend on each other: at the same time where they can, none at all after one failed."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from graphlib import TopologicalSorter
from pathlib import Path
from queue import Empty, SimpleQueue

from include.errors import CancelledError, StackError

POLL_SECONDS = 0.2
LAST_LINES = 12


class State(Enum):
    """Where a step is."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Step:
    """A piece of work. ``after`` names the steps that must be done before it begins.

    A text that ``action`` returns is shown as what the step has come to.
    """

    name: str
    title: str
    action: Callable[[Task], object]
    after: tuple[str, ...] = ()


@dataclass(slots=True)
class Task:
    """What an action has in hand: a way to say what it does, and the means to wait so that it can be cancelled."""

    step: Step
    cancelled: threading.Event
    state: State = State.WAITING
    message: str = ""
    started: float = 0.0
    seconds: float = 0.0
    error: BaseException | None = field(default=None)

    def say(self, message: str) -> None:
        """Show what the step is doing now."""
        self.message = message

    def check(self) -> None:
        """Give up here if the work was cancelled."""
        if self.cancelled.is_set():
            raise CancelledError(self.step.title)

    def wait_until(
        self,
        why_not: Callable[[], str | None],
        *,
        seconds: float,
        what: str,
        every: float = POLL_SECONDS,
    ) -> None:
        """Wait until ``why_not`` has no reason left; it is asked ``every`` so many seconds.

        Raises:
            StackError: the limit passed; it gives the last reason.
            CancelledError: the work was cancelled.
        """
        deadline = time.monotonic() + seconds
        while reason := why_not():
            if time.monotonic() > deadline:
                raise StackError(f"{what} did not happen within {seconds:.0f} s: {reason}.")
            self.say(f"waiting: {reason}")
            if self.cancelled.wait(every):
                raise CancelledError(self.step.title)

    def command(
        self,
        arguments: Sequence[str | Path],
        *,
        environment: Mapping[str, str] | None = None,
        user: int | None = None,
        group: int | None = None,
        cwd: Path | None = None,
        keep: Sequence[int] = (),
        show: Callable[[str], str | None] = lambda line: None,
    ) -> list[str]:
        """Run a program to its end and return its last lines; ``show`` picks what of a line is worth showing.

        The program runs in a session of its own and is ended when the work is cancelled. ``keep`` are descriptors it
        inherits (locks that must outlive this process for as long as the program runs).

        Raises:
            StackError: the program is missing or ended with another status than 0.
            CancelledError: the work was cancelled.
        """
        try:
            process = subprocess.Popen(  # closed below, whatever happens
                [str(argument) for argument in arguments],
                env=None if environment is None else dict(environment),
                user=user,
                group=group,
                extra_groups=None if user is None else [],
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
                pass_fds=tuple(keep),
            )
        except OSError as error:
            raise StackError(f"{self.step.title}: {arguments[0]} can not be started: {error.strerror}.") from error
        lines: deque[str] = deque(maxlen=LAST_LINES)
        reader = threading.Thread(target=self._read, args=(process, lines, show), daemon=True)
        reader.start()
        try:
            while process.poll() is None:
                if self.cancelled.wait(POLL_SECONDS / 4):
                    raise CancelledError(self.step.title)
        finally:
            _end(process)
            reader.join()
        if process.returncode != 0:
            raise StackError(
                f"{self.step.title}: {Path(arguments[0]).name} ended with status {process.returncode}:\n  "
                + "\n  ".join(lines)
            )
        return list(lines)

    def _read(self, process: subprocess.Popen[str], lines: deque[str], show: Callable[[str], str | None]) -> None:
        assert process.stdout is not None  # noqa: S101 (for the type checker: a pipe was asked for)
        for raw in process.stdout:
            if line := raw.strip():
                lines.append(line)
                if shown := show(line):
                    self.say(shown)


class Runner:
    """Runs steps; ``tasks`` tells at any time where each of them is, in the order in which they were listed."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.cancelled = threading.Event()
        self.tasks = {step.name: Task(step, self.cancelled) for step in steps}
        for step in steps:
            if unknown := set(step.after) - self.tasks.keys():
                raise ValueError(f"step {step.name} comes after {sorted(unknown)}, which is no step")
        self._order = TopologicalSorter({step.name: step.after for step in steps})
        self._order.prepare()
        self._done: SimpleQueue[str] = SimpleQueue()
        self._threads: list[threading.Thread] = []

    def run(self, tick: Callable[[], None] = lambda: None) -> None:
        """Run all steps; ``tick`` is called several times a second from the calling thread.

        After a failure or Ctrl-C nothing new begins, and what runs is cancelled and waited for.

        Raises:
            StackError: the error of the step that failed first, or made from it.
            KeyboardInterrupt: the user pressed Ctrl-C.
        """
        try:
            while self._order.is_active() and not self.cancelled.is_set():
                for name in self._order.get_ready():
                    self._start(self.tasks[name])
                tick()
                with suppress(Empty):
                    self._order.done(self._done.get(timeout=POLL_SECONDS / 2))
        finally:
            if self._order.is_active():
                self.cancelled.set()
            for thread in self._threads:
                thread.join()
            for task in self.tasks.values():
                if task.state is State.WAITING:
                    task.state = State.CANCELLED
            tick()
        self._raise_first()

    def _start(self, task: Task) -> None:
        task.state, task.started = State.RUNNING, time.monotonic()
        thread = threading.Thread(target=self._perform, args=(task,), name=task.step.name)
        self._threads.append(thread)
        thread.start()

    def _perform(self, task: Task) -> None:
        try:
            result = task.step.action(task)
        except CancelledError:
            state = State.CANCELLED
        except BaseException as error:  # noqa: BLE001 (kept, and raised again by run() in the calling thread)
            task.error, state = error, State.FAILED
            self.cancelled.set()
        else:
            task.message, state = result if isinstance(result, str) else "", State.DONE
        task.seconds = time.monotonic() - task.started
        task.state = state
        if state is State.DONE:
            self._done.put(task.step.name)

    def _raise_first(self) -> None:
        failed = [task for task in self.tasks.values() if task.error is not None]
        if failed:
            first = min(failed, key=lambda task: task.started + task.seconds)
            if isinstance(first.error, StackError):
                raise first.error
            raise StackError(f"{first.step.title}: {_described(first.error)}") from first.error


def _described(error: BaseException | None) -> str:
    text = str(error).strip()
    return f"{text} ({type(error).__name__})" if text else type(error).__name__


def _end(process: subprocess.Popen[str]) -> None:
    """End the program and what it started: politely, then by force."""
    for number, limit in ((signal.SIGTERM, 10), (signal.SIGKILL, 10)):
        if process.poll() is not None:
            return
        os.killpg(process.pid, number)
        try:
            process.wait(limit)
        except subprocess.TimeoutExpired:
            continue
