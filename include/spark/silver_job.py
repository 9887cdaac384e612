"""One snapshot's work of a silver run in Spark."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psycopg
import pyarrow as pa
from pyspark.sql import DataFrame, Row, SparkSession, Window
from pyspark.sql import functions as F  # noqa: N812
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StructType

from include.domains import Domain
from include.lake.bronze_log import BronzeLog
from include.lake.catalog import SilverState, silver_state
from include.lake.positions import Positions
from include.lake.records import BronzeRecord
from include.lake.silver_files import remove_stray_files
from include.quality.isolate import unprocessable
from include.quality.limit import RejectedLimit
from include.quarantine import landing
from include.settings import Settings
from include.spark.bronze_source import SCHEMA, OffsetRange, offset_ranges, read_bronze, readable
from include.spark.classified import OUTCOME, REJECTED, TOMBSTONE, VALID, classified, classified_schema, rejected_row
from include.spark.silver_schema import COORDINATES, VERSION_COLUMN, table_schema
from include.spark.silver_table import Book, SilverTable
from include.warehouse import alarms
from include.warehouse.connect import connect
from include.warehouse.quarantine import Coordinates, QuarantineRow, Span, lock_waiting, store

log = logging.getLogger("paylake.silver")

REPLACES = "_replaces"
PLACE = tuple(column.name for column in COORDINATES[:3])
"""The columns that say which record a row is."""


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
