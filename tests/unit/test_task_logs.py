"""Airflow's logs are removed when they are old, and cut when they grow without end."""

from __future__ import annotations

import os
from pathlib import Path

from paylake_airflow.task_logs import TAIL_BYTES, prune

NOW = 1_800_000_000.0
DAY = 24 * 60 * 60
BEFORE = NOW - 30 * DAY
MOST = 2 * TAIL_BYTES


def write(path: Path, days: float, text: str = "a line\n") -> Path:
    """A log to which the last line was added so many days ago, in folders of the same age."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    then = NOW - days * DAY
    for one in (path, *path.parents[:3]):
        os.utime(one, (then, then))
    return path


def attempt(root: Path, dag_id: str, run_id: str) -> Path:
    return root / f"dag_id={dag_id}" / f"run_id={run_id}" / "task_id=clean" / "attempt=1.log"


def test_old_logs_go_with_their_folders_and_the_newest_of_each_dag_stays(tmp_path: Path) -> None:
    old = write(attempt(tmp_path, "silver", "first"), 31)
    young = write(attempt(tmp_path, "silver", "second"), 29)
    silent = write(attempt(tmp_path, "stream", "second"), 90)
    write(attempt(tmp_path, "stream", "first"), 91)
    parsed = write(tmp_path / "dag_processor" / "2026-12-01" / "dags" / "silver.log", 31)
    today = write(tmp_path / "dag_processor" / "2027-01-15" / "dags" / "silver.log", 0)
    (tmp_path / "dag_processor" / "latest").symlink_to("2026-12-01")

    prune(tmp_path, BEFORE, MOST)
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == {young, silent, today}
    assert not old.parents[1].exists()
    assert not parsed.parents[1].exists()


def test_a_log_that_grows_is_cut_to_its_last_lines_and_goes_on(tmp_path: Path) -> None:
    lines = [f"{number:09}\n" for number in range(MOST // 10 + 1)]
    grows = write(attempt(tmp_path, "stream", "first"), 0, "".join(lines))
    fits = write(attempt(tmp_path, "other", "first"), 0, "".join(lines[:-1]))
    # As Airflow's supervisor of a task holds it open.
    with grows.open("ab", buffering=0) as writer:
        prune(tmp_path, BEFORE, MOST)
        writer.write(b"the next\n")
    kept = grows.read_text().splitlines(keepends=True)
    assert kept[-1] == "the next\n"
    assert kept[:-1] == lines[-len(kept) + 1 :]
    assert TAIL_BYTES - 10 <= sum(map(len, kept[:-1])) <= TAIL_BYTES
    assert fits.read_text() == "".join(lines[:-1])
