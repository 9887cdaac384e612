"""The silver job: bring a reference domain's table up to all that bronze holds.

    spark-submit include/spark/silver.py profiles

A run reads bronze from the position in the table's newest snapshot to bronze's end, classifies every record, stores the
rejected ones in quarantine and commits the newest record of each id together with the new position in one snapshot. So
it may die anywhere and be run again, and running it twice changes nothing. Its last line of output is its report, as
JSON.

However many records are rejected, the good ones land. Where they are too many, an alarm is stored with them
(``include.warehouse.alarms``).

Records of quarantine that somebody asked to drive through again are classified with the new ones. A record that waits
in quarantine and keeps its contract in this run is merged like any other and marked as done there;
``include.quarantine.landing`` says how that happens exactly once.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import psycopg
import pyarrow as pa
from pyspark.sql import DataFrame, Row, SparkSession, Window
from pyspark.sql import functions as F  # noqa: N812
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StructType

from include.domains import REFERENCE_DOMAINS, Domain
from include.lake.bronze_log import BronzeLog
from include.lake.catalog import SilverState, silver_state
from include.lake.positions import Positions, plain_positions
from include.lake.records import BronzeRecord
from include.lake.s3 import s3_client
from include.lake.silver_files import remove_stray_files, stray_files
from include.quality.isolate import isolate, lies_in_records, try_twice, unprocessable
from include.quality.limit import RejectedLimit
from include.quarantine import landing
from include.settings import Settings
from include.spark.bronze_source import SCHEMA, OffsetRange, bounds, halved, offset_ranges, read_bronze, readable
from include.spark.classified import OUTCOME, REJECTED, TOMBSTONE, VALID, classified, classified_schema, rejected_row
from include.spark.session import spark_session
from include.spark.silver_schema import COORDINATES, VERSION_COLUMN, table_schema
from include.spark.silver_table import Book, SilverTable
from include.warehouse import alarms
from include.warehouse.connect import connect
from include.warehouse.quarantine import Coordinates, QuarantineRow, Span, lock_waiting, store

log = logging.getLogger("paylake.silver")

LOCK_SECONDS = 1800
"""How long a run waits for another one of its domain."""

SNAPSHOT_BYTES = 128 * 1024 * 1024
"""So many bytes of bronze's objects one snapshot takes in: Spark holds the rejected ones whole."""

REPLACES = "_replaces"
PLACE = tuple(column.name for column in COORDINATES[:3])
"""The columns that say which record a row is."""


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


@dataclass(frozen=True, slots=True)
class Tally:
    """Records of bronze by what became of them."""

    valid: int
    rejected: int
    tombstones: int

    @property
    def records(self) -> int:
        """All of them."""
        return self.valid + self.rejected + self.tombstones


@dataclass(frozen=True, slots=True)
class Done:
    """What one snapshot took in: records of bronze, records that left quarantine, and the rows that changed by both."""

    tally: Tally
    redriven: int
    changed: int


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
        end = position | bronze.end_positions()
        done: list[Done] = []
        if end != position or landing.in_hand(lock, domain.name) or stray_files(settings, domain):
            spark = spark_session(f"silver {domain.name}", settings)
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


@contextmanager
def domain_lock(settings: Settings, domain: Domain) -> Iterator[psycopg.Connection]:
    """Hold the domain's lock; the connection that holds it fails once the lock is lost."""
    with connect(settings.warehouse_dsn, f"paylake silver {domain.name}") as connection:
        connection.execute("SELECT set_config('lock_timeout', %s, false)", [f"{LOCK_SECONDS}s"])
        connection.execute("SELECT pg_advisory_lock(hashtext('paylake.silver'), hashtext(%s))", [domain.name])
        yield connection


class Intake:
    """Takes bronze into silver, snapshot by snapshot; a record that makes a snapshot fail is refused alone."""

    def __init__(
        self,
        spark: SparkSession,
        domain: Domain,
        settings: Settings,
        lock: psycopg.Connection,
        bronze: BronzeLog,
        limit: RejectedLimit,
    ) -> None:
        self._spark = spark
        self._domain = domain
        self._settings = settings
        self._lock = lock
        self._bronze = bronze
        self._limit = limit
        self._generations = bronze.generations()

    def up_to(self, position: Positions, end: Positions) -> list[Done]:
        """Take in what lies between ``position``, where silver is, and ``end``, and all that is asked of quarantine."""
        done: list[Done] = []
        while True:
            stop = next_stop(self._bronze, position, end)
            done += self._take_in(position, stop)
            position = stop
            # More may have been asked for than one snapshot takes, or something since.
            if position == end and not landing.in_hand(self._lock, self._domain.name):
                return done

    def _take_in(self, position: Positions, stop: Positions) -> list[Done]:
        try:
            return [try_twice(lambda: self._snapshot(stop), f"a snapshot of {self._domain.name}")]
        except Exception as error:
            if not lies_in_records(error):
                raise
        # What was asked of quarantine may be what cannot be processed; it stays there.
        asked = landing.requested(self._lock, self._domain.name)
        landing.refuse(self._lock, map(Coordinates.of, asked))
        ranges: Sequence[OffsetRange] = offset_ranges(position, stop)
        if not ranges:
            return [self._snapshot(stop)]
        struck = self._struck(ranges)
        return isolate(
            ranges,
            lambda part: self._snapshot(bounds(part)[1], struck),
            halved,
            lambda part, error: self._snapshot(bounds(part)[1], {**struck, part[0]: error}),
        )

    def _struck(self, ranges: Sequence[OffsetRange]) -> dict[OffsetRange, Exception]:
        """Records that cannot be read and classified, as ranges of one offset: to find them takes no snapshots."""

        def take(part: Sequence[OffsetRange]) -> dict[OffsetRange, Exception]:
            records = classified(self._domain, read_bronze(self._spark, self._domain, *bounds(part)), self._generations)
            records.write.format("noop").mode("overwrite").save()
            return {}

        found = isolate(ranges, take, halved, lambda part, error: {part[0]: error})
        return {place: error for part in found for place, error in part.items()}

    def _snapshot(self, end: Positions, struck: Mapping[OffsetRange, Exception] | None = None) -> Done:
        job = SilverJob(self._spark, self._domain, self._settings, self._lock, self._bronze)
        try:
            return job.run(end, self._generations, self._limit, struck or {})
        finally:
            self._spark.catalog.clearCache()


def next_stop(bronze: BronzeLog, position: Positions, end: Positions) -> Positions:
    """How far the next snapshot goes: whole objects up to `SNAPSHOT_BYTES`, but at least one of each partition."""
    ranges = offset_ranges(position, end)
    stop = {topic_id: dict(partitions) for topic_id, partitions in position.items()}
    for one in ranges:
        start = bronze.aligned(one.topic_id, one.partition, one.start)
        reached = bronze.step(one.topic_id, one.partition, start, one.end, SNAPSHOT_BYTES // len(ranges))
        stop.setdefault(one.topic_id, {})[one.partition] = reached
    return stop if offset_ranges(stop, end) else end


class SilverJob:
    """One snapshot's work in Spark, under the domain's lock."""

    def __init__(
        self, spark: SparkSession, domain: Domain, settings: Settings, lock: psycopg.Connection, bronze: BronzeLog
    ) -> None:
        self._spark = spark
        self._domain = domain
        self._settings = settings
        self._lock = lock
        self._log = bronze
        self._table = SilverTable(spark, domain, settings)

    def take_over(self) -> SilverState:
        """Settle what earlier runs have left, make the table if there is none, and return where silver is.

        Of a run that died (or lost the lock and is asleep) the branch goes first. Then it is certain whether that run
        has published or never will.
        """
        if landing.in_hand(self._lock, self._domain.name):
            self._table.drop_branches()
        state = silver_state(self._settings, self._domain)
        landing.land(self._lock, self._domain.name, state.run if state else None)
        forgotten = landing.forget(self._lock, self._domain.name)
        if forgotten:
            log.warning("%s: an earlier run died with %d records from quarantine", self._domain.name, forgotten)
        return state or self._create_table()

    def run(
        self,
        end: Positions,
        generations: list[str],
        limit: RejectedLimit,
        struck: Mapping[OffsetRange, Exception],
    ) -> Done:
        """Take in what lies between silver and ``end``, and what is asked of quarantine.

        ``end`` is where the partitions named in it are to be; the others stay where they are. Of the records that are
        ``struck`` (ranges of one offset) it is known that nothing can be done with them, and why.
        """
        state = self.take_over()
        start = state.position
        end = {topic: {**start.get(topic, {}), **end.get(topic, {})} for topic in {**start, **end}}
        gained = self._table.evolve()
        if gained:
            log.warning("%s: new columns %s", self._domain.name, ", ".join(gained))
        unread = [Span(part.topic_id, part.partition, part.start, part.end - 1) for part in offset_ranges(start, end)]
        waiting = lock_waiting(self._lock, unread)
        asked = landing.requested(self._lock, self._domain.name)
        # What lies beyond the position is read from bronze, and must not come twice.
        again = [one for one in asked if one.offset < start.get(one.topic_id, {}).get(one.partition, 0)]
        returning = set(map(Coordinates.of, again))

        new = read_bronze(self._spark, self._domain, start, end, struck)
        records = classified(self._domain, new, generations)
        lost = {place: error for place, error in struck.items() if _lies_within(place, start, end)}
        if lost:
            records = records.unionByName(self._unprocessable(lost, generations))
        records = records.persist()
        tally = _tally(records)
        rejected = records.where(F.col(OUTCOME) == REJECTED)
        if tally.records:
            self._quarantine(rejected, tally, limit)
        if again:
            records = records.unionByName(classified(self._domain, self._from_quarantine(again), generations)).persist()
        valid = records.where(F.col(OUTCOME) == VALID)
        landed = self._among(valid, waiting | returning)
        returned = len(landed & returning)

        current = self._table.begin(state.snapshot_id)
        version = state.silver_version + (1 if tally.records or returned else 0)
        changes = self._changes(current, valid, version).persist()
        added, replaced = _count(changes)
        book = Book(
            position=end,
            version=version,
            valid=state.counts.valid + state.counts.duplicates + tally.valid + returned,
            quarantined=state.counts.quarantined + tally.rejected - returned,
            tombstones=state.counts.tombstones + tally.tombstones,
            contract_versions=_with(state.contract_versions, self._domain.contract.version),
            redriven=state.counts.redriven + len(landed),
        )
        self._table.write(current, changes.drop(REPLACES), book, added=added, replaced=replaced, files=state.files)
        # Raises if the connection, and with it the lock, is gone.
        landing.enter(self._lock, self._table.branch, landed, set(map(Coordinates.of, asked)) - landed)
        self._table.publish(state.snapshot_id)
        landing.land(self._lock, self._domain.name, self._table.branch)
        self._tidy()
        return Done(tally, len(landed), added + replaced)

    def _create_table(self) -> SilverState:
        self._table.create(Book({}, 0, 0, 0, 0, (self._domain.contract.version,)))
        state = silver_state(self._settings, self._domain)
        if state is None:
            raise RuntimeError(f"the table of {self._domain.name} was dropped while it was made")
        return state

    def _unprocessable(self, struck: Mapping[OffsetRange, Exception], generations: list[str]) -> DataFrame:
        """These records as classified ones, each rejected because of its error."""
        rows = [
            rejected_row(record, generations.index(record.topic_id), [unprocessable(error)])
            for place, error in struck.items()
            for record in readable(self._log, place)
        ]
        schema = classified_schema(self._domain)
        return self._spark.createDataFrame(pa.Table.from_pylist(rows, to_arrow_schema(schema)), schema)

    def _from_quarantine(self, records: Sequence[BronzeRecord]) -> DataFrame:
        """The records as the data source ``bronze`` has them."""
        columns = {
            "topic_id": [record.topic_id for record in records],
            "partition": [record.partition for record in records],
            "offset": [record.offset for record in records],
            "timestamp_ms": [record.timestamp_ms for record in records],
            "taken_ms": [record.taken_ms for record in records],
            "value": [record.value for record in records],
        }
        return self._spark.createDataFrame(pa.table(columns, schema=to_arrow_schema(SCHEMA)), SCHEMA)

    def _among(self, valid: DataFrame, candidates: set[Coordinates]) -> set[Coordinates]:
        """Those of the candidates that are among the valid records."""
        if not candidates:
            return set()
        schema = StructType(list(COORDINATES[:3]))
        columns = [list(column) for column in zip(*candidates, strict=True)]
        frame = self._spark.createDataFrame(pa.table(columns, schema=to_arrow_schema(schema)), schema)
        found = valid.join(F.broadcast(frame), list(PLACE), "left_semi").select(*PLACE)
        return {Coordinates(*row) for row in found.collect()}

    def _quarantine(self, rejected: DataFrame, tally: Tally, limit: RejectedLimit) -> None:
        """Store what was rejected, and with it the alarm if it is too much."""
        rows = (_quarantine_row(self._domain, row) for row in rejected.toLocalIterator()) if tally.rejected else ()
        name = self._domain.name
        with connect(self._settings.warehouse_dsn, f"paylake silver {name}") as connection, connection.transaction():
            new = store(connection, rows)
            # Those that quarantine had already were counted when they came.
            alarms.count(connection, name, tally.records - tally.rejected + new, new, limit)
            raised = alarms.open_alarms(connection, name)
        if new:
            log.warning("%s: %d records are new in quarantine", name, new)
        for alarm in raised:
            log.error("%s", alarm)

    def _changes(self, current: DataFrame, valid: DataFrame, version: int) -> DataFrame:
        """The rows to write: the newest record of each id, if the table holds none or an older one."""
        key, columns = self._domain.key, table_schema(self._domain).fieldNames()
        order = self._domain.newest_by
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


def _lies_within(place: OffsetRange, start: Positions, end: Positions) -> bool:
    first, last = (positions.get(place.topic_id, {}).get(place.partition, 0) for positions in (start, end))
    return first <= place.start < last


def _count(changes: DataFrame) -> tuple[int, int]:
    """How many of the changes are new rows, and how many replace one."""
    counts = {row[REPLACES]: row["count"] for row in changes.groupBy(REPLACES).count().collect()}
    return counts.get(False, 0), counts.get(True, 0)


def _with(versions: tuple[str, ...], newest: str) -> tuple[str, ...]:
    """The versions with ``newest`` as the last one."""
    return (*(version for version in versions if version != newest), newest)


def _tally(records: DataFrame) -> Tally:
    counts = {row[OUTCOME]: row["count"] for row in records.groupBy(OUTCOME).count().collect()}
    return Tally(counts.get(VALID, 0), counts.get(REJECTED, 0), counts.get(TOMBSTONE, 0))


def _quarantine_row(domain: Domain, row: Row) -> QuarantineRow:
    return QuarantineRow(
        domain=domain.name,
        topic=domain.topic,
        topic_id=row["bronze_topic_id"],
        partition=row["bronze_partition"],
        offset=row["bronze_offset"],
        timestamp_ms=row["kafka_timestamp_ms"],
        taken_ms=row["bronze_taken_ms"],
        raw=None if row["raw"] is None else bytes(row["raw"]),
        reasons=json.loads(row["reasons"]),
        contract_version=domain.contract.version,
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
