"""The script ``paylake``: readable by an old Python, and able to go on after it was cut short."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import threading
import time
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

from include.local.layout import CLONE


@pytest.fixture(scope="module")
def paylake() -> ModuleType:
    loader = SourceFileLoader("paylake_script", str(CLONE / "paylake"))
    spec = spec_from_loader("paylake_script", loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_an_old_python_can_read_it() -> None:
    ast.parse((CLONE / "paylake").read_text(), feature_version=(3, 4))


@pytest.mark.parametrize(
    ("version", "fits"), [((3, 10, 13), False), ((3, 11, 0), True), ((3, 13, 9), True), ((3, 14, 0), False)]
)
def test_which_python_fits(paylake: ModuleType, version: tuple[int, ...], fits: bool) -> None:
    assert paylake.supported(version) is fits


def test_without_a_fitting_python_it_says_so(paylake: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(paylake.Failure, match=r"needs Python 3\.11, 3\.12 or 3\.13"):
        paylake.use_newer_python()


def finish(folder: Path) -> None:
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(sys.executable)


def test_a_finished_environment_is_not_made_again(paylake: ModuleType, tmp_path: Path) -> None:
    made: list[int] = []

    def build(lock: int) -> None:
        made.append(lock)
        finish(tmp_path / "env")

    for _ in range(2):
        paylake.ensure(str(tmp_path / "env"), build)
    assert len(made) == 1


def test_an_environment_that_is_used_is_marked_so(paylake: ModuleType, tmp_path: Path) -> None:
    for _ in range(2):
        paylake.ensure(str(tmp_path / "env"), lambda lock: finish(tmp_path / "env"))
        lock = tmp_path / "env.lock"
        assert lock.stat().st_mtime > time.time() - 60
        os.utime(lock, (1, 1))


def test_what_was_cut_short_is_made_anew(paylake: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "env"

    def cut_short(lock: int) -> None:
        finish(folder)
        (folder / "rest").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        paylake.ensure(str(folder), cut_short)
    assert not paylake.usable(str(folder))
    paylake.ensure(str(folder), lambda lock: finish(folder))
    assert paylake.usable(str(folder))
    assert not (folder / "rest").exists()


def test_an_environment_whose_python_is_gone_is_made_anew(paylake: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "env"
    paylake.ensure(str(folder), lambda lock: finish(folder))
    (folder / "bin" / "python").unlink()
    (folder / "bin" / "python").symlink_to(tmp_path / "removed")
    paylake.ensure(str(folder), lambda lock: finish(folder))
    assert paylake.usable(str(folder))


def test_two_at_once_make_it_once(paylake: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "env"
    made: list[str] = []

    def build(lock: int) -> None:
        made.append(threading.current_thread().name)
        # Long enough for the other to arrive; the lock, not this, keeps it out.
        deadline = time.monotonic() + 0.3
        while time.monotonic() < deadline:
            os.sched_yield()
        finish(folder)

    threads = [threading.Thread(target=paylake.ensure, args=(str(folder), build)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(made) == 1


def test_an_orphaned_installer_keeps_the_lock(paylake: ModuleType, tmp_path: Path) -> None:
    """Were paylake killed while uv still writes, the next call must not write into the same folder."""
    with paylake.locked(str(tmp_path / "lock")) as lock:
        orphan = subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=(lock,))
    entered = threading.Event()

    def enter() -> None:
        with paylake.locked(str(tmp_path / "lock")):
            entered.set()

    thread = threading.Thread(target=enter)
    thread.start()
    assert not entered.wait(0.5)
    orphan.communicate()
    assert entered.wait(20)
    thread.join()


def test_a_failing_command_shows_its_last_lines(paylake: ModuleType, tmp_path: Path) -> None:
    progress = paylake.Progress("Doing it")
    with paylake.locked(str(tmp_path / "lock")) as lock, pytest.raises(paylake.Failure) as caught:
        paylake.run([sys.executable, "-c", "print('no space left'); exit(2)"], os.environ, lock, progress)
    assert "Doing it failed" in str(caught.value)
    assert "no space left" in str(caught.value)
