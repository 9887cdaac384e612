"""When a driver ends: at once with its parent, in order when asked to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from threading import Event

import pytest

from include.lifetime import stop_on_signals
from tests.support.processes import alive
from tests.support.waiting import wait_until

REPOSITORY = Path(__file__).parents[2]

CHILD = """
import time
from include.lifetime import die_with_parent
die_with_parent()
print("ready", flush=True)
time.sleep(120)
"""
PARENT = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {CHILD!r}], stdout=subprocess.PIPE, text=True)
print(child.pid, child.stdout.readline(), flush=True)
child.wait()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel call is Linux's")
def test_a_driver_dies_with_its_parent() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child, ready = parent.stdout.readline().split()
        assert ready == "ready"
        assert alive(int(child))
        parent.kill()
        wait_until(lambda: not alive(int(child)), "the child's end", 10)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_asks_to_stop(number: signal.Signals) -> None:
    before = {one: signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)}
    stop = Event()
    try:
        stop_on_signals(stop)
        os.kill(os.getpid(), number)
        assert stop.wait(5)
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
