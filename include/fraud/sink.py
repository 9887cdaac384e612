"""One micro-batch, one database transaction: all of it is in the warehouse, or nothing is.

Promise: whatever is killed when, each record of a batch ends in exactly one place, once. The transaction holds the
lease, so a driver that is not the newest writes nothing; it appends the batch to the ledger, so a batch that Spark
replays after a crash is recognised; and it claims each ``txn_id``, so even the same records under a new checkpoint
change nothing. Losing the connection, also while committing, is therefore answered by doing the batch again.

A batch that fails twice for a reason that lies in its records is settled part by part, so that the record is found and
goes to quarantine, and all others get their verdict.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from threading import Event
from typing import Any, TypeAlias

import psycopg
import pyarrow as pa
from psycopg.pq import TransactionStatus
from tenacity import (
    Retrying,
    retry_if_exception_type,
    sleep_using_event,
    stop_before_delay,
    stop_when_event_set,
    wait_exponential,
)

from include.fraud import ledger
from include.fraud.lease import APPLICATION_NAME, Lease, hold
from include.fraud.ledger import Counts
from include.fraud.scorer import Scorer
from include.fraud.settle import Settled, open_staging, settle, settle_apart, stored_frauds, together
from include.postgres import connect
from include.quality.columns import VALID, with_outcome
from include.quality.isolate import lies_in_records, try_twice
from include.retries import tell

PATIENCE_SECONDS = 300.0
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 15.0

Settle: TypeAlias = Callable[[psycopg.Connection, pa.Table, Scorer], Settled]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Batch:
    """One micro-batch; ``checkpoint_id`` is the streaming query's id, which lives in its checkpoint.

    ``parts`` gives what became of its records, as tables with ``outcome_schema``; each of its calls gives the same.
    """

    checkpoint_id: str
    batch_id: int
    parts: Callable[[], Iterable[pa.Table]]


@dataclass(frozen=True, slots=True)
class Written:
    """What writing a batch did: its counts (None for a replay), and the rows of FraudTransaction to show.

    ``newest_taken_ms`` is when the newest of its records came, see ``BronzeRecord`` (None where it has none, and for a
    replay).
    """

    counts: Counts | None
    frauds: list[dict[str, Any]]
    newest_taken_ms: int | None = None


class Sink:
    """Writes batches for the driver that holds ``lease``, over one connection that is renewed when it is lost.

    ``patience`` is for how many seconds a batch is tried again while the database is away. ``stop`` ends the waiting.
    """

    def __init__(
        self,
        dsn: str,
        lease: Lease,
        scorer: Scorer,
        has_records: ledger.HasRecords,
        stop: Event,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._dsn = dsn
        self._lease = lease
        self._scorer = scorer
        self._has_records = has_records
        self._stop = stop
        self._patience = patience
        self._conn: psycopg.Connection | None = None
        self._lost = False

    def waits(self) -> bool:
        """Whether an answer of the warehouse is waited for, or its return; may be asked in any thread."""
        conn = self._conn
        return self._lost if conn is None else conn.info.transaction_status == TransactionStatus.ACTIVE

    def write(self, batch: Batch) -> Written:
        """Write the batch, or find that it is written.

        Raises:
            StaleLeaseError: a newer driver is at work; nothing was written.
            CheckpointError: the checkpoint and the ledger contradict each other; nothing was written.
            psycopg.Error: the database stayed away for longer than ``patience``, or refused the batch.
        """
        try:
            return try_twice(lambda: self._write_patiently(batch, settle), f"batch {batch.batch_id}")
        except Exception as error:
            if not lies_in_records(error):
                raise
            return self._write_patiently(batch, settle_apart)

    def _write_patiently(self, batch: Batch, settle: Settle) -> Written:
        return Retrying(
            retry=retry_if_exception_type((psycopg.OperationalError, psycopg.InterfaceError)),
            stop=stop_before_delay(self._patience) | stop_when_event_set(self._stop),
            wait=wait_exponential(multiplier=_FIRST_PAUSE, max=_LONGEST_PAUSE),
            sleep=sleep_using_event(self._stop),
            after=lambda _state: self.close(),
            before_sleep=tell(log, f"batch {batch.batch_id}"),
            reraise=True,
        )(lambda: self._write_once(self._connection(), batch, settle))

    def close(self) -> None:
        """Give the connection back; the next batch opens another one."""
        if self._conn is not None:
            self._conn.close()
            self._conn = None
        self._lost = True

    def _connection(self) -> psycopg.Connection:
        if self._conn is None or self._conn.closed:
            self._conn = connect(self._dsn, APPLICATION_NAME)
            open_staging(self._conn)
        return self._conn

    def _write_once(self, conn: psycopg.Connection, batch: Batch, settle: Settle) -> Written:
        parts = batch.parts()
        with conn.transaction():
            hold(conn, self._lease)
            entry = ledger.newest_entry(conn, batch.checkpoint_id)
            if entry is not None and batch.batch_id <= entry.batch_id:
                return self._replayed(conn, entry, batch.batch_id, parts)
            start = end = entry.positions if entry else {}
            settled: list[Settled] = []
            for part in parts:
                end = ledger.advance(end, part, self._has_records)
                settled.append(settle(conn, part, self._scorer))
            whole = together(settled)
            ledger.append(conn, batch.checkpoint_id, batch.batch_id, self._lease.epoch, (start, end), whole.counts)
        return Written(whole.counts, whole.frauds, whole.newest_taken_ms)

    def _replayed(
        self, conn: psycopg.Connection, entry: ledger.Entry, batch_id: int, parts: Iterable[pa.Table]
    ) -> Written:
        """The batch was committed before; the driver may have died before it showed the frauds, or told Spark."""
        txn_ids: set[str] = set()
        for part in parts:
            ledger.check_replay(entry, batch_id, part)
            txn_ids.update(with_outcome(part, VALID)["txn_id"].to_pylist())
        return Written(None, stored_frauds(conn, txn_ids))
