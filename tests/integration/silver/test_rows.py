"""Records from a plain Kafka client become exactly the rows they should."""

from __future__ import annotations

import json
import time
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from include.domains import ACCOUNTS, BRONZE_BUCKET, PROFILES
from include.lake.catalog import changed_rows
from include.quality.limit import RejectedLimit
from include.settings import Settings
from include.spark.silver_run import domain_lock, take_along
from include.spark.silver_schema import table_schema
from tests.support.records import good, merchant, merchants
from tests.support.silver import run_here
from tests.support.world import SUBMIT_SECONDS, World, assert_clean, state_of

pytestmark = pytest.mark.integration

NAME_AND_DAY = ("merchant_id", "merchant_name", "date")


def test_every_record_is_where_it_belongs_and_a_second_run_changes_nothing(settings: Settings, tmp_path: Path) -> None:
    world = World(settings, PROFILES, tmp_path)
    world.wipe()
    ana = good(
        PROFILES,
        user_id=" U0001 ",
        name="Dr. Ana  Maria Silva",
        country="u.s.a.",
        account_type="SAVINGS",
        credit_score=712,
        status="Active",
        email="ana@example.org",
    )
    bob = {**ana, "user_id": "U2", "name": "Bob", "country": "DEU", "timestamp": "2026-01-31T23:30:00.5-02:00", "x": 1}
    world.produce(
        {**ana, "city": "too old", "timestamp": "2026-01-30 13:45:00"},
        ana,
        {**ana, "city": "too late", "timestamp": "2026-01-29 13:45:00"},
        bob,
        {**bob, "user_id": "2", "credit_score": 1},
        None,
        b"\xff",
        {**bob, "status": "asleep"},
        {**bob, "city": "same time, later offset"},
    )

    first = world.report_of(world.submit())

    assert {**first, "position": None, "seconds": None} == {
        "domain": "profiles",
        "records": 9,
        "valid": 5,
        "rejected": 3,
        "tombstones": 1,
        "redriven": 0,
        "changed": 2,
        "rows": 2,
        "silver_version": 1,
        "position": None,
        "seconds": None,
    }
    (topic_id,) = first["position"]
    coordinates = (topic_id, 0)
    columns = [
        name for name in table_schema(PROFILES).fieldNames() if name not in ("bronze_taken_ms", "silver_version")
    ]
    assert all(abs(taken_ms / 1000 - time.time()) < 600 for (taken_ms,) in world.rows("bronze_taken_ms"))
    assert world.rows(*columns) == [
        ("U0001", "Dr. Ana Maria Silva", "Dr.", "Ana Maria", "Silva", None, "ana@example.org", None, "US",
         "United States", "Savings", 712, "active", datetime(2026, 1, 31, 13, 45, tzinfo=UTC), date(2026, 1, 31),
         "13:45:00", 1, 2026, *coordinates, 1, 0),
        ("U2", "Bob", None, "Bob", None, None, "ana@example.org", "same time, later offset", "DE", "Germany",
         "Savings", 712, "active", datetime(2026, 2, 1, 1, 30, 0, 500_000, tzinfo=UTC), date(2026, 2, 1),
         "01:30:00.500000", 2, 2026, *coordinates, 8, 0),
    ]  # fmt: skip
    assert [(offset, codes) for offset, _, codes in world.quarantined()] == [
        (4, ["out_of_range", "pattern"]),
        (6, ["not_utf8"]),
        (7, ["not_allowed"]),
    ]
    assert world.quarantined()[1][1] == b"\xff"
    assert_clean(world)

    state, files = state_of(world), world.files()
    second = world.report_of(world.submit())
    assert (second["records"], second["changed"], second["rows"]) == (0, 0, 2)
    assert (state_of(world), world.files()) == (state, files)


def test_newer_wins_older_does_not_and_refused_records_move_the_position(world: World, spark: SparkSession) -> None:
    world.produce(*merchants(range(5), day=10))
    assert run_here(world).changed == 5
    world.produce(merchant(1, 11, merchant_name="Newer"), merchant(2, 9, merchant_name="Older"), merchant(7, 1))
    assert run_here(world).changed == 2
    rows = world.rows(*NAME_AND_DAY)
    assert rows == [
        ("M0000", "Shop 0", date(2026, 1, 10)),
        ("M0001", "Newer", date(2026, 1, 11)),
        ("M0002", "Shop 2", date(2026, 1, 10)),
        ("M0003", "Shop 3", date(2026, 1, 10)),
        ("M0004", "Shop 4", date(2026, 1, 10)),
        ("M0007", "Shop 7", date(2026, 1, 1)),
    ]
    assert_clean(world)
    before = state_of(world)
    state, batches = changed_rows(world.settings, world.domain, 1)
    assert (state, sorted(batches.read_all()["merchant_id"].to_pylist())) == (before, ["M0001", "M0007"])

    files = world.files()
    world.produce(b"{}", None, merchant(3, 2), merchant(3, 10))
    report = run_here(world)
    assert (report.records, report.valid, report.rejected, report.tombstones, report.changed) == (4, 2, 1, 1, 1)
    world.produce(b"[]", merchant(3, 2))
    assert run_here(world).changed == 0
    assert len(world.files()) >= len(files)
    after = state_of(world)
    assert (after.rows, after.silver_version) == (6, before.silver_version + 2)
    assert after.counts.quarantined == 2
    assert_clean(world)


def test_a_dropped_table_is_rebuilt_and_a_new_topic_goes_on(world: World, spark: SparkSession) -> None:
    world.produce(*merchants(range(20), day=5), merchant(3, 6), merchant(3, 4), b"garbage", None)
    run_here(world)
    world.produce(*merchants(range(10, 30), day=5, city="Faro"), merchant(3, 6, city="tie"))
    run_here(world)
    world.reset_topic()
    world.produce(merchant(1, 5, city="next generation"), merchant(2, 4, city="older"))
    run_here(world)
    rows, quarantined, state = world.rows(), world.quarantined(), state_of(world)
    assert [row for row in world.rows("merchant_id", "city", "bronze_generation") if row[1]][:3] == [
        ("M0001", "next generation", 1),
        ("M0003", "tie", 0),
        ("M0010", "Faro", 0),
    ]
    assert len(state.position) == 2
    assert_clean(world)

    spark.sql("DROP TABLE lake.silver.merchants")
    assert len(world.files()) > 0
    run_here(world)
    assert (world.rows(), world.quarantined()) == (rows, quarantined)
    assert state_of(world).counts == state.counts
    assert state_of(world).position == state.position
    assert_clean(world)


def test_a_job_takes_along_what_waits_and_leaves_to_others_what_fails(
    world: World, spark: SparkSession, settings: Settings, tmp_path: Path
) -> None:
    waiting, broken = World(settings, ACCOUNTS, tmp_path), World(settings, PROFILES, tmp_path)
    for other in (waiting, broken):
        other.wipe()
    try:
        world.produce(*merchants(range(3)))
        waiting.produce(good(ACCOUNTS), b"garbage")
        for _ in range(2):
            broken.produce(b"garbage")
        (first, _) = broken.bronze()
        broken.s3.delete_object(Bucket=BRONZE_BUCKET, Key=first)
        job = world.submit(along=[ACCOUNTS.name, PROFILES.name])
        said, _ = job.communicate(timeout=SUBMIT_SECONDS)
        assert (job.returncode, json.loads(said.splitlines()[-1])["rows"]) == (0, 3)
        assert waiting.rows("account_id") == [("A1",)]
        assert [raw for _, raw, _ in waiting.quarantined()] == [b"garbage"]
        for one in (world, waiting):
            assert_clean(one)
        assert "profiles: left to its own run" in said
        assert f"bronze has no object {first}" in said
        assert state_of(broken).position == {}
        # What is somebody else's turn is nothing to take along, and nothing that waits is nothing to do.
        for record in (good(ACCOUNTS, account_id="A2"), None):
            with domain_lock(settings, ACCOUNTS):
                if record:
                    waiting.produce(record)
                assert take_along(ACCOUNTS, settings, RejectedLimit(1.0), spark) is None
            done = take_along(ACCOUNTS, settings, RejectedLimit(1.0), spark)
            assert (done.changed if done else None) == (1 if record else None)
    finally:
        broken.wipe()
