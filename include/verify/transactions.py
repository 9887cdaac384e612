"""The verification of transactions: each one in bronze has its verdict, or another place, and only one.

Silver holds each that has a verdict or is a duplicate, as far as it has read.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import ExitStack

import numpy as np
import psycopg
import pyarrow as pa
from psycopg import IsolationLevel

from include.fraud.ledger import reached
from include.lake.bronze_log import ObjectContent
from include.lake.catalog import ForeignSnapshotError, SilverState, changed_rows
from include.lake.positions import Positions
from include.postgres import connect
from include.quality import Tombstone, Valid, classify
from include.sql import load_sql
from include.verify.domain import DomainCheck
from include.verify.offsets import NONE, Offsets, Partition, below, distinct, missing_from
from include.verify.places import (
    COORDINATES,
    DUPLICATE,
    FRAUD,
    GENUINE,
    QUARANTINE,
    Piece,
    Placed,
    Places,
    selected,
    silver_pieces,
)
from include.verify.report import DomainReport, Finding
from include.verify.silver import records_at, without_place

_ADDED = "in silver, without a verdict"
_CLAIMS = {
    "two_verdicts": "both in FraudTransaction and in GenuineTransaction",
    "verdict_without_claim": "with a verdict of which ops.transaction_seen says otherwise",
    "claim_without_verdict": "in ops.transaction_seen, but without a verdict",
    "duplicate_of_nothing": "a duplicate, but there is no original",
}


class TransactionsCheck(DomainCheck):
    """The verification of the fraud split, and of the silver that follows it."""

    _state: SilverState | None = None

    def caught_up(self) -> bool:
        """Whether bronze, and then the stream, have got to the fixed end."""
        ends = self.bronze.end_positions()
        if not self.bronze_caught_up(ends):
            return False
        with connect(self.settings.warehouse_dsn, "paylake verify") as conn:
            position = reached(conn).positions
        return not any(
            self._waits(topic_id, partition, position.get(topic_id, {}).get(partition, 0), end)
            for topic_id, partitions in ends.items()
            for partition, end in partitions.items()
        )

    def moved(self) -> bool:
        """Whether silver was published anew, or bronze may have got late records of a topic that is no more."""
        live = self.topic.topic_id if self.topic else None
        return self.silver_moved(self._state) or any(
            one.check == "stream_behind" and one.topic_id != live for one in self.report.findings
        )

    def _check(self, stack: ExitStack) -> DomainReport:
        self.report = DomainReport(self.domain.name, judged=True)
        silver = self._read_silver()
        with connect(self.settings.warehouse_dsn, "paylake verify") as conn:
            conn.isolation_level = IsolationLevel.REPEATABLE_READ
            with conn.transaction():
                # The planner takes each offset for a group of its own, and would sort them all.
                conn.execute("SET LOCAL enable_sort = off")
                # This statement fixes what the transaction sees, so what has a place is in bronze by now.
                position = reached(conn).positions
                stores = stack.enter_context(self.reading())
                places = Places(selected(conn, load_sql("verify/transactions"), domain=self.domain.name))
                run = self._state.run if self._state else None
                unsettled = Places(selected(conn, load_sql("verify/unsettled"), domain=self.domain.name, run=run))
                self._check_claims(conn)
        absent: dict[Partition, Offsets] = {}
        missed: dict[Partition, list[int]] = defaultdict(list)
        deletes: dict[Partition, list[int]] = defaultdict(list)

        def look(partition: Partition, placed: Placed, content: ObjectContent) -> None:
            end = min(_read(position, partition), self.fixed_end(partition))
            for record in without_place(partition, placed, content, end):
                if isinstance(classify(self.domain, record), Tombstone):
                    deletes[partition].append(record.offset)
            if partition not in absent:
                absent[partition] = self._absent(partition, placed, silver, unsettled)
            if absent[partition].size:
                # A contract of today that refuses what has its verdict keeps it out of silver.
                for record in records_at(partition, content, absent[partition]):
                    if isinstance(classify(self.domain, record), Valid):
                        missed[partition].append(record.offset)

        for books, read, placed in self.check_bronze(stores, places, self.fixed_end, position, look):
            partition = (books.topic_id, books.partition)
            books.fraud = placed.count(FRAUD)
            books.valid = books.fraud + placed.count(GENUINE)
            books.duplicates, books.quarantined = placed.count(DUPLICATE), placed.count(QUARANTINE)
            records = below(read.offsets, self.fixed_end(partition))
            books.tombstones += len(deletes[partition])
            unplaced = missing_from(missing_from(records, placed.offsets), read.nulls)
            unplaced = missing_from(unplaced, np.array(deletes[partition], np.int64))
            judged = _read(position, partition)
            self.find("nowhere", partition, below(unplaced, judged), "in bronze but nowhere else")
            self.find("stream_behind", partition, unplaced[unplaced >= judged], "without a verdict yet")
            rows = silver.of(partition)
            self.find("silver_double", partition, rows.doubled(), "more than one row in silver")
            self.find("silver_adds", partition, missing_from(rows.distinct(), _taken(places.of(partition))), _ADDED)
            self.find("silver_misses", partition, np.array(missed[partition], np.int64), "without a row in silver")
        return self.report

    def _absent(self, partition: Partition, placed: Placed, silver: Places, unsettled: Places) -> Offsets:
        """The records that silver has passed, that have a verdict or are duplicates, and of which it has no row.

        None of them where silver has read records under another contract, too, which may have refused them.
        """
        if self._state is None or set(self._state.contract_versions) != {self.domain.contract.version}:
            return NONE
        passed = below(_taken(placed), _read(self._state.position, partition))
        without = missing_from(passed, silver.of(partition).offsets)
        return missing_from(without, unsettled.of(partition).offsets)

    def _read_silver(self) -> Places:
        """Take silver's newest state, and return which records its rows are."""
        self._state = None
        try:
            self._state, reader = changed_rows(self.settings, self.domain, 0, COORDINATES)
        except LookupError:
            return Places([])
        except ForeignSnapshotError as error:
            self.find_ids("silver_foreign", [self.domain.silver_folder], str(error))
            return Places([])
        found: list[Piece] = []
        rows = 0
        for batch in reader:
            found += silver_pieces(pa.Table.from_batches([batch]))
            rows += batch.num_rows
        self.report.silver = rows
        if rows != self._state.rows:
            stated = f"its snapshot states {self._state.rows} rows, its files hold {rows}"
            self.find_ids("silver_rows", [self.domain.silver_folder], stated)
        return Places(found)

    def _waits(self, topic_id: str, partition: int, start: int, end: int) -> bool:
        """Whether bronze has a record before the fixed end that the stream has not read."""
        end = min(end, self.fixed_end((topic_id, partition)))
        return start < end and any(True for _ in self.bronze.read(topic_id, partition, start, end))

    def _check_claims(self, conn: psycopg.Connection) -> None:
        wrong: dict[str, list[str]] = defaultdict(list)
        if conn.execute(load_sql("verify/claims_agree")).fetchone() != (True,):
            for check, txn_id in conn.execute(load_sql("verify/claims")):
                wrong[check].append(txn_id)
            if not wrong:
                what = f"{self.domain.name}: a row of the verdicts or of ops.transaction_seen is there twice"
                self.report.findings.append(Finding("claims_differ", self.domain.name, what, 1))
        for (txn_id,) in conn.execute(load_sql("verify/duplicates")):
            wrong["duplicate_of_nothing"].append(txn_id)
        for check, ids in wrong.items():
            self.find_ids(check, ids, _CLAIMS[check])
        ((self.report.conflicts, self.report.redriven),) = conn.execute(
            load_sql("verify/counts"), {"domain": self.domain.name}
        ).fetchall()


def _read(position: Positions, partition: Partition) -> int:
    """Up to where a partition was read."""
    topic_id, number = partition
    return position.get(topic_id, {}).get(number, 0)


def _taken(placed: Placed) -> Offsets:
    """The records that have a verdict, or are duplicates of one that has."""
    return distinct(placed.offsets[placed.places != QUARANTINE])
