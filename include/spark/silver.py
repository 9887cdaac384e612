"""The silver job: bring a reference domain's table up to all that bronze holds.

    spark-submit include/spark/silver.py profiles

A run reads bronze from the position in the table's newest snapshot to bronze's end, classifies every record, stores the
rejected ones in quarantine and commits the newest record of each id together with the new position in one snapshot. So
it may die anywhere and be run again, and running it twice changes nothing. Its last line of output is its report, as
JSON.
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
from pyspark.sql import DataFrame, Row, SparkSession, Window
from pyspark.sql import functions as F  # noqa: N812

from include.domains import REFERENCE_DOMAINS, Domain
from include.lake.bronze_log import BronzeLog
from include.lake.catalog import SilverState, silver_state
from include.lake.positions import Positions, plain_positions, positions_to_json
from include.lake.s3 import s3_client
from include.lake.silver_files import remove_stray_files, stray_files
from include.quality.limit import RejectedLimit
from include.settings import Settings
from include.spark.bronze_source import FORMAT
from include.spark.classified import OUTCOME, REJECTED, TOMBSTONE, VALID, classified
from include.spark.session import spark_session
from include.spark.silver_schema import VERSION_COLUMN, table_schema
from include.spark.silver_table import Book, SilverTable
from include.warehouse.connect import connect
from include.warehouse.quarantine import QuarantineRow, store

log = logging.getLogger("paylake.silver")

LOCK_SECONDS = 1800
"""How long a run waits for another one of its domain."""

REPLACES = "_replaces"


@dataclass(frozen=True, slots=True)
class SilverReport:
    """What one run did; ``changed`` rows were added or replaced, ``rows`` are in the table now."""

    domain: str
    records: int
    valid: int
    rejected: int
    tombstones: int
    changed: int
    rows: int
    silver_version: int
    position: dict[str, dict[str, int]]
    seconds: float


@dataclass(frozen=True, slots=True)
class Tally:
    """Records of one run by what became of them."""

    valid: int
    rejected: int
    tombstones: int

    @property
    def records(self) -> int:
        """All of them."""
        return self.valid + self.rejected + self.tombstones


NOTHING = Tally(0, 0, 0)


def run(domain: Domain, settings: Settings, limit: RejectedLimit) -> SilverReport:
    """Bring silver up to bronze's end; one run per domain at a time, others wait.

    Spark is not started when there is nothing to do.

    Raises:
        TooManyRejectedError: more records are rejected than ``limit`` allows; nothing was published.
        ConflictError: another run published in between, though this one held the lock once; nothing was published.
        psycopg.errors.LockNotAvailable: another run of the domain did not end in half an hour.
    """
    started = time.monotonic()
    with domain_lock(settings, domain) as lock:
        bronze = BronzeLog(s3_client(settings), domain)
        state = silver_state(settings, domain)
        position = state.position if state else {}
        end = position | bronze.end_positions()
        if end == position and not stray_files(settings, domain):
            tally, changed = NOTHING, 0
        else:
            spark = spark_session(f"silver {domain.name}", settings)
            job = SilverJob(spark, domain, settings, lock)
            state = state or job.create_table()
            tally, changed = job.run(state, end, bronze.generations(), limit)
            state = silver_state(settings, domain)
    return SilverReport(
        domain=domain.name,
        records=tally.records,
        valid=tally.valid,
        rejected=tally.rejected,
        tombstones=tally.tombstones,
        changed=changed,
        rows=state.rows if state else 0,
        silver_version=state.silver_version if state else 0,
        position=plain_positions(state.position if state else {}),
        seconds=round(time.monotonic() - started, 3),
    )


@contextmanager
def domain_lock(settings: Settings, domain: Domain) -> Iterator[psycopg.Connection]:
    """Hold the domain's lock; the connection that holds it fails once the lock is lost."""
    with connect(settings.warehouse_dsn, f"paylake silver {domain.name}") as connection:
        connection.execute("SELECT set_config('lock_timeout', %s, false)", [f"{LOCK_SECONDS}s"])
        connection.execute("SELECT pg_advisory_lock(hashtext('paylake.silver'), hashtext(%s))", [domain.name])
        yield connection


class SilverJob:
    """One run's work in Spark, under the domain's lock."""

    def __init__(self, spark: SparkSession, domain: Domain, settings: Settings, lock: psycopg.Connection) -> None:
        self._spark = spark
        self._domain = domain
        self._settings = settings
        self._lock = lock
        self._table = SilverTable(spark, domain, settings)

    def create_table(self) -> SilverState:
        """Make the table."""
        self._table.create(Book({}, 0, 0, 0, 0, self._domain.contract.version))
        state = silver_state(self._settings, self._domain)
        if state is None:
            raise RuntimeError(f"the table of {self._domain.name} was dropped while it was made")
        return state

    def run(
        self, state: SilverState, end: Positions, generations: list[str], limit: RejectedLimit
    ) -> tuple[Tally, int]:
        """Take in what lies between the state and ``end``; return what it was and how many rows changed."""
        gained = self._table.evolve()
        if gained:
            log.warning("%s: new columns %s", self._domain.name, ", ".join(gained))
        records = classified(self._domain, self._bronze(state.position, end), generations).persist()
        tally = _tally(records)
        rejected = records.where(F.col(OUTCOME) == REJECTED)
        if tally.rejected:
            limit.check(self._domain.name, tally.records, tally.rejected, lambda: _reasons(rejected))
            self._quarantine(rejected)
        current = self._table.begin(state.snapshot_id)
        version = state.silver_version + (1 if tally.records else 0)
        changes = self._changes(current, records.where(F.col(OUTCOME) == VALID), version).persist()
        added, replaced = _count(changes)
        book = _book(state, tally, end, version, self._domain.contract.version)
        self._table.write(current, changes.drop(REPLACES), book, added=added, replaced=replaced, files=state.files)
        self._lock.execute("SELECT 1")  # raises if the connection, and with it the lock, is gone
        self._table.publish(state.snapshot_id)
        self._tidy()
        return tally, added + replaced

    def _bronze(self, start: Positions, end: Positions) -> DataFrame:
        reader = self._spark.read.format(FORMAT).option("domain", self._domain.name)
        return reader.option("start", positions_to_json(start)).option("end", positions_to_json(end)).load()

    def _quarantine(self, rejected: DataFrame) -> None:
        rows = (_quarantine_row(self._domain, row) for row in rejected.toLocalIterator())
        with connect(self._settings.warehouse_dsn, f"paylake silver {self._domain.name}") as connection:
            new = store(connection, rows)
        log.warning("%s: %d records are new in quarantine", self._domain.name, new)

    def _changes(self, current: DataFrame, valid: DataFrame, version: int) -> DataFrame:
        """The rows to write: the newest record of each id, if the table holds none or an older one."""
        key, columns = self._domain.key, table_schema(self._domain).fieldNames()
        order = (self._domain.event_time, "bronze_generation", "bronze_partition", "bronze_offset")
        newest_first = Window.partitionBy(key).orderBy(*(F.col(column).desc() for column in order))
        newest = (
            valid.withColumn("_place", F.row_number().over(newest_first))
            .where("_place = 1")
            .withColumn(VERSION_COLUMN, F.lit(version).cast("bigint"))
            .select(*columns)
        )
        held = current.select(F.col(key), F.struct(*order).alias("_held"))
        newer = F.col("_held").isNull() | (F.struct(*order) > F.col("_held"))
        replaces = F.col("_held").isNotNull().alias(REPLACES)
        return newest.join(held, key, "left").where(newer).select(*columns, replaces)

    def _tidy(self) -> None:
        self._table.tidy()
        removed = remove_stray_files(self._settings, self._domain)
        if removed:
            log.info("%s: removed %d files that no row is in any more", self._domain.name, removed)


def _count(changes: DataFrame) -> tuple[int, int]:
    """How many of the changes are new rows, and how many replace one."""
    counts = {row[REPLACES]: row["count"] for row in changes.groupBy(REPLACES).count().collect()}
    return counts.get(False, 0), counts.get(True, 0)


def _tally(records: DataFrame) -> Tally:
    counts = {row[OUTCOME]: row["count"] for row in records.groupBy(OUTCOME).count().collect()}
    return Tally(counts.get(VALID, 0), counts.get(REJECTED, 0), counts.get(TOMBSTONE, 0))


def _reasons(rejected: DataFrame) -> dict[str, int]:
    """Rejected records by field and code; one with several reasons counts for each."""
    reasons = F.from_json("reasons", "array<struct<field: string, code: string>>")
    name = F.concat_ws(" ", F.col("reason.field"), F.col("reason.code"))
    found = rejected.select(F.explode(F.array_distinct(reasons)).alias("reason")).groupBy(name.alias("name")).count()
    return {row["name"]: row["count"] for row in found.collect()}


def _quarantine_row(domain: Domain, row: Row) -> QuarantineRow:
    return QuarantineRow(
        domain=domain.name,
        topic=domain.topic,
        topic_id=row["bronze_topic_id"],
        partition=row["bronze_partition"],
        offset=row["bronze_offset"],
        timestamp_ms=row["kafka_timestamp_ms"],
        raw=None if row["raw"] is None else bytes(row["raw"]),
        reasons=json.loads(row["reasons"]),
        contract_version=domain.contract.version,
    )


def _book(state: SilverState, tally: Tally, end: Positions, version: int, contract_version: str) -> Book:
    before = state.counts
    return Book(
        position=end,
        version=version,
        valid=before.valid + before.duplicates + tally.valid,
        quarantined=before.quarantined + tally.rejected,
        tombstones=before.tombstones + tally.tombstones,
        contract_version=contract_version,
    )


def main(arguments: Iterable[str] | None = None) -> None:
    """The job's command line."""
    parser = argparse.ArgumentParser(description="Bring silver up to all that bronze holds.")
    parser.add_argument("domain", choices=sorted(REFERENCE_DOMAINS))
    chosen = parser.parse_args(None if arguments is None else list(arguments))
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s")
    log.setLevel(logging.INFO)
    report = run(REFERENCE_DOMAINS[chosen.domain], Settings.from_environment(), RejectedLimit.from_environment())
    print(json.dumps(asdict(report)), flush=True)


if __name__ == "__main__":
    main()
