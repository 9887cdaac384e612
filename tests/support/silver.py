"""Runs of silver and gold in a process of the tests, also strange ones."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from unittest.mock import patch

from include.domains import Domain
from include.lake.bronze_log import BronzeLog
from include.lake.s3 import s3_client
from include.postgres import connect
from include.quality.limit import RejectedLimit
from include.quarantine import landing
from include.settings import Settings
from include.spark.session import spark_session
from include.spark.silver_job import SilverJob
from include.spark.silver_run import SilverReport, domain_lock, run
from include.spark.silver_table import ConflictError, SilverTable
from include.warehouse import gold
from include.warehouse.gold import GoldReport
from tests.support.world import World


@contextmanager
def worker_process() -> Iterator[ProcessPoolExecutor]:
    """A process that does one thing after the other, `run_silver` say, and keeps its Spark warm in between.

    Not the process of the tests: Spark's workers know the servers from the environment in which the JVM was started,
    and a process has one JVM for all its life.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        yield pool


def run_silver(domain: Domain, settings: Settings, limit: float = 1.0) -> SilverReport:
    """A silver run in this process; with a ``limit`` of 1.0 however many records it rejects."""
    return run(domain, settings, RejectedLimit(limit), lambda: spark_session("silver-test", settings, source=False))


def run_here(world: World, limit: float = 1.0) -> SilverReport:
    """The same for a world's domain."""
    return run_silver(world.domain, world.settings, limit)


def load_gold(domain: Domain, settings: Settings) -> GoldReport:
    """A gold load, under the name that its task gives the session."""
    with connect(settings.warehouse_dsn, "paylake gold") as conn:
        return gold.load(domain, conn, settings)


class FellAsleepError(BaseException):
    """No Exception: it is not a fault, which a run would answer by trying again."""


sleepers: list[tuple[SilverTable, int]] = []


def fall_asleep_before_publishing(domain: Domain, settings: Settings) -> None:
    """A silver run that has written everything, and stops there for a long time."""

    def fall_asleep(table: SilverTable, snapshot_id: int) -> None:
        sleepers.append((table, snapshot_id))
        raise FellAsleepError

    with patch.object(SilverTable, "publish", fall_asleep):
        try:
            run_silver(domain, settings)
        except FellAsleepError:
            return
    raise AssertionError("the run had nothing to publish")


def begin_a_run(domain: Domain, settings: Settings) -> None:
    """A silver run that does no more than settle what others have left."""
    with domain_lock(settings, domain) as lock:
        bronze = BronzeLog(s3_client(settings), domain)
        SilverJob(spark_session("begins", settings), domain, settings, lock, bronze).take_over()


def wake_up() -> bool:
    """Let the run go on that fell asleep in this process; tells whether it published."""
    table, snapshot_id = sleepers.pop()
    try:
        table.publish(snapshot_id)
    except ConflictError:
        return False
    return True


def run_silver_record_by_record(domain: Domain, settings: Settings) -> SilverReport:
    """A silver run that takes one record out of quarantine with each snapshot."""
    with patch.object(landing, "REQUESTED_BYTES", 1):
        return run_silver(domain, settings)
