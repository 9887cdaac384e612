"""Records that were refused land exactly once after their contract was mended, whoever dies in the middle."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from include.domains import MERCHANTS, TRANSACTIONS, Domain
from include.lake.catalog import SilverState, silver_state
from include.local.secrets import load_secrets
from include.local.servers import clients
from include.local.setup.environment import program_environment
from include.local.setup.java import find_java
from include.postgres import connect
from include.settings import Settings
from include.spark.silver_run import SilverReport
from paylake_airflow.operators.spark import SilverTold, _is_behind, silver_event, silver_told
from tests.support.books import assert_balanced, begin_anew, judge_all
from tests.support.bronze import drain
from tests.support.domains import allow_amounts_up_to_1000, require_city, stricter
from tests.support.kafka import produce
from tests.support.quarantine import redrive, run_quarantine
from tests.support.records import merchant, transaction
from tests.support.silver import (
    begin_a_run,
    fall_asleep_before_publishing,
    load_gold,
    run_silver,
    run_silver_record_by_record,
    wake_up,
    worker_process,
)
from tests.support.stack import Stack, whole_stack
from tests.support.waiting import wait_until
from tests.support.world import World, await_in_job

pytestmark = pytest.mark.integration

HOLD_LANDING = """
CREATE FUNCTION hold_landing() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_advisory_xact_lock(4711); RETURN NEW; END $$;
CREATE TRIGGER hold_landing BEFORE UPDATE ON ops.quarantine FOR EACH ROW
    WHEN (OLD.redriven_at IS NULL AND NEW.redriven_at IS NOT NULL) EXECUTE FUNCTION hold_landing()
"""
RUN_SECONDS = 300.0
RELEASE_LANDING = "DROP TRIGGER hold_landing ON ops.quarantine; DROP FUNCTION hold_landing"


@pytest.fixture(scope="module")
def worker(settings: Settings) -> Iterator[ProcessPoolExecutor]:
    with worker_process() as pool:
        yield pool


@pytest.fixture
def world(settings: Settings, tmp_path: Path) -> World:
    """Merchants, of which the first contract wanted a city: three of five keep today's contract only."""
    begin_anew(settings, MERCHANTS)
    world = World(settings, MERCHANTS, tmp_path)
    world.produce(
        merchant(1, 5, city="Faro"),
        merchant(1, 9),
        merchant(2, 5),
        merchant(1, 2),
        b"garbage",
        merchant(3, 5, city="Porto"),
        None,
    )
    return world


@pytest.fixture
def old_contract(tmp_path: Path) -> Domain:
    return stricter(MERCHANTS, tmp_path, require_city)


def run_under(domain: Domain, world: World, worker: ProcessPoolExecutor) -> SilverReport:
    """A silver run of merchants under the contract of ``domain``."""
    return worker.submit(run_silver, domain, world.settings).result(RUN_SECONDS)


def state_of(world: World) -> SilverState:
    state = silver_state(world.settings, MERCHANTS)
    assert state is not None
    return state


def in_quarantine(world: World) -> dict[str, list[int]]:
    """Offsets by what the record is in quarantine."""
    with connect(world.settings.warehouse_dsn) as conn:
        rows = conn.execute(
            "SELECT record_offset, CASE WHEN redriven_at IS NOT NULL THEN 'done' WHEN redriven_by_run IS NOT NULL"
            " THEN 'entered' WHEN redrive_requested_at IS NOT NULL THEN 'requested' ELSE 'waiting' END"
            " FROM ops.quarantine WHERE domain = 'merchants' ORDER BY 1"
        ).fetchall()
    found: dict[str, list[int]] = {}
    for offset, condition in rows:
        found.setdefault(condition, []).append(offset)
    return found


def event_of(world: World, told: SilverTold | None = None) -> tuple[dict[str, Any], SilverTold]:
    """Silver's event after one that told ``told``, and what it tells."""
    now = silver_told(state_of(world), alarm=None)
    made, own = silver_event(MERCHANTS, world.settings, state_of(world), now, told)
    return {**own, **made.as_json()}, now


def request(world: World) -> None:
    """Redrive without silver at hand: its next run will take the records in."""
    code, report = redrive(world.settings, world.folder, "--domain", "merchants", "--wait", "0")
    assert (code, report["requested"], report["rejected"]) == (1, {"merchants": 3}, 1)
    assert in_quarantine(world) == {"requested": [1, 2, 3], "waiting": [4]}


def assert_landed_once(world: World) -> None:
    """The three are in silver and in gold as if they had never been refused, and everybody says so."""
    assert world.rows("merchant_id", "city", "day(date)", "bronze_offset") == [
        ("M0001", None, 9, 1),
        ("M0002", None, 5, 2),
        ("M0003", "Porto", 5, 5),
    ]
    assert in_quarantine(world) == {"done": [1, 2, 3], "waiting": [4]}
    counts = state_of(world).counts
    assert (counts.valid, counts.duplicates, counts.quarantined, counts.tombstones) == (3, 2, 1, 1)
    load_gold(MERCHANTS, world.settings)
    assert_balanced(world.settings, MERCHANTS)


def test_reference_records_land_with_the_next_silver_run_and_the_command_waits_for_it(
    world: World, old_contract: Domain, worker: ProcessPoolExecutor
) -> None:
    run_under(old_contract, world, worker)
    assert in_quarantine(world) == {"waiting": [1, 2, 3, 4]}
    before, told = event_of(world)
    assert (before["rejected"], before["redriven"], before["reasons"]) == (4, 0, {"missing": 3, "not_json": 1})

    with ThreadPoolExecutor() as pool:
        command = pool.submit(redrive, world.settings, world.folder, "--field", "city", "--wait", "120")
        wait_until(lambda: "requested" in in_quarantine(world), "the requests")
        assert _is_behind(MERCHANTS, world.settings)
        report = run_under(MERCHANTS, world, worker)
        code, redriven = command.result(120)
    assert (code, redriven["landed"]) == (0, {"merchants": 3})
    assert (report.records, report.redriven, report.changed) == (0, 3, 2)
    event, _ = event_of(world, told)
    numbers = {name: event[name] for name in ("valid", "duplicates", "rejected", "tombstones", "redriven", "reasons")}
    assert numbers == {
        "valid": 1, "duplicates": 2, "rejected": 0, "tombstones": 0, "redriven": 3, "reasons": {"not_json": 1},
    }  # fmt: skip

    again = run_under(MERCHANTS, world, worker)
    assert (again.redriven, again.silver_version) == (0, report.silver_version)
    assert_landed_once(world)


def test_kill_9_between_publishing_and_marking(world: World, old_contract: Domain, worker: ProcessPoolExecutor) -> None:
    run_under(old_contract, world, worker)
    request(world)
    before = state_of(world)
    with held_landing(world.settings):
        job = world.submit()
        await_in_job(lambda: state_of(world).snapshot_id != before.snapshot_id, job, "publishing")
        os.killpg(job.pid, signal.SIGKILL)
        job.wait()
    assert in_quarantine(world) == {"entered": [1, 2, 3], "waiting": [4]}
    # The moment is one like any other: everything has its place, once.
    load_gold(MERCHANTS, world.settings)
    assert_balanced(world.settings, MERCHANTS)
    published = state_of(world)
    report = run_under(MERCHANTS, world, worker)
    assert (report.redriven, report.silver_version) == (0, published.silver_version)
    assert_landed_once(world)


@contextmanager
def held_landing(settings: Settings) -> Iterator[None]:
    """Whoever marks records as done stands still before it, and is cut off at the end of the block."""
    with connect(settings.warehouse_dsn) as conn:
        conn.execute(HOLD_LANDING)
        conn.execute("SELECT pg_advisory_lock(4711)")
        try:
            yield
        finally:
            # PostgreSQL would go on with the statement of a client that is gone.
            conn.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE application_name LIKE 'paylake silver%' AND datname = current_database()"
            )
            conn.execute("SELECT pg_advisory_unlock(4711)")
            conn.execute(RELEASE_LANDING)


def test_a_run_that_fell_asleep_before_publishing_does_not_land_anything_twice(
    world: World, old_contract: Domain, worker: ProcessPoolExecutor
) -> None:
    run_under(old_contract, world, worker)
    request(world)
    before = state_of(world).snapshot_id
    worker.submit(fall_asleep_before_publishing, MERCHANTS, world.settings).result(RUN_SECONDS)
    assert in_quarantine(world) == {"entered": [1, 2, 3], "waiting": [4]}
    assert state_of(world).snapshot_id == before

    # Another run has begun, and has not got far, when the sleeper wakes.
    worker.submit(begin_a_run, MERCHANTS, world.settings).result(RUN_SECONDS)
    assert in_quarantine(world) == {"requested": [1, 2, 3], "waiting": [4]}
    assert not worker.submit(wake_up).result(RUN_SECONDS)
    assert state_of(world).snapshot_id == before
    assert run_under(MERCHANTS, world, worker).redriven == 3
    assert_landed_once(world)


def test_a_rebuild_under_a_mended_contract_lands_what_waits_without_being_asked(
    world: World, old_contract: Domain, worker: ProcessPoolExecutor
) -> None:
    run_under(old_contract, world, worker)
    _, told = event_of(world)
    request(world)  # and asked for besides, which must not count it twice
    world.drop_table()
    report = run_under(MERCHANTS, world, worker)
    assert (report.records, report.valid, report.rejected, report.redriven) == (7, 5, 1, 3)
    event, _ = event_of(world, told)
    assert (event["valid"], event["rejected"], event["redriven"], event["tombstones"]) == (3, 4, 3, 1)
    assert_landed_once(world)


def test_a_contract_that_is_moved_back_refuses_again(
    world: World, old_contract: Domain, worker: ProcessPoolExecutor
) -> None:
    run_under(old_contract, world, worker)
    request(world)
    report = run_under(old_contract, world, worker)
    assert (report.redriven, report.changed) == (0, 0)
    assert in_quarantine(world) == {"waiting": [1, 2, 3, 4]}
    assert state_of(world).counts.quarantined == 4

    request(world)
    run_under(MERCHANTS, world, worker)
    # Silver is made anew under the contract that refuses them: they are nowhere else now, so they wait again.
    world.drop_table()
    assert run_under(old_contract, world, worker).rejected == 4
    assert in_quarantine(world) == {"waiting": [1, 2, 3, 4]}
    assert world.rows("bronze_offset") == [(0,), (5,)]

    request(world)
    assert run_under(MERCHANTS, world, worker).redriven == 3
    assert_landed_once(world)


def test_more_than_one_snapshot_takes_is_taken_in_by_several(
    world: World, old_contract: Domain, worker: ProcessPoolExecutor
) -> None:
    run_under(old_contract, world, worker)
    request(world)
    version = state_of(world).silver_version
    report = worker.submit(run_silver_record_by_record, MERCHANTS, world.settings).result(RUN_SECONDS)
    assert report.redriven == 3
    assert state_of(world).silver_version == version + 3
    assert_landed_once(world)


def test_transactions_land_once_and_the_books_balance(settings: Settings, tmp_path: Path) -> None:
    begin_anew(settings, TRANSACTIONS)
    values = [transaction(number, amount=10 ** (number % 6)) for number in range(600)]
    produce(settings, TRANSACTIONS.topic, [*values, b"garbage", *values[:60]], [0])
    drain(TRANSACTIONS, settings)
    old_contract = stricter(TRANSACTIONS, tmp_path, allow_amounts_up_to_1000)
    judge_all(settings, old_contract)
    assert_balanced(settings, TRANSACTIONS)

    code, report = redrive(settings, tmp_path, "--domain", "transactions", "--reason", "out_of_range")
    assert (code, report["landed"], report["duplicates"]) == (0, {"transactions": 220}, 20)
    with connect(settings.warehouse_dsn) as conn:
        every = conn.execute("SELECT txn_id FROM transactions ORDER BY 1").fetchall()
    assert every == [(f"T{number:07}",) for number in range(600)]
    code, output, _ = run_quarantine(settings, tmp_path, "list", "--json", "--domain", "transactions")
    assert (code, json.loads(output)["records"]) == (0, 1)
    assert_balanced(settings, TRANSACTIONS)


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with whole_stack() as stack:
        yield stack


def stack_environment(stack: Stack) -> dict[str, str]:
    """What a Spark job of the stack finds in its environment."""
    secrets = load_secrets(stack.layout)
    return clients.store_environment(stack.layout, secrets) | program_environment(stack.layout, find_java())


@pytest.mark.long
def test_the_command_wakes_silver_in_airflow_and_waits_until_gold_can_have_it(stack: Stack, tmp_path: Path) -> None:
    settings = stack.settings
    stack.paylake("airflow", "dags", "pause", "silver_merchants")
    produce(settings, MERCHANTS.topic, [merchant(1, 5, city="Faro"), merchant(2, 5)])
    drain(MERCHANTS, settings)
    world = World(settings, MERCHANTS, tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in stack_environment(stack).items():
            patch.setenv(name, value)
        with worker_process() as worker:
            run_under(stricter(MERCHANTS, tmp_path, require_city), world, worker)
    paused = stack.paylake("quarantine", "redrive", "--yes")
    assert paused.returncode == 1
    assert "silver_merchants is paused" in paused.stderr

    stack.paylake("airflow", "dags", "unpause", "silver_merchants")
    done = stack.paylake("quarantine", "redrive", "--yes", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    with connect(settings.warehouse_dsn) as conn:
        query = "SELECT merchant_id FROM merchants ORDER BY 1"
        wait_until(lambda: conn.execute(query).fetchall() == [("M0001",), ("M0002",)], "both in gold", 240)
    newest = stack.airflow.asset_events(f"silver/{MERCHANTS.silver_folder}")[-1]["extra"]
    assert (newest["redriven"], newest["reasons"]) == (1, {})
    assert_balanced(settings, MERCHANTS)
