"""One snapshot's work of a silver run in Spark."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import psycopg
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StructType

from include.checks.result import CheckFailedError
from include.domains import Domain, Kind
from include.lake.bronze_log import BronzeLog
from include.lake.catalog import SilverState, StagedRows, silver_state
from include.lake.coordinates import Coordinates, Span
from include.lake.positions import Positions
from include.lake.records import BronzeRecord
from include.lake.silver_files import remove_stray_files
from include.postgres import connect
from include.quality import Rejected
from include.quality.columns import REJECTED, TOMBSTONE, VALID, outcome_batch, with_outcome
from include.quality.isolate import unprocessable
from include.quality.limit import RejectedLimit
from include.quarantine import alarms, landing
from include.quarantine.rows import QuarantineRow, lock_waiting, store
from include.settings import Settings
from include.spark.bronze_source import SCHEMA, OffsetRange, offset_ranges, readable, without
from include.spark.classified import as_classified, classified, classified_ranges, classified_schema
from include.spark.silver_audit import SilverAudit
from include.spark.silver_schema import COORDINATES, VERSION_COLUMN, table_schema
from include.spark.silver_table import Book, SilverTable

log = logging.getLogger("paylake.silver")

_Rank: TypeAlias = tuple[tuple[bool, Any], ...]
_NONE: _Rank = ()
"""Less than the rank of any row."""
_NAMED_KEYS = 1_000
"""So many keys are named in a query; more are joined, which takes a job of its own."""
_FEW_ROWS = 100_000
"""On so many rows a query runs sooner as it is; with more it is worth compiling."""
_ROWS_AT_ONCE = 100
"""So many rejected records are made Python objects at once: each may be a megabyte."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Records of bronze by what became of them.

    Of a judged domain ``rejected`` are also those that waited in quarantine, whatever they are today.
    """

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
        self._audit = SilverAudit(settings, domain, lock, self._table.branch)

    def take_over(self) -> SilverState:
        """Settle what earlier runs have left, make the table if there is none, and return where silver is.

        Of a run that died (or lost the lock and is asleep) the branch goes first. Then it is certain whether that run
        has published or never will.
        """
        state = silver_state(self._settings, self._domain)
        if landing.in_hand(self._lock, self._domain, state.position if state else {}):
            self._table.drop_branches()
            state = silver_state(self._settings, self._domain)
        landing.land(self._lock, self._domain, state.run if state else None)
        forgotten = landing.forget(self._lock, self._domain)
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

        Raises:
            CheckFailedError: a check that blocks fails; nothing was published.
            ConflictError: another run has published meanwhile; nothing was.
        """
        state = self.take_over()
        self._compile_queries(state.rows > _FEW_ROWS)
        start = state.position
        end = {topic: {**start.get(topic, {}), **end.get(topic, {})} for topic in {**start, **end}}
        ranges = offset_ranges(start, end)
        unread = [Span(part.topic_id, part.partition, part.start, part.end - 1) for part in ranges]
        # Those that wait are left out, where the stream decides; or they may leave quarantine in this run.
        left_out, leaving = self._in_quarantine(unread)
        again = landing.requested(self._lock, self._domain, start)
        returning = {one.coordinates for one in again}

        with ThreadPoolExecutor(1) as pool:
            # The first steps at the table and the start of Spark's workers take a second each.
            reading = pool.submit(self._new, ranges, struck, generations)
            gained = self._table.evolve()
            current = self._table.begin(state.snapshot_id)
            records = reading.result()
        if gained:
            log.warning("%s: new columns %s", self._domain.name, ", ".join(gained))
        valid = _without(with_outcome(records, VALID), left_out)
        tally = _tally(records, len(valid))
        if tally.records and not self._domain.judged:
            self._quarantine(with_outcome(records, REJECTED), tally, limit)
        if again:
            valid = pa.concat_tables([valid, with_outcome(self._again(again, generations), VALID)])
        leaving |= returning
        landed = leaving.intersection(_coordinates(valid)) if leaving else leaving
        returned = len(landed & returning)

        version = state.silver_version + (1 if tally.records or returned else 0)
        changes, replaced = (valid, 0) if self._domain.kind is Kind.EVENT else self._changes(current, valid)
        before = Book.of(state)
        book = Book(
            position=end,
            version=version,
            valid=before.valid + tally.valid + returned,
            quarantined=before.quarantined + tally.rejected - returned,
            tombstones=before.tombstones + tally.tombstones,
            contract_versions=_with(state.contract_versions, self._domain.contract.version),
            redriven=before.redriven + len(landed),
        )
        rows = self._rows(changes, version)
        self._table.write(current, rows, book, changed=len(changes), replaced=replaced, files=state.files)
        staged = self._checked(version, len(changes), state.rows + len(changes) - replaced) if len(changes) else None
        # Raises if the connection, and with it the lock, is gone.
        landing.enter(self._lock, self._domain, self._table.branch, landed, returning - landed)
        self._table.publish(state.snapshot_id)
        landing.land(self._lock, self._domain, self._table.branch)
        self._tidy()
        if staged:
            self._audit.after(staged, state.rows)
        return Done(tally, len(landed), len(changes))

    def _checked(self, version: int, changed: int, total: int) -> StagedRows:
        """What lies on the branch, once no check that blocks has anything against it.

        Otherwise the branch is kept, and nothing else of runs that did not publish: however often they fail, it is one.
        """
        try:
            return self._audit.before(version, changed=changed, total=total)
        except CheckFailedError:
            self._table.tidy(self._table.branch)
            remove_stray_files(self._settings, self._domain, self._table.branch)
            raise

    def _compile_queries(self, worth_it: bool) -> None:
        """Whether Spark makes Java of a query, and compiles that, which takes longer than to run it on few rows."""
        self._spark.conf.set("spark.sql.codegen.wholeStage", worth_it)
        self._spark.conf.set("spark.sql.codegen.factoryMode", "FALLBACK" if worth_it else "NO_CODEGEN")

    def _create_table(self) -> SilverState:
        self._table.create(Book({}, 0, 0, 0, 0, (self._domain.contract.version,)))
        state = silver_state(self._settings, self._domain)
        if state is None:
            raise RuntimeError(f"the table of {self._domain.name} was dropped while it was made")
        return state

    def _in_quarantine(self, unread: Sequence[Span]) -> tuple[set[Coordinates], set[Coordinates]]:
        """Of the records in bronze that are new to silver: those that it leaves out, and those that it may take in."""
        if not self._domain.judged:
            return set(), lock_waiting(self._lock, unread)
        found = landing.unsettled(self._lock, unread)
        have_verdicts = {place for place, has_verdict in found.items() if has_verdict}
        return found.keys() - have_verdicts, have_verdicts

    def _new(
        self, ranges: Sequence[OffsetRange], struck: Mapping[OffsetRange, Exception], generations: list[str]
    ) -> pa.Table:
        """The records in the ranges with what became of them; the ``struck`` among them are rejected."""
        schema = to_arrow_schema(classified_schema(self._domain))
        lost = [place for place in struck if any(_lies_within(place, part) for part in ranges)]
        rejected = outcome_batch(
            self._domain,
            (
                (record, Rejected((unprocessable(struck[place]),)))
                for place in lost
                for record in readable(self._log, place)
            ),
        )
        refused = pa.Table.from_batches([as_classified(self._domain, rejected, generations)])
        rest = without(ranges, lost)
        if not rest:
            return refused
        read = classified_ranges(self._spark, self._domain, rest, generations).toArrow()
        return pa.concat_tables([read.cast(schema), refused])

    def _again(self, records: Sequence[BronzeRecord], generations: list[str]) -> pa.Table:
        """Records from quarantine with what becomes of them now."""
        rows = pa.Table.from_pylist([asdict(record) for record in records], to_arrow_schema(SCHEMA))
        frame = self._spark.createDataFrame(rows, SCHEMA)
        schema = to_arrow_schema(classified_schema(self._domain))
        return classified(self._domain, frame, generations).toArrow().cast(schema)

    def _quarantine(self, rejected: pa.Table, tally: Tally, limit: RejectedLimit) -> None:
        """Store what was rejected, and with it the alarm if it is too much."""
        batches = rejected.to_batches(max_chunksize=_ROWS_AT_ONCE)
        rows = (_quarantine_row(self._domain, row) for batch in batches for row in batch.to_pylist())
        name = self._domain.name
        with connect(self._settings.warehouse_dsn, f"paylake silver {name}") as connection, connection.transaction():
            new = store(connection, rows)
            # Those that quarantine had already were counted when they came.
            alarms.count(connection, name, tally.records - tally.rejected + new, new, limit)
            raised = alarms.open_alarms(connection, name)
        self._audit.refused(tally.records, tally.rejected, limit, alarm=bool(raised))
        if new:
            log.warning("%s: %d records are new in quarantine", name, new)
        for alarm in raised:
            log.error("%s", alarm)

    def _changes(self, current: DataFrame, valid: pa.Table) -> tuple[pa.Table, int]:
        """The rows to write, and how many of them replace one.

        The newest record of each id is written, if the table holds none or an older one.
        """
        key, order = self._domain.key, self._domain.newest_by
        newest: dict[Any, tuple[_Rank, int]] = {}
        for place, (identity, rank) in enumerate(zip(valid[key].to_pylist(), _ranks(valid, order), strict=True)):
            if identity not in newest or newest[identity][0] < rank:
                newest[identity] = rank, place
        if not newest:
            return valid, 0
        found = self._held(current, list(newest)).select(key, *order).toArrow()
        held = dict(zip(found[key].to_pylist(), _ranks(found, order), strict=True))
        places = {identity: place for identity, (rank, place) in newest.items() if rank > held.get(identity, _NONE)}
        return valid.take(pa.array(places.values(), pa.int64())), len(places.keys() & held.keys())

    def _held(self, current: DataFrame, wanted: Sequence[Any]) -> DataFrame:
        """The rows of ``current`` with these keys."""
        key = self._domain.key
        if len(wanted) <= _NAMED_KEYS:
            return current.where(F.col(key).isin(*wanted))
        schema = StructType([table_schema(self._domain)[key]])
        frame = self._frame(pa.table({key: wanted}, to_arrow_schema(schema)), schema)
        return current.join(F.broadcast(frame), key, "left_semi")

    def _rows(self, changes: pa.Table, version: int) -> DataFrame:
        """The changes as rows of the table."""
        schema = table_schema(self._domain)
        versions = pa.repeat(pa.scalar(version, pa.int64()), len(changes))
        rows = changes.append_column(VERSION_COLUMN, versions).select(schema.fieldNames())
        # One file: what one snapshot takes in is not much.
        return self._frame(rows, schema).coalesce(1)

    def _frame(self, table: pa.Table, schema: StructType) -> DataFrame:
        return self._spark.createDataFrame(table, schema)

    def _tidy(self) -> None:
        self._table.tidy()
        removed = remove_stray_files(self._settings, self._domain)
        if removed:
            log.info("%s: removed %d files that no row is in any more", self._domain.name, removed)


def _lies_within(place: OffsetRange, part: OffsetRange) -> bool:
    same = (place.topic_id, place.partition) == (part.topic_id, part.partition)
    return same and part.start <= place.start < part.end


def _coordinates(records: pa.Table) -> list[Coordinates]:
    """Which records they are."""
    columns = (records[column.name].to_pylist() for column in COORDINATES)
    return list(map(Coordinates, *columns))


def _ranks(rows: pa.Table, order: Sequence[str]) -> list[_Rank]:
    """For each row what says which of two is the newer one: the greater, where nothing is less than anything."""
    columns = (rows[column].to_pylist() for column in order)
    return [tuple((value is not None, value) for value in values) for values in zip(*columns, strict=True)]


def _with(versions: tuple[str, ...], newest: str) -> tuple[str, ...]:
    """The versions with ``newest`` as the last one."""
    return (*(version for version in versions if version != newest), newest)


def _without(records: pa.Table, left_out: Set[Coordinates]) -> pa.Table:
    """The records but those."""
    if not left_out:
        return records
    return records.filter(pa.array([one not in left_out for one in _coordinates(records)], pa.bool_()))


def _tally(records: pa.Table, valid: int) -> Tally:
    """What became of them, if so many are taken in."""
    tombstones = len(with_outcome(records, TOMBSTONE))
    return Tally(valid, len(records) - valid - tombstones, tombstones)


def _quarantine_row(domain: Domain, row: Mapping[str, Any]) -> QuarantineRow:
    return QuarantineRow(
        domain=domain.name,
        topic=domain.topic,
        topic_id=row["bronze_topic_id"],
        partition=row["bronze_partition"],
        offset=row["bronze_offset"],
        timestamp_ms=row["kafka_timestamp_ms"],
        taken_ms=row["bronze_taken_ms"],
        raw=row["raw"],
        reasons=json.loads(row["reasons"]),
        contract_version=domain.contract.version,
    )
