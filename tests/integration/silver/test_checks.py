"""A check that blocks lets nobody see what failed it, and holds up nothing once its cause is gone."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from typing import Any
from unittest.mock import Mock

import pytest
from pyspark.sql import SparkSession

from include.checks import declared
from include.checks.declared import Check, CheckKind, Severity
from include.checks.result import CheckFailedError, Stored, newest
from include.checks.rows import RowChecks
from include.domains import MERCHANTS
from include.lake.catalog import branch_parents
from include.lake.silver_files import stray_files
from include.postgres import connect
from include.spark.silver_audit import CheckBrokenError
from include.spark.silver_table import SilverTable
from include.status import warehouse
from tests.support.records import merchants
from tests.support.silver import run_here
from tests.support.world import World, assert_clean, await_in_job, state_of

pytestmark = pytest.mark.integration

ASSET = MERCHANTS.silver_asset
NO_TRAVEL = Check(
    ASSET,
    CheckKind.ACCEPTED_VALUES,
    Severity.BLOCK,
    "no_travel",
    column="category",
    values=("E-commerce", "Restaurant", "Fuel", "Retail"),
)


@pytest.fixture(autouse=True)
def nothing_found_yet(world: World) -> None:
    with connect(world.settings.warehouse_dsn) as conn:
        conn.execute("DELETE FROM ops.check_result")


def found(world: World) -> dict[str, Stored]:
    with connect(world.settings.warehouse_dsn) as conn:
        return {one.check: one for one in newest(conn, ASSET)}


def add(monkeypatch: pytest.MonkeyPatch, check: Check) -> None:
    monkeypatch.setitem(declared.CHECKS, ASSET, (*declared.CHECKS[ASSET], check))


def iceberg_ids(spark: SparkSession, version: str = "main") -> list[str]:
    rows = spark.read.option("branch", version).table("lake.silver.merchants").collect()
    return sorted(row.merchant_id for row in rows)


def test_what_fails_is_seen_by_nobody_and_lands_once_the_cause_is_mended(
    world: World, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.produce(*merchants(range(3)))
    run_here(world)
    before = state_of(world)
    assert all(one.passed for one in found(world).values())
    assert found(world)["merchant_id_unique"].snapshot_id == str(before.snapshot_id)
    assert (found(world)["rejected_share"].failing, found(world)["rows_add_up"].value) == (0, 0)

    world.produce(*merchants(range(2, 5), day=2, category="Travel"), b"garbage")
    with monkeypatch.context() as patch:
        add(patch, NO_TRAVEL)
        for _ in range(2):
            with pytest.raises(CheckFailedError, match=r"no_travel: 3 of 3 rows .*\"merchant_id\": \"M0002\""):
                run_here(world)
        assert state_of(world) == before
        assert iceberg_ids(spark) == ["M0000", "M0001", "M0002"]
        (branch,) = branch_parents(world.settings, world.domain).keys() - {"main"}
        assert iceberg_ids(spark, branch) == [f"M{number:04}" for number in range(5)], "it can be looked at"
        assert stray_files(world.settings, world.domain)
        assert stray_files(world.settings, world.domain, branch) == [], (
            "of all tries only the last one's files are kept"
        )
        failed = found(world)["no_travel"]
        assert (failed.passed, failed.rows, failed.failing, failed.run) == (False, 3, 3, branch)
        assert [one["category"] for one in failed.examples] == ["Travel"] * 3
        assert [one["bronze_offset"] for one in failed.examples] == [3, 4, 5]
        with connect(world.settings.warehouse_dsn) as conn:
            (problem,) = [one for one in warehouse.problems(conn) if one.check == "check"]
        assert (problem.subject, "no_travel" in problem.message) == (ASSET, True)

    run_here(world)
    assert world.rows("merchant_id", "category") == [
        (f"M{number:04}", "Fuel" if number < 2 else "Travel") for number in range(5)
    ]
    assert len(world.quarantined()) == 1
    assert state_of(world).counts.duplicates == 1
    assert_clean(world)


def test_one_that_warns_lets_all_land_and_is_told(
    world: World, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(monkeypatch, replace(NO_TRAVEL, severity=Severity.WARN))
    world.produce(*merchants(range(3), category="Travel"))
    assert run_here(world).rows == 3
    assert (found(world)["no_travel"].passed, found(world)["no_travel"].failing) == (False, 3)
    with connect(world.settings.warehouse_dsn) as conn:
        assert [one for one in warehouse.problems(conn) if one.check == "check"] == []
        assert warehouse.warnings(conn) == [f"{ASSET}: checks warn: no_travel"]
    assert_clean(world)


def test_rows_that_a_write_lost_or_doubled_are_not_published(
    world: World, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of ours, or of Iceberg's, that the rows alone do not show."""
    world.produce(*merchants(range(3)))
    run_here(world)
    before = state_of(world)
    world.produce(*merchants(range(2, 4), day=2))
    with monkeypatch.context() as patch:
        patch.setattr(SilverTable, "write", appended)
        with pytest.raises(CheckFailedError, match="rows_add_up: 1"):
            run_here(world)
    assert state_of(world) == before
    assert run_here(world).rows == 4
    assert_clean(world)


def appended(table: SilverTable, _current: Any, changes: Any, book: Any, **_: Any) -> None:
    table._writer(changes, book).append()


def test_a_check_that_cannot_be_made_sends_no_record_to_quarantine(
    world: World, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.produce(*merchants(range(3)))
    run_here(world)
    before = state_of(world)
    world.produce(*merchants(range(3, 5)))
    with monkeypatch.context() as patch:
        patch.setattr(RowChecks, "results", Mock(side_effect=TypeError("a fault of ours")))
        with pytest.raises(CheckBrokenError, match="a fault of ours"):
            run_here(world)
    assert (state_of(world), world.quarantined()) == (before, [])
    assert run_here(world).rows == 5
    assert_clean(world)


class DiedError(BaseException):
    """No Exception: it is not a fault, which a run would answer by trying again."""


def test_a_run_that_dies_between_the_checks_and_the_publication(
    world: World, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.produce(*merchants(range(3)))
    run_here(world)
    before = state_of(world)
    world.produce(*merchants(range(2, 5), day=2), b"garbage")
    with monkeypatch.context() as patch:
        patch.setattr(SilverTable, "publish", Mock(side_effect=DiedError))
        with pytest.raises(DiedError):
            run_here(world)
    (branch,) = branch_parents(world.settings, world.domain).keys() - {"main"}
    assert (state_of(world), found(world)["rows_add_up"].run) == (before, branch), "checked, and not published"
    assert run_here(world).rows == 5
    assert (state_of(world).counts.duplicates, len(world.quarantined())) == (1, 1)
    assert_clean(world)


@pytest.mark.long
def test_kill_9_between_the_checks_and_the_publication(world: World, spark: SparkSession) -> None:
    world.produce(*merchants(range(50), day=3))
    run_here(world)
    before = state_of(world)
    world.produce(*merchants(range(25, 75), day=4), b"garbage")
    checked = found(world)["rows_add_up"].run

    job = world.submit()
    await_in_job(lambda: found(world)["rows_add_up"].run != checked, job, "its checks are stored")
    os.killpg(job.pid, signal.SIGKILL)
    job.wait()

    assert state_of(world).silver_version in (before.silver_version, before.silver_version + 1)
    run_here(world)
    assert len(world.rows()) == 75
    assert (state_of(world).silver_version, state_of(world).counts.duplicates) == (before.silver_version + 1, 25)
    assert [raw for _, raw, _ in world.quarantined()] == [b"garbage"]
    assert_clean(world)
