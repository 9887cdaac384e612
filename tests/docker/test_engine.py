"""The private engine: it is for one test run at a time, and ends with it in whatever way that ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from include.local.layout import CLONE
from tests.docker.engine import Engine
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.long]
END_SECONDS = 60.0

Keeper = subprocess.Popen[str]


@pytest.fixture
def start_keeper(docker_engine: Engine, tmp_path: Path) -> Iterator[Callable[[], Keeper]]:
    """Starts keepers that share a cache, in networks of their own: they would change the rules of this machine's."""
    if os.geteuid() != 0 or not shutil.which("dockerd"):
        pytest.skip("a private engine needs root and an installed dockerd")
    started: list[Keeper] = []

    def start() -> Keeper:
        keeper = subprocess.Popen(
            ["unshare", "--net", "--", sys.executable, "-m", "tests.docker.engine"],
            cwd=CLONE,
            env={**os.environ, "PAYLAKE_CACHE": str(tmp_path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(keeper)
        return keeper

    yield start
    for keeper in started:
        keeper.communicate(timeout=END_SECONDS)


def test_it_ends_in_order_when_the_tests_end(start_keeper: Callable[[], Keeper], tmp_path: Path) -> None:
    keeper = start_keeper()
    folder = _private_folder(keeper)
    assert _processes_of(folder)
    keeper.communicate(timeout=END_SECONDS)
    assert keeper.returncode == 0
    assert not _processes_of(folder)
    assert not folder.exists()
    assert (tmp_path / "docker" / "engine" / "image").is_dir(), "its images stay"


def test_it_ends_when_its_keeper_is_killed(start_keeper: Callable[[], Keeper]) -> None:
    keeper = start_keeper()
    folder = _private_folder(keeper)
    keeper.send_signal(signal.SIGKILL)
    wait_until(lambda: not _processes_of(folder), "the end of the engine's processes", END_SECONDS)
    shutil.rmtree(folder)
    assert _private_folder(start_keeper()).exists(), "the next one starts on what the killed one has left"


def test_a_second_test_run_waits_for_the_first(start_keeper: Callable[[], Keeper]) -> None:
    first = start_keeper()
    folder = _private_folder(first)
    second = start_keeper()
    wait_until(lambda: _waits_for_a_lock(second.pid), "the second one to wait", END_SECONDS)
    assert _processes_of(folder)
    first.communicate(timeout=END_SECONDS)
    assert _private_folder(second) != folder


def _private_folder(keeper: Keeper) -> Path:
    assert keeper.stdout is not None
    return Path(json.loads(keeper.stdout.readline())["DOCKER_HOST"].removeprefix("unix://")).parent


def _processes_of(folder: Path) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if os.fsencode(folder) in command:
            found.append(int(entry.name))
    return found


def _waits_for_a_lock(pid: int) -> bool:
    lines = Path("/proc/locks").read_text().splitlines()
    return any("->" in line and str(pid) in line.split() for line in lines)
