"""The executor's processes: their end is noticed, and they outlive no scheduler. In place of Airflow's supervisor of a
task stands a program that sleeps."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import alive
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel of Linux does it")

# Runs workloads, and does by its input's lines what a scheduler would call.
SCHEDULER = """
import os, signal, subprocess, sys, time
from dataclasses import dataclass
from airflow.executors.base_executor import BaseExecutor
from include.heartbeat import beat
from paylake_airflow import executor as module

@dataclass(frozen=True)
class Workload:
    key: str
    running_state = None
    success_state = "success"
    failure_state = "failed"
    @property
    def display_name(self):
        return self.key

def run(workload, **_):
    if workload.key == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    child = subprocess.Popen(["sleep", "300"], start_new_session=True) if workload.key == "frozen" else None
    print("ANSWER", workload.key, os.getpid(), child.pid if child else 0, flush=True)
    if child:
        beat(1.0)
        child.send_signal(signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(300)

BaseExecutor.run_workload = staticmethod(run)
module.END_SECONDS = 3.0
executor = module.TiedExecutor(parallelism=4)
executor.give_up = lambda: executor.change_state("obedient", "failed", remove_running=True)
executor._process_workloads([Workload(name) for name in sys.argv[1:]])
for line in sys.stdin:
    getattr(executor, line.strip())()
    states = {key: state for key, (state, _) in executor.get_event_buffer().items()}
    print("ANSWER", sorted(states.items()), len(executor.running), flush=True)
"""


class Scheduler:
    """Runs workloads of these names."""

    def __init__(self, home: Path, *names: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SCHEDULER, *names],
            env=os.environ
            | {
                "AIRFLOW_HOME": str(home),
                "AIRFLOW__API_AUTH__JWT_SECRET": "a secret that is as long as Airflow wants one to be, for 512 bits",
                "PYTHONPATH": f"{ROOT}:{ROOT / 'airflow' / 'plugins'}",
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        found = [self.answer().split() for _ in names]
        self.pids = {name: int(pid) for name, pid, _ in found}
        self.children = [int(child) for *_, child in found if int(child)]

    def answer(self) -> str:
        """The next line that is not Airflow's log."""
        assert self.process.stdout is not None
        return next(line for line in self.process.stdout if line.startswith("ANSWER ")).removeprefix("ANSWER ").strip()

    def call(self, method: str) -> str:
        """Call the executor; returns the states it reports then, and how many workloads run."""
        assert self.process.stdin is not None
        self.process.stdin.write(method + "\n")
        self.process.stdin.flush()
        return self.answer()


@contextlib.contextmanager
def running(home: Path, *names: str) -> Iterator[Scheduler]:
    scheduler = Scheduler(home, *names)
    try:
        yield scheduler
    finally:
        scheduler.process.kill()
        for pid in [*scheduler.pids.values(), *scheduler.children]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        scheduler.process.communicate()


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[Scheduler]:
    with running(tmp_path, "obedient", "stubborn") as scheduler:
        yield scheduler


def test_a_killed_process_is_reported_at_the_next_round_and_frees_its_place(scheduler: Scheduler) -> None:
    assert scheduler.call("sync") == "[] 2"
    os.kill(scheduler.pids["obedient"], signal.SIGKILL)
    wait_until(lambda: not alive(scheduler.pids["obedient"]), "its end", 10)
    assert scheduler.call("sync") == "[('obedient', 'failed')] 1"


def test_a_task_that_falls_silent_is_killed_with_what_it_started_and_reported(tmp_path: Path) -> None:
    with running(tmp_path, "obedient", "frozen") as scheduler:
        (child,) = scheduler.children
        wait_until(lambda: scheduler.call("sync") == "[('frozen', 'failed')] 1", "the end of the frozen one", 20)
        wait_until(lambda: not alive(child), "the end of its child", 10)
        assert alive(scheduler.pids["obedient"]), "one that never beat is left alone"
        assert len(list((tmp_path / "heartbeats").iterdir())) == 1


def test_a_task_that_airflow_has_given_up_is_killed(scheduler: Scheduler) -> None:
    os.kill(scheduler.pids["obedient"], signal.SIGSTOP)
    assert scheduler.call("give_up") == "[('obedient', 'failed')] 1"
    scheduler.call("sync")
    wait_until(lambda: not alive(scheduler.pids["obedient"]), "its end", 10)
    assert alive(scheduler.pids["stubborn"])


def test_no_process_outlives_a_killed_scheduler(scheduler: Scheduler) -> None:
    assert all(map(alive, scheduler.pids.values()))
    scheduler.process.kill()
    wait_until(lambda: not any(map(alive, scheduler.pids.values())), "their end", 10)


def test_a_scheduler_that_ends_does_not_wait_for_ever(scheduler: Scheduler) -> None:
    assert scheduler.call("end") == "[('obedient', 'success'), ('stubborn', 'failed')] 0"
    assert not any(map(alive, scheduler.pids.values()))
    scheduler.process.communicate(timeout=20)
    assert scheduler.process.returncode == 0


LOADED = """
import importlib, json, sys
import airflow.sdk.execution_time.supervisor, airflow.sdk.execution_time.task_runner
from paylake_airflow.executor import LIBRARIES

def packages():
    return {name.split(".")[0] for name in sys.modules}

for name in LIBRARIES:
    importlib.import_module(name)
before = packages()
for operators in ("gold", "ingest", "spark"):
    importlib.import_module(f"paylake_airflow.operators.{operators}")
# What the operators of these layers import when they run.
for name in ("ingest", "lake.catalog", "status.asking", "status.lag", "quarantine.alarms", "warehouse.gold"):
    importlib.import_module(f"include.{name}")
from pyiceberg.io import load_file_io
load_file_io({}, "s3://silver")
print(json.dumps(sorted(packages() - before)))
"""


def test_a_task_of_the_layers_finds_all_libraries_loaded(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADED],
        env={
            "AIRFLOW_HOME": str(tmp_path),
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": f"{ROOT}:{ROOT / 'airflow' / 'plugins'}",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [], "each task would load it anew"
