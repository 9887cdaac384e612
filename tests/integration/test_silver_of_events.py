"""The silver of transactions: each that has a verdict, by days, once, whatever dies and whatever leaves quarantine."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from include.checks.result import newest
from include.domains import TRANSACTIONS, Domain
from include.lake.catalog import silver_state
from include.postgres import connect
from include.quarantine import landing
from include.settings import Settings
from include.spark import silver_table
from include.spark.silver_run import SilverReport
from include.spark.silver_table import FILES_OF_A_DAY
from include.verify import verify
from tests.support.books import assert_balanced, begin_anew, judge_all
from tests.support.domains import allow_amounts_up_to_1000, stricter
from tests.support.quarantine import redrive
from tests.support.records import payment
from tests.support.silver import (
    fall_asleep_before_publishing,
    run_silver,
    run_silver_record_by_record,
    wake_up,
    worker_process,
)
from tests.support.world import World

pytestmark = pytest.mark.integration


class DiedError(BaseException):
    """No Exception: it is not a fault, which a run would answer by trying again."""


@pytest.fixture(scope="module")
def worker(settings: Settings) -> Iterator[ProcessPoolExecutor]:
    with worker_process() as pool:
        yield pool


@pytest.fixture
def world(settings: Settings, tmp_path: Path) -> World:
    begin_anew(settings, TRANSACTIONS)
    return World(settings, TRANSACTIONS, tmp_path)


@pytest.fixture
def old_contract(tmp_path: Path) -> Domain:
    """Transactions of more than 1000 were refused by it; today's contract takes them."""
    return stricter(TRANSACTIONS, tmp_path, allow_amounts_up_to_1000)


def ids(world: World) -> list[str]:
    return [txn_id for (txn_id,) in world.rows("txn_id")]


def days(world: World) -> list[str]:
    """The day that the path of each file says, in order."""
    found = (re.search(r"/timestamp_day=([0-9-]+)/", key) for key in sorted(world.files()))
    return [match[1] for match in found if match]


def published(world: World) -> int:
    """How many rows silver's newest snapshot has; what runs that died have left may lie beside their files."""
    state = silver_state(world.settings, TRANSACTIONS)
    return state.rows if state else 0


def run_that_dies_after_publishing(domain: Domain, settings: Settings) -> None:
    with patch.object(landing, "land", side_effect=[0, DiedError]):
        try:
            run_silver(domain, settings)
        except DiedError:
            return
    raise AssertionError("the run had nothing to land")


def test_it_holds_each_transaction_that_has_a_verdict_once_by_days(world: World, worker: ProcessPoolExecutor) -> None:
    world.produce(
        payment("T1"),
        payment("T2", amount=30_000.01, channel="Online", timestamp="2026-02-01T00:30:00+02:00"),
        payment("T3", timestamp="1970-01-01T00:00:00Z"),
        b"{",
        payment("T1", location="Lisbon"),
        None,
        payment("T4", timestamp="2026-02-01T12:00:00Z"),
        *(payment("T5", timestamp=f"2025-12-{day:02}T00:00:00Z") for day in (1, 2, 1, 2)),
        partitions=1,
    )
    judge_all(world.settings)
    report = worker.submit(run_silver, TRANSACTIONS, world.settings).result()
    assert (report.records, report.valid, report.rejected, report.tombstones) == (11, 9, 1, 1)
    rows = world.rows("txn_id", "location", "amount::text", "date::text", "bronze_offset")
    assert sorted(rows, key=lambda row: row[-1]) == [
        ("T1", "Berlin", "10.0000", "2026-01-31", 0),
        ("T2", "Berlin", "30000.0100", "2026-01-31", 1),
        ("T3", "Berlin", "10.0000", "1970-01-01", 2),
        ("T1", "Lisbon", "10.0000", "2026-01-31", 4),
        ("T4", "Berlin", "10.0000", "2026-02-01", 6),
        ("T5", "Berlin", "10.0000", "2025-12-01", 7),
        ("T5", "Berlin", "10.0000", "2025-12-02", 8),
        ("T5", "Berlin", "10.0000", "2025-12-01", 9),
        ("T5", "Berlin", "10.0000", "2025-12-02", 10),
    ]
    with connect(world.settings.warehouse_dsn) as conn:
        found = newest(conn, TRANSACTIONS.silver_asset)
    references = [one for one in found if one.check == "merchant_id_reference"]
    assert [(one.rows, one.failing) for one in references] == [(1, 1), (2, 2), (2, 2), (3, 3), (1, 1)]
    checked = [one for one in found if one.check == "amount_range"]
    assert [(f"{one.day}", one.rows, one.passed) for one in checked] == [
        ("1970-01-01", 1, True),
        ("2025-12-01", 2, True),
        ("2025-12-02", 2, True),
        ("2026-01-31", 3, True),
        ("2026-02-01", 1, True),
    ]
    assert days(world) == ["1970-01-01", "2025-12-01", "2025-12-02", "2026-01-31", "2026-02-01"]
    (domain,) = assert_balanced(world.settings, TRANSACTIONS).domains
    assert (domain.silver, domain.gold, domain.total("valid"), domain.total("duplicates")) == (9, None, 5, 4)
    again = worker.submit(run_silver, TRANSACTIONS, world.settings).result()
    assert (again.records, again.silver_version) == (0, report.silver_version)
    assert len(world.files()) == 5


def test_it_goes_no_further_than_the_stream(world: World, worker: ProcessPoolExecutor) -> None:
    world.produce(payment("T1"))
    judge_all(world.settings)
    world.produce(payment("T2"))
    worker.submit(run_silver, TRANSACTIONS, world.settings).result()
    assert ids(world) == ["T1"]
    judge_all(world.settings)
    worker.submit(run_silver, TRANSACTIONS, world.settings).result()
    assert ids(world) == ["T1", "T2"]
    assert_balanced(world.settings, TRANSACTIONS)


def test_what_leaves_quarantine_comes_after_whether_silver_had_passed_it_or_not(
    world: World, worker: ProcessPoolExecutor, old_contract: Domain, tmp_path: Path
) -> None:
    def run(how: Any = run_silver) -> SilverReport:
        report: SilverReport = worker.submit(how, TRANSACTIONS, world.settings).result()
        return report

    world.produce(*(payment(f"T{number}", amount=999 + number) for number in range(1, 5)))
    judge_all(world.settings, old_contract)
    report = run()
    assert (report.valid, report.rejected) == (1, 3)
    assert ids(world) == ["T1"]
    assert len(world.quarantined()) == 3

    world.produce(payment("T5", amount=5_000), payment("T6"))
    judge_all(world.settings, old_contract)
    code, redriven = redrive(world.settings, tmp_path, "--domain", "transactions")
    assert (code, redriven["landed"]) == (0, {"transactions": 4})
    # Silver need not have them yet.
    assert_balanced(world.settings, TRANSACTIONS)
    report = run(run_silver_record_by_record)
    assert (report.valid, report.redriven) == (2, 4)
    assert ids(world) == ["T1", "T2", "T3", "T4", "T5", "T6"]
    assert run().changed == 0
    (domain,) = assert_balanced(world.settings, TRANSACTIONS).domains
    assert (domain.silver, domain.redriven) == (6, 4)

    world.drop_table()
    assert run().valid == 6
    assert ids(world) == ["T1", "T2", "T3", "T4", "T5", "T6"]
    assert_balanced(world.settings, TRANSACTIONS)


def test_a_run_that_dies_takes_a_record_out_of_quarantine_once_or_not_at_all(
    world: World, worker: ProcessPoolExecutor, old_contract: Domain, tmp_path: Path
) -> None:
    world.produce(payment("T1", amount=2_000), payment("T2"))
    judge_all(world.settings, old_contract)
    worker.submit(run_silver, TRANSACTIONS, world.settings).result()
    redrive(world.settings, tmp_path, "--domain", "transactions")
    worker.submit(fall_asleep_before_publishing, TRANSACTIONS, world.settings).result()
    assert published(world) == 1
    worker.submit(run_that_dies_after_publishing, TRANSACTIONS, world.settings).result()
    assert published(world) == 2
    assert_balanced(world.settings, TRANSACTIONS)
    assert worker.submit(wake_up).result() is False
    assert worker.submit(run_silver, TRANSACTIONS, world.settings).result().changed == 0
    assert ids(world) == ["T1", "T2"]
    assert_balanced(world.settings, TRANSACTIONS)


def test_the_small_files_of_a_day_become_one(world: World, worker: ProcessPoolExecutor) -> None:
    world.produce(payment("T0", timestamp="2026-01-01 00:00:00"))
    for number in range(1, FILES_OF_A_DAY + 1):
        world.produce(payment(f"T{number}"))
        judge_all(world.settings)
        assert len(world.files()) in (0, number)
        worker.submit(run_silver, TRANSACTIONS, world.settings).result()
    assert days(world) == ["2026-01-01", "2026-01-31"]
    assert ids(world) == [f"T{number}" for number in range(FILES_OF_A_DAY + 1)]
    versions = [version for (version,) in world.rows("silver_version")]
    assert versions == [1, *range(1, FILES_OF_A_DAY + 1)]
    state = silver_state(world.settings, TRANSACTIONS)
    assert state is not None
    assert (state.rows, state.silver_version, state.counts.valid) == (FILES_OF_A_DAY + 1, FILES_OF_A_DAY, state.rows)
    assert_balanced(world.settings, TRANSACTIONS)


def run_that_compacts_little(domain: Domain, settings: Settings) -> SilverReport:
    with patch.object(silver_table, "FILES_AT_ONCE", FILES_OF_A_DAY):
        return run_silver(domain, settings)


@pytest.mark.long
def test_old_clocks_make_many_days_and_a_run_takes_them_in_one_after_the_other(
    world: World, worker: ProcessPoolExecutor
) -> None:
    first = date(2000, 1, 1)
    world.produce(*(payment(f"T{day}", timestamp=f"{first + timedelta(days=day)}T12:00:00Z") for day in range(2_000)))
    judge_all(world.settings)
    assert worker.submit(run_silver, TRANSACTIONS, world.settings).result().rows == 2_000
    assert len(days(world)) == 2_000
    assert_balanced(world.settings, TRANSACTIONS)


def test_a_run_compacts_so_much_and_leaves_the_rest_to_the_next(world: World, worker: ProcessPoolExecutor) -> None:
    for number in range(FILES_OF_A_DAY):
        world.produce(*(payment(f"T{number}", timestamp=f"2026-01-{day:02}T12:00:00Z") for day in (1, 2)))
        judge_all(world.settings)
        worker.submit(run_that_compacts_little, TRANSACTIONS, world.settings).result()
    assert sorted(Counter(days(world)).values()) == [1, FILES_OF_A_DAY]
    world.produce(payment("T9", timestamp="2026-01-03T12:00:00Z"))
    judge_all(world.settings)
    worker.submit(run_that_compacts_little, TRANSACTIONS, world.settings).result()
    assert sorted(Counter(days(world)).values()) == [1, 1, 1]
    assert_balanced(world.settings, TRANSACTIONS)


def test_verify_names_what_silver_lacks_and_what_it_has_without_a_verdict(
    world: World, worker: ProcessPoolExecutor, old_contract: Domain, tmp_path: Path
) -> None:
    world.produce(payment("T1", amount=2_000), payment("T2"), payment("T3"))
    judge_all(world.settings, old_contract)
    worker.submit(run_silver, TRANSACTIONS, world.settings).result()
    redrive(world.settings, tmp_path, "--domain", "transactions")
    with connect(world.settings.warehouse_dsn) as conn:
        conn.execute("UPDATE ops.quarantine SET settled_in_silver_at = now() WHERE domain = 'transactions'")
        conn.execute("DELETE FROM genuinetransaction WHERE txn_id = 'T2'")
    report = verify(world.settings, domains=[TRANSACTIONS], wait_seconds=0)
    found = {(finding.check, finding.ranges) for finding in report.findings if finding.ranges}
    assert found == {("silver_misses", ((0, 0),)), ("silver_adds", ((1, 1),)), ("nowhere", ((1, 1),))}
