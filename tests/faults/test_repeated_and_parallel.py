"""Runs of every layer, repeated and made twice at once by real processes: the tables stay the same to the last byte."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, wait
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from include.domains import DOMAINS, GOLD_DOMAINS, TRANSACTIONS
from include.fraud.lease import StaleLeaseError
from include.postgres import connect
from include.settings import Settings
from tests.support.books import assert_balanced, begin_anew, judge_all
from tests.support.bronze import drain
from tests.support.silver import load_gold, run_silver, worker_process
from tests.support.warehouse import GOLD_TABLES, TRANSACTION_TABLES, checksum
from tests.support.wild import wild_values
from tests.support.world import World

pytestmark = pytest.mark.integration

WHEN_WRITTEN = ("loaded_at", "scored_at", "quarantined_at", "seen_at")
RECORDS = 600


@pytest.fixture(scope="module")
def workers(settings: Settings) -> Iterator[list[ProcessPoolExecutor]]:
    """Two processes, so that two runs can be made at once."""
    with ExitStack() as stack:
        yield [stack.enter_context(worker_process()) for _ in range(2)]


@pytest.fixture
def worlds(settings: Settings, tmp_path: Path) -> dict[str, World]:
    for name, domain in DOMAINS.items():
        begin_anew(settings, domain)
        (tmp_path / name).mkdir()
    return {name: World(settings, domain, tmp_path / name) for name, domain in DOMAINS.items()}


def produce(worlds: dict[str, World], round_: int) -> None:
    """Into one partition each, so that which of two transactions with one id was first does not depend on the runs."""
    for number, world in enumerate(worlds.values()):
        world.produce(*wild_values(world.domain, RECORDS, 200, seed=10 * round_ + number), into_bronze=False)


class Runs:
    """One run of each layer, in its order; each by as many processes at once as there are ``workers``."""

    def __init__(self, settings: Settings, workers: list[ProcessPoolExecutor]) -> None:
        self._settings = settings
        self._workers = workers

    def all_layers(self) -> None:
        for domain in DOMAINS.values():
            self._run(drain, domain, self._settings)
        self._run(judge_all, self._settings)
        for domain in DOMAINS.values():
            reports = self._run(run_silver, domain, self._settings)
            assert sum(report.records > 0 for report in reports) <= 1, "two runs took the same records in"
        for domain in GOLD_DOMAINS.values():
            self._run(load_gold, domain, self._settings)

    def _run(self, work: Callable[..., Any], *arguments: Any) -> list[Any]:
        futures = [worker.submit(work, *arguments) for worker in self._workers]
        wait(futures)
        failures = [error for future in futures if (error := future.exception())]
        # Of two drivers the newer one writes; the other one is told so.
        assert work is judge_all or not failures, failures
        assert all(isinstance(error, StaleLeaseError) for error in failures), failures
        return [future.result() for future in futures if not future.exception()]


def contents(worlds: dict[str, World], without: tuple[str, ...] = ()) -> dict[str, Any]:
    """All gold tables, quarantine and what the fraud stream remembers, as checksums; silver as rows."""
    settings = worlds[TRANSACTIONS.name].settings
    with connect(settings.warehouse_dsn) as conn:
        found: dict[str, Any] = {table: checksum(conn, table, without) for table in {*GOLD_TABLES, *TRANSACTION_TABLES}}
    return found | {f"silver {name}": worlds[name].rows() for name in DOMAINS}


def test_runs_twice_at_once_and_runs_repeated_make_the_tables_of_runs_made_once(
    settings: Settings, worlds: dict[str, World], workers: list[ProcessPoolExecutor]
) -> None:
    twice_at_once, once = Runs(settings, workers), Runs(settings, workers[:1])
    for round_ in range(2):
        produce(worlds, round_)
        twice_at_once.all_layers()
    made_by_two = contents(worlds)
    assert all(len(rows) > 100 for name, rows in made_by_two.items() if name.startswith("silver"))
    assert_balanced(settings)

    once.all_layers()
    twice_at_once.all_layers()
    assert contents(worlds) == made_by_two, "a run without news has written something"

    with connect(settings.warehouse_dsn) as conn:
        conn.execute("DELETE FROM ops.gold_watermark")
        conn.execute("DELETE FROM ops.stream_batch")
    once.all_layers()
    assert contents(worlds) == made_by_two, "a full load or a stream that began anew has written something"

    before = contents(worlds, WHEN_WRITTEN)
    with connect(settings.warehouse_dsn) as conn:
        for domain in GOLD_DOMAINS.values():
            conn.execute(f"TRUNCATE {domain.table}")
        conn.execute("DELETE FROM ops.gold_watermark")
        conn.execute("DELETE FROM ops.quarantine WHERE domain <> 'transactions'")
    for world in worlds.values():
        world.drop_table()
    once.all_layers()
    assert contents(worlds, WHEN_WRITTEN) == before, "made by one run from all of bronze, the tables are others"
    assert_balanced(settings)
