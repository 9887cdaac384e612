"""The watchdog, on real processes that a real supervisor keeps; only what is wrong with them is told by the test."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from include.liveness import HUNG_SECONDS, START_SECONDS
from include.local.layout import locate
from include.local.ports import Ports
from include.local.servers.process import Process
from include.local.supervision.supervisor import Supervisor
from include.local.supervision.watchdog import API_SERVER, EVERY_SECONDS, Watchdog
from tests.support.processes import alive
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration

SCHEDULER = "airflow-scheduler"
# Writes down its child.
SERVER = """
import pathlib, subprocess, sys, time
child = subprocess.Popen(["sleep", "300"])
pathlib.Path(sys.argv[1]).write_text(str(child.pid))
time.sleep(300)
"""


@dataclass
class Watched:
    """Two processes under supervisor, and what is wrong with each and with the database."""

    supervisor: Supervisor
    folder: Path
    problems: dict[str, str] = field(default_factory=dict)
    database_problem: str | None = None
    now: float = 0.0

    def watchdog(self) -> Watchdog:
        def probe(name: str) -> Callable[[float], str | None]:
            return lambda _started: self.problems.get(name)

        probes = {name: probe(name) for name in (API_SERVER, SCHEDULER)}
        return Watchdog(self.supervisor, probes, lambda: self.database_problem, lambda: self.now)

    def look_for(self, watchdog: Watchdog, seconds: float) -> None:
        """Have it look again and again, as if so many seconds went by."""
        end = self.now + seconds
        while self.now < end:
            self.now += EVERY_SECONDS
            watchdog.look()

    def pid(self, name: str) -> int:
        return self.supervisor.conditions()[name].pid

    def child(self, name: str) -> int:
        """The child that the process has started."""
        file = self.folder / name
        wait_until(lambda: file.exists() and file.read_text() != "", f"{name} has a child")
        return int(file.read_text())


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    stack = replace(locate(), home=tmp_path / "home", ports=Ports.free())
    supervisor = Supervisor(stack)
    processes = [
        Process(name, [sys.executable, "-c", SERVER, str(tmp_path / name)], group_name="airflow")
        for name in (API_SERVER, SCHEDULER)
    ]
    stack.run.mkdir(parents=True)
    try:
        supervisor.configure(processes)
        for process in processes:
            supervisor.start(process)
        yield Watched(supervisor, tmp_path)
    finally:
        supervisor.shut_down()


def test_a_process_that_does_nothing_any_more_is_started_anew_with_all_its_children(watched: Watched) -> None:
    watchdog = watched.watchdog()
    before, child, other = watched.pid(SCHEDULER), watched.child(SCHEDULER), watched.pid(API_SERVER)
    watchdog.look()
    watched.problems[SCHEDULER] = "its last report is 99 s old"
    watched.look_for(watchdog, HUNG_SECONDS + 2 * EVERY_SECONDS)
    wait_until(lambda: watched.pid(SCHEDULER) not in (0, before), "a new process")
    wait_until(lambda: not alive(child), "the end of the old one's child")
    assert watched.pid(API_SERVER) == other


def test_a_problem_that_passes_by_itself_costs_nothing(watched: Watched) -> None:
    watchdog = watched.watchdog()
    before = watched.pid(SCHEDULER)
    for _ in range(4):
        watched.problems[SCHEDULER] = "its last report is 31 s old"
        watched.look_for(watchdog, HUNG_SECONDS * 0.6)
        watched.problems.clear()
        watchdog.look()
    assert watched.pid(SCHEDULER) == before


def test_a_process_that_was_never_well_is_given_the_time_to_start(watched: Watched) -> None:
    watchdog = watched.watchdog()
    before = watched.pid(SCHEDULER)
    watched.problems[SCHEDULER] = "it has not reported yet"
    watched.look_for(watchdog, 2 * HUNG_SECONDS)
    assert watched.pid(SCHEDULER) == before
    watched.look_for(watchdog, START_SECONDS)
    wait_until(lambda: watched.pid(SCHEDULER) not in (0, before), "a new process")


def test_nothing_is_killed_while_the_database_is_away(watched: Watched) -> None:
    watchdog = watched.watchdog()
    before = {name: watched.pid(name) for name in (API_SERVER, SCHEDULER)}
    watchdog.look()
    watched.database_problem = "connection refused"
    watched.problems = {API_SERVER: "no answer", SCHEDULER: "its last report is 99 s old"}
    watched.look_for(watchdog, 3 * HUNG_SECONDS)
    # When it is back, each has all of its time again.
    watched.database_problem = None
    watched.look_for(watchdog, HUNG_SECONDS / 2)
    assert {name: watched.pid(name) for name in before} == before


def test_a_silent_api_server_is_started_anew_and_nobody_else_is_blamed(watched: Watched) -> None:
    watchdog = watched.watchdog()
    api_server, scheduler = watched.pid(API_SERVER), watched.pid(SCHEDULER)
    watchdog.look()
    watched.problems = {API_SERVER: "no answer", SCHEDULER: "the API server does not answer"}
    watched.look_for(watchdog, HUNG_SECONDS + 2 * EVERY_SECONDS)
    wait_until(lambda: watched.pid(API_SERVER) not in (0, api_server), "a new API server")
    assert watched.pid(SCHEDULER) == scheduler


def test_what_somebody_stopped_stays_stopped(watched: Watched) -> None:
    watchdog = watched.watchdog()
    watchdog.look()
    watched.problems[SCHEDULER] = "it has not reported yet"
    watched.supervisor.stop([SCHEDULER])
    watched.look_for(watchdog, 2 * HUNG_SECONDS)
    assert watched.supervisor.conditions()[SCHEDULER].state == "STOPPED"
