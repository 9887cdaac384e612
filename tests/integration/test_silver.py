"""Silver on real servers: records from a plain Kafka client become exactly the rows they should, whoever dies."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from include.domains import ACCOUNTS, BRONZE_BUCKET, MERCHANTS, PROFILES, SILVER_BUCKET
from include.lake.catalog import SilverState, branch_parents, changed_rows, data_files, silver_state
from include.lake.silver_files import stray_files
from include.postgres import connect
from include.quality.limit import RejectedLimit
from include.settings import Settings
from include.spark import silver_table
from include.spark.session import spark_session
from include.spark.silver_run import SilverReport, domain_lock, take_along
from include.spark.silver_schema import table_schema
from include.spark.silver_table import Book, ConflictError, SilverTable
from include.warehouse.alarms import Alarm, accept, open_alarms
from tests.support.records import merchant, merchants
from tests.support.silver import run_silver
from tests.support.world import SUBMIT_SECONDS, World, await_in_job

pytestmark = pytest.mark.integration

ACCOUNT = {
    "account_id": "A1",
    "user_id": "U1",
    "current_balance": "12.5",
    "currency": "eur",
    "last_updated": "2026-01-31T13:45:00Z",
}
NAME_AND_DAY = ("merchant_id", "merchant_name", "date")


@pytest.fixture(scope="module")
def spark(settings: Settings) -> Iterator[SparkSession]:
    session = spark_session("silver-test", settings)
    yield session
    session.stop()


@pytest.fixture
def world(settings: Settings, tmp_path: Path) -> World:
    world = World(settings, MERCHANTS, tmp_path)
    world.wipe()
    return world


def run_here(world: World, limit: float = 1.0) -> SilverReport:
    return run_silver(world.domain, world.settings, limit)


def state_of(world: World) -> SilverState:
    state = silver_state(world.settings, world.domain)
    assert state is not None
    return state


def assert_clean(world: World) -> None:
    """Nothing but the current rows in the folder, nothing but main in the catalog, and the books balance."""
    state = state_of(world)
    assert set(world.files()) == data_files(world.settings, world.domain)
    assert set(branch_parents(world.settings, world.domain)) == {"main"}
    assert len(world.rows()) == state.rows
    counts = state.counts
    total = counts.valid + counts.duplicates + counts.quarantined + counts.tombstones
    assert total == sum(end for partitions in state.position.values() for end in partitions.values())


def test_every_record_is_where_it_belongs_and_a_second_run_changes_nothing(settings: Settings, tmp_path: Path) -> None:
    world = World(settings, PROFILES, tmp_path)
    world.wipe()
    ana = {
        "user_id": " U0001 ",
        "name": "Dr. Ana  Maria Silva",
        "country": "u.s.a.",
        "account_type": "SAVINGS",
        "credit_score": 712,
        "status": "Active",
        "timestamp": "2026-01-31 13:45:00",
        "email": "ana@example.org",
    }
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


def framed(number: int) -> bytes:
    """As a Schema Registry serializer does it: a zero, the schema's id in four bytes, then the record."""
    return b"\0" + (7).to_bytes(4) + json.dumps(merchant(number)).encode()


def alarms_of(world: World) -> list[Alarm]:
    with connect(world.settings.warehouse_dsn) as conn:
        return open_alarms(conn, world.domain.name)


def test_good_records_land_beside_too_many_rejected_ones_and_the_alarm_stays_until_it_is_accepted(
    world: World, spark: SparkSession
) -> None:
    world.produce(*map(framed, range(300)))
    assert (run_here(world, limit=0.5).rejected, len(world.quarantined())) == (300, 300)
    world.produce(*merchants(range(20)))
    assert run_here(world, limit=0.5).rows == 20
    assert len(world.rows()) == 20
    (alarm,) = alarms_of(world)
    assert (alarm.records, alarm.rejected, alarm.limit_share) == (300, 300, 0.5)
    assert sum(alarm.reasons.values()) == 300
    assert run_here(world, limit=0.5).records == 0
    assert alarms_of(world) == [alarm]
    assert_clean(world)

    with connect(world.settings.warehouse_dsn) as conn:
        assert accept(conn, [alarm]) == []
    world.produce(*merchants(range(20, 200)), b"garbage")
    run_here(world, limit=0.5)
    assert alarms_of(world) == []
    world.produce(*merchants(range(50), day=2, risk_level="Huge"), *[b"garbage"] * 55)
    run_here(world, limit=0.5)
    assert [(one.records, one.rejected, one.reasons) for one in alarms_of(world)] == [
        (105, 105, {"risk_level not_allowed": 50, "not_json": 55})
    ]

    spark.sql("DROP TABLE lake.silver.merchants")
    run_here(world, limit=0.5)
    assert alarms_of(world)[0].rejected == 105, "what quarantine had already is no news when silver is rebuilt"
    assert_clean(world)


def test_a_run_that_dies_after_it_stored_what_it_rejected_has_raised_the_alarm_once(
    world: World, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.produce(*map(framed, range(120)), *merchants(range(3)))
    with monkeypatch.context() as patch:
        patch.setattr(SilverTable, "publish", raise_conflict)
        with pytest.raises(ConflictError):
            run_here(world, limit=0.5)
    assert (state_of(world).position, len(world.quarantined())) == ({}, 120)
    (alarm,) = alarms_of(world)
    assert (alarm.records, alarm.rejected) == (123, 120)
    assert run_here(world, limit=0.5).rows == 3
    assert alarms_of(world) == [alarm]
    assert_clean(world)


def raise_conflict(*_: object) -> None:
    raise ConflictError("somebody was faster")


def test_rubbish_that_drips_raises_the_alarm_too(world: World, spark: SparkSession) -> None:
    """However few come with each run, as from a producer that sends one a minute."""
    for _ in range(2):
        world.produce(*[b"garbage"] * 40)
        run_here(world, limit=0.5)
        assert alarms_of(world) == []
    world.produce(*[b"garbage"] * 10, *merchants(range(10)))
    run_here(world, limit=0.5)
    assert [(one.records, one.rejected) for one in alarms_of(world)] == [(100, 90)]


def test_a_job_takes_along_what_waits_and_leaves_to_others_what_fails(
    world: World, spark: SparkSession, settings: Settings, tmp_path: Path
) -> None:
    waiting, broken = World(settings, ACCOUNTS, tmp_path), World(settings, PROFILES, tmp_path)
    for other in (waiting, broken):
        other.wipe()
    try:
        world.produce(*merchants(range(3)))
        waiting.produce(ACCOUNT, b"garbage")
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
        for record in ({**ACCOUNT, "account_id": "A2"}, None):
            with domain_lock(settings, ACCOUNTS):
                if record:
                    waiting.produce(record)
                assert take_along(ACCOUNTS, settings, RejectedLimit(1.0), spark) is None
            done = take_along(ACCOUNTS, settings, RejectedLimit(1.0), spark)
            assert (done.changed if done else None) == (1 if record else None)
    finally:
        broken.wipe()


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
