"""Steps: at the same time where they can, none after a failure, and nothing left behind."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from io import StringIO

import pytest
from rich.console import Console

from include.errors import StackError
from include.stack.display import shown
from include.stack.steps import Runner, State, Step, Task
from tests.support.processes import alive
from tests.support.waiting import wait_until


def step(name: str, action: Callable[[Task], object] = lambda task: None, *after: str) -> Step:
    return Step(name, name.title(), action, after)


def states(runner: Runner) -> dict[str, State]:
    return {name: task.state for name, task in runner.tasks.items()}


def test_steps_run_in_the_order_of_their_needs() -> None:
    order: list[str] = []

    def note(task: Task) -> None:
        order.append(task.step.name)

    Runner([step("a", note), step("b", note, "a"), step("c", note, "a", "b")]).run()
    assert order == ["a", "b", "c"]


def test_independent_steps_run_at_the_same_time() -> None:
    meeting = threading.Barrier(3, timeout=10)
    runner = Runner([step(name, lambda task: meeting.wait()) for name in "abc"])
    runner.run()
    assert set(states(runner).values()) == {State.DONE}


def test_a_need_may_be_listed_later() -> None:
    order: list[str] = []
    Runner([step("a", lambda task: order.append("a"), "b"), step("b", lambda task: order.append("b"))]).run()
    assert order == ["b", "a"]


def test_a_need_must_be_a_step_and_no_circle() -> None:
    with pytest.raises(ValueError, match="which is no step"):
        Runner([step("a", lambda task: None, "b")])
    with pytest.raises(ValueError, match="cycle"):
        Runner([step("a", lambda task: None, "b"), step("b", lambda task: None, "a")])


def test_a_failure_cancels_what_runs_and_starts_nothing_more() -> None:
    ran: list[str] = []
    running = threading.Event()

    def fail(task: Task) -> None:
        assert running.wait(10)
        raise StackError("the disk is full")

    def wait_for_ever(task: Task) -> None:
        running.set()
        task.wait_until(lambda: "never", seconds=60, what="The end of time")

    runner = Runner([step("a", fail), step("b", wait_for_ever), step("c", lambda task: ran.append("c"), "a")])
    with pytest.raises(StackError, match="the disk is full"):
        runner.run()
    assert states(runner) == {"a": State.FAILED, "b": State.CANCELLED, "c": State.CANCELLED}
    assert ran == []


def test_an_unexpected_error_becomes_a_sentence_that_names_the_step() -> None:
    def fail(task: Task) -> None:
        raise KeyError("missing")

    with pytest.raises(StackError, match=r"A: 'missing' \(KeyError\)") as caught:
        Runner([step("a", fail)]).run()
    assert isinstance(caught.value.__cause__, KeyError)


def test_ctrl_c_cancels_and_waits_for_what_runs() -> None:
    ended = threading.Event()

    def wait_for_ever(task: Task) -> None:
        try:
            task.wait_until(lambda: "never", seconds=60, what="The end of time")
        finally:
            ended.set()

    runner = Runner([step("a", wait_for_ever), step("b", lambda task: None, "a")])

    def press() -> None:
        if runner.tasks["a"].state is State.RUNNING:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        runner.run(tick=lambda: None if runner.cancelled.is_set() else press())
    assert ended.is_set()
    assert states(runner) == {"a": State.CANCELLED, "b": State.CANCELLED}


def test_waiting_has_a_limit_and_tells_the_last_reason() -> None:
    runner = Runner([step("a", lambda task: task.wait_until(lambda: "not yet", seconds=0.3, what="The miracle"))])
    with pytest.raises(StackError, match="The miracle did not happen within 0 s: not yet"):
        runner.run()


def test_a_program_that_fails_shows_its_last_lines() -> None:
    script = "import sys; print('first', flush=True); print('no such place', file=sys.stderr); sys.exit(3)"
    runner = Runner([step("a", lambda task: task.command([sys.executable, "-c", script]))])
    with pytest.raises(StackError, match=r"(?s)A: python.* ended with status 3.*first.*no such place"):
        runner.run()


def test_a_missing_program_is_named() -> None:
    runner = Runner([step("a", lambda task: task.command(["/no/such/program"]))])
    with pytest.raises(StackError, match=r"/no/such/program can not be started: No such file"):
        runner.run()


def test_a_cancelled_program_ends_with_all_it_started() -> None:
    lines: list[str] = []
    script = (
        "import signal, subprocess, sys; signal.signal(signal.SIGTERM, signal.SIG_DFL); "
        "p = subprocess.Popen(['sleep', '600']); print(p.pid, flush=True); p.wait()"
    )

    def run(task: Task) -> None:
        task.command([sys.executable, "-c", script], show=lambda line: lines.append(line))

    def fail(task: Task) -> None:
        task.wait_until(lambda: None if lines else "no line yet", seconds=20, what="A line")
        raise StackError("enough")

    with pytest.raises(StackError, match="enough"):
        Runner([step("a", run), step("b", fail)]).run()
    grandchild = int(lines[0])
    wait_until(lambda: not alive(grandchild), "its end", 10)


def test_plain_lines_tell_each_change_once() -> None:
    output = StringIO()
    runner = Runner([step("a", lambda task: "42 things"), step("b", lambda task: None, "a")])
    with shown(runner.tasks, Console(file=output, width=40)) as tick:
        runner.run(tick)
    lines = [line.split("] ", 1)[1] for line in output.getvalue().splitlines()]
    told = [line for line in lines if "begins" not in line]
    assert len(told) == 2
    assert told[0].startswith("A: done in 0.")
    assert told[0].endswith("(42 things)")
    assert told[1].startswith("B: done in 0.")


def test_a_terminal_shows_every_step() -> None:
    output = StringIO()
    runner = Runner([step("a"), step("b", lambda task: None, "a")])
    with shown(runner.tasks, Console(file=output, force_terminal=True, width=80)) as tick:
        runner.run(tick)
    assert "✓" in output.getvalue()
    assert "B" in output.getvalue()


def test_termination_is_like_ctrl_c() -> None:
    """What ``kill`` sends is turned into the same clean stop."""
    from include.stack.cli import interrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
