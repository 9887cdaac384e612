"""One run of a domain's silver: what it takes in, under the domain's lock, and the report of it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from pyspark.sql import SparkSession

from include.domains import Domain, Kind
from include.fraud.ledger import decided
from include.lake.bronze_log import BronzeLog
from include.lake.catalog import silver_state
from include.lake.positions import plain_positions
from include.lake.s3 import s3_client
from include.lake.silver_files import stray_files
from include.postgres import connect
from include.quality.limit import RejectedLimit
from include.quarantine import landing
from include.settings import Settings
from include.spark.compaction import compact
from include.spark.silver_intake import Intake
from include.spark.silver_job import Done

_LOCK = "SELECT pg_advisory_lock(hashtext('paylake.silver'), hashtext(%s))"
_TRY_LOCK = "SELECT pg_try_advisory_lock(hashtext('paylake.silver'), hashtext(%s))"
LOCK_SECONDS = 1800
"""How long a run waits for another one of its domain."""
SLICE_SECONDS = 300
"""After so long a run of a judged domain leaves the rest to the next one: others wait for the processors."""


@dataclass(frozen=True, slots=True)
class SilverReport:
    """What one run did.

    ``records`` came from bronze and were ``valid``, ``rejected`` or ``tombstones``. ``redriven`` left quarantine;
    ``changed`` rows were added or replaced, ``rows`` are in the table now.
    """

    domain: str
    records: int
    valid: int
    rejected: int
    tombstones: int
    redriven: int
    changed: int
    rows: int
    silver_version: int
    position: dict[str, dict[str, int]]
    seconds: float


def run(domain: Domain, settings: Settings, limit: RejectedLimit, session: Callable[[], SparkSession]) -> SilverReport:
    """Bring silver up to bronze's end and to what was asked of quarantine; one run per domain at a time, others wait.

    More rejected records than ``limit`` allows raise an alarm. ``session`` is asked when there is something to do. Of a
    judged domain the stream refuses records, not silver, and only what it has read is taken in.

    Raises:
        ConflictError: another run published in between, though this one held the lock once; nothing was published.
        psycopg.errors.LockNotAvailable: another run of the domain did not end in half an hour.
    """
    started = time.monotonic()
    with domain_lock(settings, domain) as lock:
        bronze = BronzeLog(s3_client(settings), domain)
        state = silver_state(settings, domain)
        position = state.position if state else {}
        end = decided(lock, bronze, domain, position)
        done: list[Done] = []
        if end != position or landing.in_hand(lock, domain, position) or stray_files(settings, domain):
            seconds = SLICE_SECONDS if domain.judged else math.inf
            done = Intake(session(), domain, settings, lock, bronze, limit).up_to(position, end, started + seconds)
            if domain.kind is Kind.EVENT:
                compact(session(), domain, settings)
            state = silver_state(settings, domain)
    return SilverReport(
        domain=domain.name,
        records=sum(one.tally.records for one in done),
        valid=sum(one.tally.valid for one in done),
        rejected=sum(one.tally.rejected for one in done),
        tombstones=sum(one.tally.tombstones for one in done),
        redriven=sum(one.redriven for one in done),
        changed=sum(one.changed for one in done),
        rows=state.rows if state else 0,
        silver_version=state.silver_version if state else 0,
        position=plain_positions(state.position if state else {}),
        seconds=round(time.monotonic() - started, 3),
    )


def take_along(domain: Domain, settings: Settings, limit: RejectedLimit, spark: SparkSession) -> Done | None:
    """Take in one snapshot of a domain that is behind bronze and that no other run is at; None where there is none.

    Raises:
        Exception: whatever makes it fail; the domain's own run finds the same, and says so.
    """
    with connect(settings.warehouse_dsn, f"paylake silver {domain.name}") as lock:
        if lock.execute(_TRY_LOCK, [domain.name]).fetchone() != (True,):
            return None
        bronze = BronzeLog(s3_client(settings), domain)
        state = silver_state(settings, domain)
        position = state.position if state else {}
        end = decided(lock, bronze, domain, position)
        if end == position:
            return None
        return Intake(spark, domain, settings, lock, bronze, limit).once(position, end)


@contextmanager
def domain_lock(settings: Settings, domain: Domain) -> Iterator[psycopg.Connection]:
    """Hold the domain's lock; the connection that holds it fails once the lock is lost."""
    with connect(settings.warehouse_dsn, f"paylake silver {domain.name}") as connection:
        connection.execute("SELECT set_config('lock_timeout', %s, false)", [f"{LOCK_SECONDS}s"])
        connection.execute(_LOCK, [domain.name])
        yield connection
