"""The ledger of micro-batches: what each checkpoint of the stream has committed, appended with the batch's own rows.

The ledger, not the checkpoint, says what was written. A checkpoint that disagrees (it was restored, edited, or belongs
to another warehouse) is refused rather than believed: it could skip records.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

import psycopg
import pyarrow as pa
from psycopg.types.json import Jsonb

from include.domains import Domain
from include.fraud.checkpoint import CheckpointError
from include.lake.bronze_log import BronzeLog
from include.lake.positions import Positions, plain_positions, positions_from_plain
from include.quality.columns import spans
from include.sql import load_sql

HasRecords = Callable[[str, int, int, int], bool]
"""Whether bronze has a record of (topic id, partition) with an offset in [start, end)."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Where the records of a batch are, each counted once. A replay counts as the first time."""

    records: int
    fraud: int
    genuine: int
    duplicates: int
    quarantined: int
    tombstones: int


@dataclass(frozen=True, slots=True)
class Entry:
    """The newest batch of a checkpoint; ``positions`` are those of all partitions it ever read."""

    batch_id: int
    positions: Positions


@dataclass(frozen=True, slots=True)
class Reached:
    """How far the stream has read, under any checkpoint, and when it last committed a verdict (None: never)."""

    positions: Positions
    newest_verdict: datetime | None


def reached(conn: psycopg.Connection) -> Reached:
    """Where the stream is.

    A position is the offset after the last *record* that was read: gaps behind it, of which there is nothing to judge,
    are not in it.
    """
    furthest: Positions = {}
    verdicts: list[datetime] = []
    for plain, verdict in conn.execute(load_sql("fraud/stream_position")):
        verdicts += [verdict] if verdict else []
        for topic_id, partitions in positions_from_plain(plain).items():
            known = furthest.setdefault(topic_id, {})
            for partition, offset in partitions.items():
                known[partition] = max(offset, known.get(partition, 0))
    return Reached(furthest, max(verdicts, default=None))


def decided(conn: psycopg.Connection, bronze: BronzeLog, domain: Domain, start: Positions) -> Positions:
    """Up to where, from ``start`` on, it is decided which records of a domain are refused; each is an object's end.

    That is bronze's end, except of a judged domain: there it is where the stream is.
    """
    end = start | bronze.end_positions(start)
    if not domain.judged:
        return end
    read = reached(conn).positions
    return {
        topic_id: {
            partition: max(
                start.get(topic_id, {}).get(partition, 0),
                # The stream reads whole objects, and the ledger knows where their last records are.
                min(offset, bronze.aligned(topic_id, partition, read.get(topic_id, {}).get(partition, 0))),
            )
            for partition, offset in partitions.items()
        }
        for topic_id, partitions in end.items()
    }


def newest_entry(conn: psycopg.Connection, checkpoint_id: str) -> Entry | None:
    """What the ledger knows of a checkpoint; None for one that has committed nothing yet."""
    row = conn.execute(load_sql("fraud/newest_batch"), {"checkpoint_id": checkpoint_id}).fetchone()
    return None if row is None else Entry(row[0], positions_from_plain(row[1]))


def check_replay(entry: Entry, batch_id: int, records: pa.Table) -> None:
    """Make sure that a batch which was committed before (and the driver died before its checkpoint knew) is the same.

    ``records`` has the columns topic_id, partition and offset.

    Raises:
        CheckpointError: a batch of this number was committed, but with other records.
    """
    for topic_id, partition, _, last in spans(records):
        if last >= entry.positions.get(topic_id, {}).get(partition, 0):
            raise CheckpointError(
                f"batch {batch_id} was committed already, but the checkpoint now puts offset {last} of"
                f" partition {partition}, topic {topic_id}, into it, which was never read"
            )


def advance(known: Positions, records: pa.Table, has_records: HasRecords) -> Positions:
    """The positions after a batch that starts from ``known``; ``records`` as for `check_replay`.

    Raises:
        CheckpointError: bronze has records between the known position of a partition and the batch's first record.
    """
    ends = {topic_id: dict(partitions) for topic_id, partitions in known.items()}
    for topic_id, partition, first, last in spans(records):
        start = known.get(topic_id, {}).get(partition, 0)
        # Kafka's offsets have gaps, so a jump alone proves nothing.
        if first > start and has_records(topic_id, partition, start, first):
            raise CheckpointError(
                f"the checkpoint skips offsets {start} to {first - 1} of partition {partition}, topic {topic_id}:"
                " bronze has records there of which the warehouse's ledger knows nothing"
            )
        ends.setdefault(topic_id, {})[partition] = max(start, last + 1)
    return ends


def append(
    conn: psycopg.Connection,
    checkpoint_id: str,
    batch_id: int,
    epoch: int,
    positions: tuple[Positions, Positions],
    counts: Counts,
) -> None:
    """Append a batch with the positions before and after it.

    Raises:
        psycopg.errors.CheckViolation: the counts do not add up; the whole batch must not be committed then.
    """
    start, end = positions
    values = {
        "checkpoint_id": checkpoint_id,
        "batch_id": batch_id,
        "epoch": epoch,
        "start": Jsonb(plain_positions(start)),
        "end": Jsonb(plain_positions(end)),
    }
    conn.execute(load_sql("fraud/append_batch"), values | asdict(counts))


def prune(conn: psycopg.Connection, age: timedelta) -> int:
    """Delete batches older than ``age``, in a transaction of its own on ``conn`` (in autocommit mode); how many.

    What anybody asks of the ledger stays as it was, for each checkpoint there ever was: `newest_entry` and `reached`.
    """
    return conn.execute(load_sql("fraud/prune_batches"), {"age": age}).rowcount
