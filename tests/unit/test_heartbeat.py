"""What a task shows of its work, and when its silence is too long."""

from __future__ import annotations

import os
import time
from itertools import count
from pathlib import Path
from threading import Event

import pytest

from include import heartbeat
from include.heartbeat import SILENCE_SECONDS, START_SECONDS, Silence, beat, beating
from tests.support.waiting import wait_until


class Watched:
    """A task that was told of a file, and who looks at it."""

    def __init__(self, folder: Path) -> None:
        self.now = 1_000.0
        self.silence = Silence(folder, lambda: self.now)

    def look_for(self, seconds: float, every: float = 1.0) -> bool:
        """Look again and again, as if so many seconds went by; what the last look says."""
        end = self.now + seconds
        found = False
        while self.now < end:
            self.now += every
            found = self.silence.too_long()
        return found


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    watched = Watched(tmp_path / "heartbeats")
    monkeypatch.setenv(heartbeat.VARIABLE, watched.silence.file)
    return watched


def test_a_task_that_never_beats_is_not_watched(watched: Watched) -> None:
    assert not watched.look_for(10 * START_SECONDS)


def test_a_task_is_silent_for_too_long_after_what_it_said(watched: Watched) -> None:
    beat(START_SECONDS)
    assert not watched.look_for(START_SECONDS)
    beat()
    assert not watched.look_for(SILENCE_SECONDS)
    beat()
    assert not watched.look_for(SILENCE_SECONDS)
    assert watched.look_for(2)


def test_a_clock_that_is_set_back_takes_nothing_from_a_beat(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    beat()
    watched.look_for(SILENCE_SECONDS)
    monkeypatch.setattr(time, "time", lambda: 86_400.0)
    beat()
    assert not watched.look_for(SILENCE_SECONDS)
    assert watched.look_for(2)


def test_time_in_which_nobody_looked_is_no_silence(watched: Watched) -> None:
    beat()
    watched.look_for(1)
    assert not watched.look_for(3_600, every=3_600), "the machine slept for an hour"


def test_a_file_that_somebody_removed_hides_neither_silence_nor_a_beat(watched: Watched) -> None:
    beat()
    watched.look_for(1)
    Path(watched.silence.file).unlink()
    assert watched.look_for(SILENCE_SECONDS + 1)
    beat()
    assert not watched.look_for(SILENCE_SECONDS)


def test_nothing_is_left_behind(watched: Watched) -> None:
    folder = Path(watched.silence.file).parent
    assert list(folder.iterdir())
    watched.silence.close()
    assert not list(folder.iterdir())


class Beats:
    """Beats that came since it was asked last."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._seen = os.stat(file).st_mtime_ns

    def came(self) -> bool:
        before, self._seen = self._seen, os.stat(self._file).st_mtime_ns
        return self._seen != before


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(heartbeat, "_ASK_SECONDS", 0.05)


@pytest.mark.usefixtures("quick")
def test_work_beats_while_it_moves_or_waits_for_a_server_and_not_while_it_stands_still(watched: Watched) -> None:
    beats, moves, waits, asked = Beats(watched.silence.file), Event(), Event(), Event()
    moves.set()
    steps = count()

    def waits_for_server() -> bool:
        asked.set()
        return waits.is_set()

    with beating(lambda: next(steps) if moves.is_set() else None, waits_for_server):
        wait_until(beats.came, "a beat", 10)
        assert not asked.is_set()
        moves.clear()
        assert asked.wait(10)
        asked.clear()
        beats.came()
        assert asked.wait(10), "asked again and again"
        assert not beats.came(), "neither moves nor waits"
        waits.set()
        wait_until(beats.came, "a beat of one who waits", 10)
        wait_until(beats.came, "another one", 10)


def test_where_nobody_watches_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(heartbeat.VARIABLE, raising=False)
    beat()
    asked: list[int] = []
    with beating(lambda: asked.append(1), lambda: False):
        pass
    assert not asked
