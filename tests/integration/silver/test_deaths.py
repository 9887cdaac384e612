"""Runs that are killed, and runs that overslept, leave the rows and the folder as one run makes them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

import pytest
from pyspark.sql import SparkSession

from include.lake.catalog import SilverState, changed_rows
from include.lake.silver_files import stray_files
from include.spark.silver_table import Book, ConflictError, SilverTable
from tests.support.records import merchant, merchants
from tests.support.silver import run_here
from tests.support.world import World, assert_clean, await_in_job, state_of

pytestmark = pytest.mark.integration


def stored_in_quarantine(world: World) -> bool:
    return len(world.quarantined()) == 2


def wrote_a_file(world: World) -> bool:
    return len(stray_files(world.settings, world.domain)) > 0


def published(world: World) -> bool:
    return state_of(world).silver_version == 2


@pytest.mark.parametrize("moment", [stored_in_quarantine, wrote_a_file, published])
def test_kill_9_in_the_middle(world: World, spark: SparkSession, moment: Callable[[World], bool]) -> None:
    world.produce(*merchants(range(50), day=3), b"garbage")
    run_here(world)
    rows = world.rows()
    world.produce(*merchants(range(25, 75), day=4), b"more garbage")

    job = world.submit()
    await_in_job(lambda: moment(world), job, moment.__name__)
    os.killpg(job.pid, signal.SIGKILL)
    job.wait()

    state = state_of(world)
    assert state.silver_version in (1, 2)
    if state.silver_version == 1:
        _, batches = changed_rows(world.settings, world.domain, 0)
        assert sorted(batches.read_all()["merchant_id"].to_pylist()) == [row[0] for row in rows]
    run_here(world)
    assert world.rows("merchant_id", "date") == [
        (f"M{number:04}", date(2026, 1, 3 if number < 25 else 4)) for number in range(75)
    ]
    assert [raw for _, raw, _ in world.quarantined()] == [b"garbage", b"more garbage"]
    assert (state_of(world).silver_version, state_of(world).counts.duplicates) == (2, 25)
    assert_clean(world)


@dataclass
class Sleeper:
    """A run that began at some state and goes on long after; ``rows``: whether it has a row to write."""

    world: World
    spark: SparkSession
    state: SilverState
    rows: bool

    def __post_init__(self) -> None:
        self.table = SilverTable(self.spark, self.world.domain, self.world.settings)
        self.current = self.table.begin(self.state.snapshot_id)

    def write(self) -> None:
        stale = self.current.where("merchant_id = 'M0001'").replace("Shop 1", "Stale")
        book = Book(self.state.position, self.state.silver_version + 1, 3, 0, 0, ("1",))
        changes = stale if self.rows else stale.limit(0)
        self.table.write(self.current, changes, book, changed=self.rows, replaced=self.rows, files=1)

    def publish(self) -> None:
        self.table.publish(self.state.snapshot_id)

    def wake(self) -> None:
        self.write()
        self.publish()


def test_runs_that_overslept_publish_nothing(world: World, spark: SparkSession) -> None:
    world.produce(*merchants(range(3)))
    run_here(world)
    state = state_of(world)
    in_time = [Sleeper(world, spark, state, rows) for rows in (True, False)]
    too_late = [Sleeper(world, spark, state, rows) for rows in (True, False)]
    for sleeper in in_time:
        sleeper.write()
    spark.sql(f"CALL lake.system.fast_forward('lake.silver.merchants', 'main', '{in_time[1].table.branch}')")
    with pytest.raises(ConflictError):  # the branches are still there, but main has moved on
        in_time[0].publish()

    world.produce(merchant(1, 2, merchant_name="Newer"))
    run_here(world)
    published = state_of(world)
    for sleeper in in_time:
        with pytest.raises(ConflictError):
            sleeper.publish()
    for sleeper in too_late:
        with pytest.raises(Exception):  # noqa: B017, PT011  # what a branch that is gone raises is Iceberg's business
            sleeper.wake()

    assert state_of(world) == published
    run_here(world)
    assert world.rows("merchant_name") == [("Shop 0",), ("Newer",), ("Shop 2",)]
    assert state_of(world).silver_version == published.silver_version
    assert_clean(world)
