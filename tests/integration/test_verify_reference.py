"""Verification of reference data on real servers, silver and gold included: what somebody broke is named."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pyspark.sql import SparkSession

from include.domains import BRONZE_BUCKET, MERCHANTS, SILVER_BUCKET
from include.lake.catalog import silver_state
from include.postgres import connect
from include.settings import Settings
from include.spark.session import spark_session
from include.spark.silver_table import MAX_FILES, Book, SilverTable
from include.verify import Report, verify
from include.warehouse.gold import load
from tests.support.books import assert_balanced, begin_anew
from tests.support.objects import remove_objects
from tests.support.records import merchant, merchants
from tests.support.silver import run_silver
from tests.support.world import World

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def spark(settings: Settings) -> Iterator[SparkSession]:
    session = spark_session("verify-test", settings)
    yield session
    session.stop()


@pytest.fixture(scope="module")
def world(settings: Settings, tmp_path_factory: pytest.TempPathFactory, spark: SparkSession) -> World:
    """Merchants with newer and older versions, refused records and a tombstone, up to gold."""
    begin_anew(settings, MERCHANTS)
    world = World(settings, MERCHANTS, tmp_path_factory.mktemp("world"))
    world.produce(*merchants(range(20), day=2), merchant(3, 3), merchant(4, 1), b"garbage", None)
    carry_on(world)
    world.produce(*merchants(range(10, 30), day=3), b"[]")
    carry_on(world)
    return world


def carry_on(world: World) -> None:
    """Bring all of bronze to silver and gold."""
    run_silver(world.domain, world.settings)
    with connect(world.settings.warehouse_dsn) as conn:
        load(world.domain, conn, world.settings)


def checked(world: World) -> Report:
    return verify(world.settings, domains=[world.domain], wait_seconds=0)


def test_every_record_has_its_place(world: World) -> None:
    (domain,) = assert_balanced(world.settings, world.domain).domains
    assert domain.total("produced") == domain.total("bronze") == 45
    assert (domain.total("valid"), domain.total("duplicates")) == (30, 12)
    assert (domain.total("quarantined"), domain.total("tombstones")) == (2, 1)
    assert (domain.silver, domain.gold) == (30, 30)


@pytest.mark.parametrize(
    ("damage", "check", "ids"),
    [
        ("UPDATE merchants SET city = 'Faro' WHERE merchant_id = 'M0007'", "gold_differs", ("M0007",)),
        ("DELETE FROM merchants WHERE merchant_id IN ('M0007', 'M0008')", "gold_misses", ("M0007", "M0008")),
        ("UPDATE merchants SET merchant_id = 'M777' WHERE merchant_id = 'M0007'", "gold_adds", ("M777",)),
        ("DELETE FROM ops.gold_watermark WHERE domain = 'merchants'", "gold_behind", ("merchants",)),
        ("DELETE FROM ops.quarantine WHERE raw = 'garbage'", "nowhere", ()),
    ],
)  # fmt: skip
def test_damage_in_the_warehouse_is_named(world: World, damage: str, check: str, ids: tuple[str, ...]) -> None:
    with connect(world.settings.warehouse_dsn) as conn:
        conn.execute("CREATE TEMPORARY TABLE kept AS SELECT * FROM ops.quarantine WHERE domain = 'merchants'")
        assert conn.execute(damage).rowcount > 0
        found = {finding.check: finding for finding in checked(world).findings}
        assert check in found
        assert found[check].ids == ids
        # A lost watermark makes gold what silver is.
        conn.execute("DELETE FROM ops.gold_watermark WHERE domain = 'merchants'")
        conn.execute("INSERT INTO ops.quarantine TABLE kept ON CONFLICT DO NOTHING")
        load(world.domain, conn, world.settings)
    assert_balanced(world.settings, world.domain)


def test_a_row_that_silver_lost_is_named_by_its_id(world: World, spark: SparkSession) -> None:
    state = silver_state(world.settings, world.domain)
    assert state is not None
    table = SilverTable(spark, world.domain, world.settings)
    current = table.begin(state.snapshot_id)
    older = current.where("merchant_id = 'M0012'").selectExpr(
        *(f"timestamp - INTERVAL 7 DAYS AS {name}" if name == "timestamp" else name for name in current.columns)
    )
    book = Book(state.position, state.silver_version + 1, 42, 2, 1, state.contract_versions)
    table.write(current.where("merchant_id <> 'M0011'"), older, book, changed=1, replaced=1, files=MAX_FILES + 1)
    table.publish(state.snapshot_id)
    found = {finding.check: finding for finding in checked(world).findings}
    assert found["silver_misses"].ids == ("M0011",)
    assert found["silver_older"].ids == ("M0012",)
    world.drop_table()
    carry_on(world)
    assert_balanced(world.settings, world.domain)


def test_rows_that_no_silver_run_wrote_are_named(world: World, spark: SparkSession) -> None:
    spark.sql("DELETE FROM lake.silver.merchants WHERE merchant_id = 'M0013'")
    assert "silver_foreign" in {finding.check for finding in checked(world).findings}
    world.drop_table()
    carry_on(world)
    assert_balanced(world.settings, world.domain)


def test_what_silver_has_not_read_yet_is_named(world: World) -> None:
    world.produce(merchant(40))
    (behind,) = checked(world).findings
    assert (behind.check, behind.ranges) == ("silver_behind", ((45, 45),))
    carry_on(world)
    assert_balanced(world.settings, world.domain)


def test_bronze_that_silver_has_read_and_that_is_gone_is_named(world: World) -> None:
    """All records of the topic that was reset have newer versions: without it nothing else would miss them."""
    before = checked(world)
    (topic_id,) = {one.topic_id for one in before.domains[0].books}
    world.reset_topic()
    world.produce(*merchants(range(41), day=9))
    carry_on(world)
    assert_balanced(world.settings, world.domain)
    remove_objects(world.s3, BRONZE_BUCKET, f"{world.domain.bronze_folder}/{topic_id}/")
    found = {finding.check for finding in checked(world).findings}
    assert found == {"bronze_lost", "only_in_a_table"}  # what was refused is in quarantine
    begin_anew(world.settings, world.domain)


def test_a_data_file_of_silver_that_is_gone_is_named(world: World) -> None:
    world.produce(*merchants(range(5)))
    carry_on(world)
    (key, *_) = world.files()
    world.s3.delete_object(Bucket=SILVER_BUCKET, Key=key)
    assert "silver_file" in {finding.check for finding in checked(world).findings}
    begin_anew(world.settings, world.domain)
