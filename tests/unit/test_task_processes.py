"""What a task started dies when the task dies, also by ``kill -9``."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import alive
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
SUBMIT = ROOT / "include" / "spark" / "bin" / "spark-submit"

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel of Linux does it")

# Stands for the shell script that becomes the JVM: says who it is and what it was given, and runs on.
DRIVER = """#!/bin/sh
echo "$$ $*"
exec sleep 300
"""
TASK = """
import os, subprocess
os.environ["PAYLAKE_TASK_PID"] = str(os.getpid())
subprocess.Popen(["spark-submit", "--name", "two words", "job.py"])
input()
"""
SUPERVISOR = """
import subprocess, sys
subprocess.Popen([sys.executable, "-c", sys.argv[1]])
input()
"""
CHILD = """
import os, time
from include.lifetime import die_with_parent
die_with_parent()
print(os.getpid(), flush=True)
time.sleep(300)
"""


def assert_dies(pid: int) -> None:
    wait_until(lambda: not alive(pid), f"the end of process {pid} with its parent", 10)


def start(code: str, *arguments: str, path: str | None = None) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "airflow" / "plugins")} | ({"PATH": path} if path else {})
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().rstrip()


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A PATH on which our spark-submit comes first and another one after it."""
    other = tmp_path / "spark-submit"
    other.write_text(DRIVER)
    other.chmod(0o755)
    return os.pathsep.join([str(SUBMIT.parent), str(tmp_path), os.environ["PATH"]])


def test_a_killed_task_takes_its_driver_with_it(path: str) -> None:
    task = start(TASK, path=path)
    driver, _, arguments = first_line(task).partition(" ")
    assert arguments == "--name two words job.py"
    assert alive(int(driver))
    task.send_signal(signal.SIGKILL)
    assert_dies(int(driver))
    task.communicate()


def test_a_driver_of_a_task_that_is_gone_does_not_even_start(path: str) -> None:
    done = subprocess.run(
        ["spark-submit", "job.py"],
        env=os.environ | {"PATH": path, "PAYLAKE_TASK_PID": "1"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode != 0
    assert "the task that started this is gone" in done.stderr


def test_without_another_spark_submit_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "python3").symlink_to(sys.executable)
    done = subprocess.run(
        [SUBMIT, "job.py"],
        env={"PATH": os.pathsep.join([str(SUBMIT.parent), str(tmp_path)])},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode != 0
    assert "no other spark-submit on PATH" in done.stderr


def test_a_task_does_not_outlive_its_supervisor() -> None:
    supervisor = start(SUPERVISOR, CHILD)
    child = int(first_line(supervisor))
    assert alive(child)
    supervisor.send_signal(signal.SIGKILL)
    assert_dies(child)
    supervisor.communicate()
