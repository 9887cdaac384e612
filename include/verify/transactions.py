"""The verification of transactions: each one in bronze has its verdict, or another place, and only one."""

from __future__ import annotations

from collections import defaultdict
from contextlib import ExitStack

import numpy as np
import psycopg
from psycopg import IsolationLevel

from include.fraud.ledger import reached
from include.lake.bronze_log import ObjectContent
from include.lake.positions import Positions
from include.postgres import connect
from include.quality import Tombstone, classify
from include.sql import load_sql
from include.verify.domain import DomainCheck
from include.verify.offsets import Partition, below, missing_from
from include.verify.places import DUPLICATE, FRAUD, GENUINE, QUARANTINE, Placed, Places, selected
from include.verify.reference import without_place
from include.verify.report import DomainReport, Finding

_CLAIMS = {
    "two_verdicts": "both in FraudTransaction and in GenuineTransaction",
    "verdict_without_claim": "with a verdict of which ops.transaction_seen says otherwise",
    "claim_without_verdict": "in ops.transaction_seen, but without a verdict",
    "duplicate_of_nothing": "a duplicate, but there is no original",
}


class TransactionsCheck(DomainCheck):
    """The verification of the fraud split."""

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
        """Whether there are late records of a topic that is no more: bronze may have got them during the check."""
        live = self.topic.topic_id if self.topic else None
        return any(one.check == "stream_behind" and one.topic_id != live for one in self.report.findings)

    def _check(self, stack: ExitStack) -> DomainReport:
        self.report = DomainReport(self.domain.name)
        with connect(self.settings.warehouse_dsn, "paylake verify") as conn:
            conn.isolation_level = IsolationLevel.REPEATABLE_READ
            with conn.transaction():
                # The planner takes each offset for a group of its own, and would sort them all.
                conn.execute("SET LOCAL enable_sort = off")
                # This statement fixes what the transaction sees, so what has a place is in bronze by now.
                position = reached(conn).positions
                stores = stack.enter_context(self.reading())
                places = Places(selected(conn, load_sql("verify/transactions"), domain=self.domain.name))
                self._check_claims(conn)
        deletes: dict[Partition, list[int]] = defaultdict(list)

        def look(partition: Partition, placed: Placed, content: ObjectContent) -> None:
            end = min(_judged(position, partition), self.fixed_end(partition))
            for record in without_place(partition, placed, content, end):
                if isinstance(classify(self.domain, record), Tombstone):
                    deletes[partition].append(record.offset)

        for books, read, placed in self.check_bronze(stores, places, self.fixed_end, position, look):
            partition = (books.topic_id, books.partition)
            books.fraud = placed.count(FRAUD)
            books.valid = books.fraud + placed.count(GENUINE)
            books.duplicates, books.quarantined = placed.count(DUPLICATE), placed.count(QUARANTINE)
            records = below(read.offsets, self.fixed_end(partition))
            books.tombstones += len(deletes[partition])
            unplaced = missing_from(missing_from(records, placed.offsets), read.nulls)
            unplaced = missing_from(unplaced, np.array(deletes[partition], np.int64))
            judged = _judged(position, partition)
            self.find("nowhere", partition, below(unplaced, judged), "in bronze but nowhere else")
            self.find("stream_behind", partition, unplaced[unplaced >= judged], "without a verdict yet")
        return self.report

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


def _judged(position: Positions, partition: Partition) -> int:
    """Up to where the stream has read a partition."""
    topic_id, number = partition
    return position.get(topic_id, {}).get(number, 0)
