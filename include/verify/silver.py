"""The verification of domains without verdicts: each valid record is in silver, as it has to be, and gold is silver."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import IsolationLevel

from include.domains import Domain, Kind
from include.lake.bronze_log import ObjectContent
from include.lake.catalog import ForeignSnapshotError, SilverState, changed_rows, silver_state
from include.lake.objects import CorruptObjectError
from include.lake.records import BronzeRecord
from include.postgres import connect
from include.quality import Tombstone, classify
from include.sql import load_sql
from include.verify.domain import DomainCheck
from include.verify.offsets import Offsets, Partition, contained
from include.verify.places import QUARANTINE, SILVER, Piece, Placed, Places, selected, silver_pieces
from include.verify.report import DomainReport, Finding
from include.verify.superseded import Explanation, Superseded
from include.warehouse.gold import Statements, aligned, stage

_GOLD = {
    "gold_misses": "in silver but not in gold",
    "gold_adds": "in gold but not in silver",
    "gold_differs": "something else in gold than in silver",
}


log = logging.getLogger(__name__)


class Unplaced(Protocol):
    """What explains that records have no place."""

    def take(self, record: BronzeRecord) -> Explanation | None:
        """Why the record has none; None when nothing explains that."""

    def findings(self, silver: pa.Table) -> list[Finding]:
        """Which explanations do not hold, given key, event time and coordinates of each row of silver."""


class SilverCheck(DomainCheck):
    """The verification of a domain of which silver decides what is refused."""

    _state: SilverState | None = None

    @abstractmethod
    def unplaced(self) -> Unplaced:
        """What may explain that a record has no place."""

    @abstractmethod
    def check_ids(self, silver: pa.Table) -> None:
        """Find what is wrong with the ids of silver's rows."""

    def caught_up(self) -> bool:
        """Whether bronze, silver and gold have got to the fixed end."""
        ends = self.bronze.end_positions()
        if not self.bronze_caught_up(ends):
            return False
        state = silver_state(self.settings, self.domain)
        position = state.position if state else {}
        for topic_id, partitions in ends.items():
            for partition, end in partitions.items():
                wanted = min(end, self.fixed_end((topic_id, partition)))
                if position.get(topic_id, {}).get(partition, 0) < wanted:
                    return False
        if state is None or not self.domain.gold:
            return True
        with connect(self.settings.warehouse_dsn, "paylake verify") as conn:
            return self._is_loaded(conn, state)

    def moved(self) -> bool:
        """Whether silver was published anew since its state was read, or gold may have caught up with it."""
        return any(one.check == "gold_behind" for one in self.report.findings) or self.silver_moved(self._state)

    def _check(self, stack: ExitStack) -> DomainReport:
        self.report = DomainReport(self.domain.name, silver=0, gold=0 if self.domain.gold else None)
        batches = self._read_silver()
        # After silver's state: a run stores what it rejects before it publishes.
        with connect(self.settings.warehouse_dsn, "paylake verify") as conn:
            conn.isolation_level = IsolationLevel.REPEATABLE_READ
            with conn.transaction():
                # This statement fixes what the transaction sees, so what has a place is in bronze by now.
                waiting = list(self._quarantine(conn))
                stores = stack.enter_context(self.reading())
                silver = self._compare_gold(conn, batches) if self.domain.gold else self._narrowed(batches)
                ((_, self.report.redriven),) = conn.execute(
                    load_sql("verify/counts"), {"domain": self.domain.name}
                ).fetchall()
        self.report.silver = silver.num_rows
        self.check_ids(silver)
        if self._state is not None and silver.num_rows != self._state.rows:
            stated = f"its snapshot states {self._state.rows} rows, its files hold {silver.num_rows}"
            self.find_ids("silver_rows", [self.domain.silver_folder], stated)
        places = Places([*silver_pieces(silver), *waiting])
        unplaced = self.unplaced()
        unexplained: dict[Partition, list[int]] = defaultdict(list)
        explained: dict[Partition, Counter[Explanation]] = defaultdict(Counter)

        def look(partition: Partition, placed: Placed, content: ObjectContent) -> None:
            end = self._position(partition)
            for record in without_place(partition, placed, content, end):
                explanation = unplaced.take(record)
                if explanation:
                    explained[partition][explanation] += 1
                else:
                    unexplained[partition].append(record.offset)

        for books, read, placed in self.check_bronze(
            stores, places, self._position, self._state.position if self._state else {}, look
        ):
            partition = (books.topic_id, books.partition)
            books.duplicates = explained[partition]["superseded"]
            books.tombstones += explained[partition]["tombstone"]
            books.valid = placed.count(SILVER)
            books.quarantined = placed.count(QUARANTINE)
            nowhere = np.array(unexplained[partition], np.int64)
            self.find("nowhere", partition, nowhere, "in bronze but nowhere else")
            taken = self._position(partition)
            late = read.offsets[(read.offsets >= taken) & (read.offsets < self.fixed_end(partition))]
            self.find("silver_behind", partition, late, "not read by silver yet")
            beyond = places.of(partition)
            ahead = beyond.offsets[(beyond.places == SILVER) & (beyond.offsets >= taken)]
            self.find("silver_ahead", partition, ahead, "in silver, which says that it has not read so far")
        self.report.findings += unplaced.findings(silver)
        return self.report

    def _read_silver(self) -> Iterable[pa.RecordBatch]:
        """Take silver's newest state, and return its rows, which are read when they are drawn."""
        self._state = None
        try:
            if silver_state(self.settings, self.domain) is None:
                return ()
            self._state, reader = changed_rows(self.settings, self.domain, 0)
        except LookupError:  # dropped in this very moment
            return ()
        except ForeignSnapshotError as error:
            self.find_ids("silver_foreign", [self.domain.silver_folder], str(error))
            return ()
        batches: Iterable[pa.RecordBatch] = reader
        return batches

    def _position(self, partition: Partition) -> int:
        """Up to where silver says that it has read."""
        return self._state.position.get(partition[0], {}).get(partition[1], 0) if self._state else 0

    def _quarantine(self, conn: psycopg.Connection) -> Iterator[Piece]:
        run = self._state.run if self._state else None
        return selected(conn, load_sql("verify/quarantine"), domain=self.domain.name, run=run)

    def _is_loaded(self, conn: psycopg.Connection, state: SilverState) -> bool:
        """Whether gold says that it is at this very snapshot of silver."""
        statement = "SELECT silver_snapshot_id FROM ops.gold_watermark WHERE domain = %s"
        row = conn.execute(statement, [self.domain.name]).fetchone()
        # A table that was just made is not loaded: gold stays readable until there are rows.
        return state.silver_version == 0 or (row is not None and row[0] == state.snapshot_id)

    def _compare_gold(self, conn: psycopg.Connection, batches: Iterable[pa.RecordBatch]) -> pa.Table:
        """Compare gold with silver, and return of each row of silver its key, event time and coordinates."""
        narrow: list[pa.RecordBatch] = []

        def noted() -> Iterator[pa.RecordBatch]:
            for batch in batches:
                narrow.append(_narrow(self.domain, batch))
                yield batch

        statements = Statements(self.domain, mirror=False)
        stage(conn, statements, noted())
        if self.domain.kind is Kind.EVENT:
            conn.execute(statements.keep_newest())
        wrong: dict[str, list[str]] = defaultdict(list)
        if self._state is None or self._is_loaded(conn, self._state):
            for check, key in conn.execute(statements.compare()):
                wrong[check].append(key)
        else:
            self.find_ids("gold_behind", [self.domain.table], "not at silver's newest snapshot yet")
        for check, ids in wrong.items():
            self.find_ids(check, ids, _GOLD[check])
        ((self.report.gold,),) = conn.execute(statements.count()).fetchall()
        return pa.Table.from_batches(narrow, _wanted(self.domain))

    def _narrowed(self, batches: Iterable[pa.RecordBatch]) -> pa.Table:
        """Of each row of silver its key, event time and coordinates."""
        return pa.Table.from_batches([_narrow(self.domain, batch) for batch in batches], _wanted(self.domain))


class ReferenceCheck(SilverCheck):
    """The verification of a table that shows the newest state."""

    def unplaced(self) -> Unplaced:
        """A record may be superseded by a newer one of its id."""
        return Superseded(self.domain, self._generations(), older_contract=self._older_contract())

    def check_ids(self, silver: pa.Table) -> None:
        """Each is there once."""
        counted = pc.value_counts(silver[self.domain.key].combine_chunks())
        twice = [row["values"] for row in counted.to_pylist() if row["counts"] > 1] if silver.num_rows else []
        self.find_ids("silver_double", sorted(twice), "more than one row in silver")

    def _generations(self) -> dict[str, int]:
        """The topics that have borne the domain's name, numbered in their order."""
        try:
            return {topic_id: number for number, topic_id in enumerate(self.bronze.generations())}
        except CorruptObjectError as error:
            log.warning("%s: the order of its topics is unknown: %s", self.domain.name, error)
            return {}

    def _older_contract(self) -> bool:
        return self._state is not None and set(self._state.contract_versions) != {self.domain.contract.version}


class EventCheck(SilverCheck):
    """The verification of a table that has every record: each valid one is in silver itself."""

    def unplaced(self) -> Unplaced:
        """A record may have told a delete, from within an envelope."""
        return Deletes(self.domain)

    def check_ids(self, silver: pa.Table) -> None:
        """Nothing: an id may be there several times, a record may not, and that is looked at for every domain."""


@dataclass(frozen=True, slots=True)
class Deletes:
    """Deletes that were told in envelopes."""

    domain: Domain

    def take(self, record: BronzeRecord) -> Explanation | None:
        """Whether it is one."""
        return "tombstone" if isinstance(classify(self.domain, record), Tombstone) else None

    def findings(self, silver: pa.Table) -> list[Finding]:
        """None: a delete leaves nothing behind."""
        return []


def without_place(partition: Partition, placed: Placed, content: ObjectContent, end: int) -> Iterator[BronzeRecord]:
    """The records of an object before ``end`` that are neither in a table nor null values."""
    offsets = np.array(content.offsets, np.int64)
    unplaced = offsets[~contained(offsets, placed.offsets) & (offsets < end)]
    return (record for record in records_at(partition, content, unplaced) if record.value is not None)


def records_at(partition: Partition, content: ObjectContent, offsets: Offsets) -> Iterator[BronzeRecord]:
    """The records of an object that have these offsets."""
    for place in np.flatnonzero(contained(np.array(content.offsets, np.int64), offsets)).tolist():
        yield from content.slice(place, place + 1).records(*partition)


def _narrow(domain: Domain, batch: pa.RecordBatch) -> pa.RecordBatch:
    wanted = _wanted(domain)
    return aligned(batch, wanted.names).cast(wanted)


def _wanted(domain: Domain) -> pa.Schema:
    """What is wanted of silver's rows: key, event time and coordinates."""
    return pa.schema(
        [
            (domain.key, pa.string()),
            (domain.event_time, pa.timestamp("us", tz="UTC")),
            ("bronze_topic_id", pa.string()),
            ("bronze_generation", pa.int32()),
            ("bronze_taken_ms", pa.int64()),
            ("bronze_partition", pa.int32()),
            ("bronze_offset", pa.int64()),
        ]
    )
