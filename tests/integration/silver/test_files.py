"""Which files of the folder a run writes, and which it removes."""

from __future__ import annotations

from datetime import date

import pytest
from pyspark.sql import SparkSession

from include.domains import SILVER_BUCKET
from include.spark import silver_table
from tests.support.records import merchant, merchants
from tests.support.silver import run_here
from tests.support.world import World, assert_clean, state_of

pytestmark = pytest.mark.integration


def test_many_files_become_few(world: World, spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        world.produce(merchant(number))
        run_here(world)
    assert len(world.files()) == 3
    monkeypatch.setattr(silver_table, "MAX_FILES", 2)
    world.produce(merchant(1, 2, merchant_name="Newer"), merchant(9))
    assert run_here(world).changed == 2
    assert len(world.files()) < 3
    assert world.rows("merchant_name") == [("Shop 0",), ("Newer",), ("Shop 2",), ("Shop 9",)]
    assert_clean(world)


def test_a_newer_row_has_its_file_written_anew_and_as_many_as_there_are_files_have_all(
    world: World, spark: SparkSession
) -> None:
    for number in range(3):
        world.produce(merchant(number))
        run_here(world)
    before = world.files()
    world.produce(merchant(1, 2))
    assert run_here(world).changed == 1
    merged = world.files()
    assert len(before.keys() & merged.keys()) == 2
    world.produce(*merchants(range(4), 3))
    assert run_here(world).changed == 4
    assert not merged.keys() & world.files().keys()
    assert world.rows("merchant_id", "date") == [(f"M{number:04}", date(2026, 1, 3)) for number in range(4)]
    assert_clean(world)


def test_files_that_nobody_knows_are_removed_by_a_run_without_news(world: World, spark: SparkSession) -> None:
    world.produce(*merchants(range(3)))
    run_here(world)
    state = state_of(world)
    (key, *_) = world.files()
    stray = f"{world.domain.silver_folder}/00000-0-left-by-a-dead-run.parquet"
    world.s3.copy_object(Bucket=SILVER_BUCKET, Key=stray, CopySource={"Bucket": SILVER_BUCKET, "Key": key})
    run_here(world)
    assert stray not in world.files()
    assert state_of(world).silver_version == state.silver_version
    assert_clean(world)
