"""The daily rollup on real stores: it says what the verdicts say, whatever comes when; bronze alone gives it anew."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
import pytest

from include.domains import TRANSACTIONS, Domain
from include.postgres import connect
from include.settings import Settings
from include.spark.session import spark_session
from include.warehouse.daily_fraud import RebuildReport, SilverDays, differing_days, lagging_days, rebuild
from tests.support.books import assert_balanced, begin_anew, judge_all
from tests.support.domains import allow_amounts_up_to_1000, stricter
from tests.support.quarantine import redrive
from tests.support.records import payment
from tests.support.silver import run_silver, worker_process
from tests.support.warehouse import checksum, rate_merchant
from tests.support.world import World

pytestmark = pytest.mark.integration

JANUARY, FEBRUARY, OLD = date(2026, 1, 31), date(2026, 2, 1), date(1999, 12, 31)


@pytest.fixture(scope="module")
def worker(settings: Settings) -> Iterator[ProcessPoolExecutor]:
    with worker_process() as pool:
        yield pool


@pytest.fixture
def world(settings: Settings, tmp_path: Path) -> World:
    begin_anew(settings, TRANSACTIONS)
    return World(settings, TRANSACTIONS, tmp_path)


@pytest.fixture
def warehouse(settings: Settings, world: World) -> Iterator[psycopg.Connection]:
    with connect(settings.warehouse_dsn) as conn:
        yield conn


def rebuild_silver(settings: Settings, first: date, last: date) -> int:
    from include.spark.silver_rebuild import rebuild_days

    return rebuild_days(TRANSACTIONS, settings, spark_session("silver-test", settings, source=False), first, last)


def follow(conn: psycopg.Connection, settings: Settings) -> RebuildReport:
    """What the runs of the DAG do all together: those days that are behind silver, and no others."""
    silver = SilverDays.read(settings)
    return rebuild(conn, lagging_days(conn, silver), silver)


def rollup(conn: psycopg.Connection, day: date) -> list[tuple[Any, ...]]:
    return conn.execute(
        "SELECT merchant_id, channel, rules, transactions, frauds, amount::text, fraud_amount::text"
        " FROM daily_fraud WHERE day = %s ORDER BY merchant_id, channel, rules",
        [day],
    ).fetchall()


def test_it_says_what_the_verdicts_say_and_only_days_that_silver_told_of_are_made_anew(
    world: World, worker: ProcessPoolExecutor, warehouse: psycopg.Connection, tmp_path: Path
) -> None:
    old_contract = stricter(TRANSACTIONS, tmp_path, allow_amounts_up_to_1000)

    def flow(*records: Any, contract: Domain = TRANSACTIONS) -> RebuildReport:
        world.produce(*records)
        judge_all(world.settings, contract)
        worker.submit(run_silver, TRANSACTIONS, world.settings).result()
        return follow(warehouse, world.settings)

    report = flow(
        payment("T1", amount=12.5, merchant_id="M1"),
        payment("T2", amount=7.5, merchant_id="M1"),
        payment("T3", amount=31_000, merchant_id="M1", channel="Online"),
        payment("T1", amount=99, merchant_id="M2"),
        payment("T4", merchant_id="M2", timestamp="2026-02-01T00:30:00+02:00"),
        payment("T5", merchant_id="M2", timestamp="2026-02-01T00:00:00Z"),
        b"{",
        None,
    )
    assert (report.days, report.transactions) == ((FEBRUARY, JANUARY), 5)
    whole = rollup(warehouse, JANUARY)
    assert [row for row in whole if row[:2] != ("M1", "Online")] == [
        ("M1", "ATM", [], 2, 0, "20.0000", "0"),
        ("M2", "ATM", [], 1, 0, "10.0000", "0"),
    ]
    ((_, _, rules, *counted),) = (row for row in whole if row[:2] == ("M1", "Online"))
    assert "high_online_amount" in rules
    assert rules == sorted(rules)
    assert counted == [1, 1, "31000.0000", "31000.0000"]
    assert differing_days(warehouse) == []
    assert follow(warehouse, world.settings).days == ()

    # A record of long ago, and one that the contract of then refused.
    report = flow(payment("T6", timestamp="1999-12-31T23:59:59Z"), payment("T7", amount=2_000), contract=old_contract)
    assert report.days == (OLD,)
    redrive(world.settings, tmp_path, "--domain", "transactions")
    assert differing_days(warehouse) == [JANUARY]
    assert flow().days == (JANUARY,)
    assert differing_days(warehouse) == []
    assert warehouse.execute("SELECT sum(transactions) FROM daily_fraud").fetchone() == (7,)
    assert_balanced(world.settings, TRANSACTIONS)

    # Its country is the merchant's of today, also where the merchant came later.
    rate_merchant(warehouse, "M1", "Low")
    countries = "SELECT merchant_id, merchant_country FROM daily_fraud_overview WHERE day = %s AND channel = 'ATM'"
    assert ("M1", "Germany") in warehouse.execute(countries, [JANUARY]).fetchall()


def test_bronze_alone_gives_the_same_silver_and_the_same_rollup_by_days_or_as_a_whole(
    world: World, worker: ProcessPoolExecutor, warehouse: psycopg.Connection, tmp_path: Path
) -> None:
    def silver() -> list[tuple[Any, ...]]:
        return world.rows()

    def run() -> None:
        worker.submit(run_silver, TRANSACTIONS, world.settings).result()
        follow(warehouse, world.settings)

    for part in range(2):
        days = ("2026-01-30", "2026-01-31", "2026-02-01")
        world.produce(
            *(payment(f"T{part}{n}", amount=10 + n, timestamp=f"{days[n % 3]} 12:00:00") for n in range(30)),
            payment("T00", location="Lisbon"),
            payment(f"T{part}x", amount=40_000, channel="Online"),
            b"garbage",
            partitions=2,
        )
        judge_all(world.settings)
        run()
    rows, totals = silver(), checksum(warehouse, "daily_fraud")
    assert (len(rows), differing_days(warehouse)) == (64, [])

    # A range of days.
    assert worker.submit(rebuild_silver, world.settings, date(2026, 1, 30), JANUARY).result() == 44
    assert silver() == rows
    assert set(lagging_days(warehouse, SilverDays.read(world.settings))) == {date(2026, 1, 30), JANUARY}
    run()
    assert (silver(), checksum(warehouse, "daily_fraud")) == (rows, totals)
    assert_balanced(world.settings, TRANSACTIONS)

    # All of it; of another table the versions say nothing.
    world.drop_table()
    warehouse.execute("TRUNCATE daily_fraud")
    run()
    assert (silver(), checksum(warehouse, "daily_fraud")) == (rows, totals)

    # The same day by several at once, again and again, and what nobody knows of.
    def again(_: int) -> None:
        with connect(world.settings.warehouse_dsn) as conn:
            rebuild(conn, [JANUARY, OLD], SilverDays.read(world.settings))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(again, range(8)))
    assert checksum(warehouse, "daily_fraud") == totals
