"""The silver job: bring a reference domain's table up to all that bronze holds.

    spark-submit include/spark/silver.py profiles [--along merchants ...]

A run reads bronze from the position in the table's newest snapshot to bronze's end, classifies every record, stores the
rejected ones in quarantine and commits the newest record of each id together with the new position in one snapshot. So
it may die anywhere and be run again, and running it twice changes nothing. Its last line of output is its report, as
JSON.

However many records are rejected, the good ones land. Where they are too many, an alarm is stored with them
(``include.warehouse.alarms``).

Once the session is there, another domain costs little. So a job takes ``along`` what others have waiting, for which
they would start one of their own right after it: one snapshot at most, tried once. What that does not settle, and
every error, is left to the other domain's own run.

Records of quarantine that somebody asked to drive through again are classified with the new ones. A record that waits
in quarantine and keeps its contract in this run is merged like any other and marked as done there;
``include.quarantine.landing`` says how that happens exactly once.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import psycopg
from pyspark.sql import SparkSession

from include.domains import REFERENCE_DOMAINS, Domain
from include.lake.bronze_log import BronzeLog
from include.lake.catalog import silver_state
from include.lake.positions import plain_positions
from include.lake.s3 import s3_client
from include.lake.silver_files import stray_files
from include.quality.limit import RejectedLimit
from include.quarantine import landing
from include.settings import Settings
from include.spark.session import spark_session
from include.spark.silver_intake import Intake
from include.spark.silver_job import Done
from include.warehouse.connect import connect

log = logging.getLogger("paylake.silver")

_LOCK = "SELECT pg_advisory_lock(hashtext('paylake.silver'), hashtext(%s))"
_TRY_LOCK = "SELECT pg_try_advisory_lock(hashtext('paylake.silver'), hashtext(%s))"
LOCK_SECONDS = 1800
"""How long a run waits for another one of its domain."""
ALONG_SECONDS = 60
"""A run that took so long takes no other domain along."""


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


def run(domain: Domain, settings: Settings, limit: RejectedLimit) -> SilverReport:
    """Bring silver up to bronze's end and to what was asked of quarantine; one run per domain at a time, others wait.

    More rejected records than ``limit`` allows raise an alarm. Spark is not started when there is nothing to do.

    Raises:
        ConflictError: another run published in between, though this one held the lock once; nothing was published.
        psycopg.errors.LockNotAvailable: another run of the domain did not end in half an hour.
    """
    started = time.monotonic()
    with domain_lock(settings, domain) as lock:
        bronze = BronzeLog(s3_client(settings), domain)
        state = silver_state(settings, domain)
        position = state.position if state else {}
        end = position | bronze.end_positions(position)
        done: list[Done] = []
        if end != position or landing.in_hand(lock, domain.name) or stray_files(settings, domain):
            spark = spark_session(f"silver {domain.name}", settings, source=False)
            done = Intake(spark, domain, settings, lock, bronze, limit).up_to(position, end)
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


def take_along(domain: Domain, settings: Settings, limit: RejectedLimit) -> Done | None:
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
        end = position | bronze.end_positions(position)
        if end == position:
            return None
        spark = spark_session(f"silver {domain.name}", settings, source=False)
        return Intake(spark, domain, settings, lock, bronze, limit).once(position, end)


@contextmanager
def domain_lock(settings: Settings, domain: Domain) -> Iterator[psycopg.Connection]:
    """Hold the domain's lock; the connection that holds it fails once the lock is lost."""
    with connect(settings.warehouse_dsn, f"paylake silver {domain.name}") as connection:
        connection.execute("SELECT set_config('lock_timeout', %s, false)", [f"{LOCK_SECONDS}s"])
        connection.execute(_LOCK, [domain.name])
        yield connection


def main(arguments: Iterable[str] | None = None) -> None:
    """The job's command line."""
    parser = argparse.ArgumentParser(description="Bring silver up to all that bronze holds.")
    parser.add_argument("domain", choices=sorted(REFERENCE_DOMAINS))
    parser.add_argument(
        "--along", nargs="*", default=[], choices=sorted(REFERENCE_DOMAINS), help="others, if Spark was started"
    )
    chosen = parser.parse_args(None if arguments is None else list(arguments))
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s")
    log.setLevel(logging.INFO)
    settings, limit = Settings.from_environment(), RejectedLimit.from_environment()
    report = run(REFERENCE_DOMAINS[chosen.domain], settings, limit)
    # Whoever waits for this domain waits for the others, too: not after a run that was long already.
    for name in chosen.along if SparkSession.getActiveSession() and report.seconds < ALONG_SECONDS else []:
        try:
            done = take_along(REFERENCE_DOMAINS[name], settings, limit)
        except Exception:
            # Not lost: what is published is whole, and the domain's own run finds what is left, and the error.
            log.exception("%s: left to its own run", name)
        else:
            log.info("%s: taken along: %s", name, done)
    print(json.dumps(asdict(report)), flush=True)


if __name__ == "__main__":
    main()
