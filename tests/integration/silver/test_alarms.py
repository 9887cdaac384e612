"""Too many rejected records raise the alarm and hold nothing up."""

from __future__ import annotations

import pytest
from pyspark.sql import SparkSession

from include.postgres import connect
from include.quarantine.alarms import Alarm, accept, open_alarms
from include.spark.silver_table import ConflictError, SilverTable
from tests.support.envelopes import framed
from tests.support.records import encoded, merchant, merchants
from tests.support.silver import run_here
from tests.support.world import World, assert_clean, state_of

pytestmark = pytest.mark.integration


def alarms_of(world: World) -> list[Alarm]:
    with connect(world.settings.warehouse_dsn) as conn:
        return open_alarms(conn, world.domain.name)


def test_good_records_land_beside_too_many_rejected_ones_and_the_alarm_stays_until_it_is_accepted(
    world: World, spark: SparkSession
) -> None:
    world.produce(*(framed(encoded(merchant(number))) for number in range(300)))
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
    world.produce(*(framed(encoded(merchant(number))) for number in range(120)), *merchants(range(3)))
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
