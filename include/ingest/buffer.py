"""What one partition's records wait in until they are written."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from include.lake.incoming import IncomingRecords
from include.lake.objects import EncodedObject, encode
from include.lake.records import IncomingRecord

# What Python's objects for a record take beside its key, value and headers.
_RECORD_BYTES = 200


@dataclass(slots=True)
class PartitionBuffer:
    """The records of one partition from ``position``, the end of bronze, to ``reached``.

    ``reached`` is the next offset that Kafka will deliver, so offsets before it that have no record here are gaps.
    ``since`` is the moment the oldest thing in it came (``time.monotonic``), None when there is nothing to write.
    """

    position: int
    reached: int
    records: IncomingRecords = field(default_factory=IncomingRecords)
    size: int = 0
    since: float | None = None

    def append(self, record: IncomingRecord, now: float) -> None:
        """Take a record, unless it is in bronze or here already."""
        if record.offset >= self.reached:
            self.extend(IncomingRecords.of([record]), now)

    def extend(self, records: IncomingRecords, now: float) -> None:
        """Take records, at least one, as ``append`` takes each."""
        if records.follow(self.reached):
            self.records.extend(records)
            self.size += sum(records.sizes())
            self._reach(records.offsets[-1] + 1, now)
        else:
            for record in records:
                self.append(record, now)

    def reach(self, offset: int, now: float) -> None:
        """There are no further records before ``offset``."""
        if offset > self.reached:
            self._reach(offset, now)

    def advance(self, position: int) -> None:
        """Bronze covers everything before ``position``: forget what lies before it."""
        self.position = max(self.position, position)
        self.reached = max(self.reached, self.position)
        self.records = self.records.from_offset(self.position)
        self.size = sum(self.records.sizes())
        if self.reached == self.position:
            self.since = None

    @property
    def memory(self) -> int:
        """About how many bytes of memory the waiting records take."""
        return self.size + _RECORD_BYTES * len(self.records)

    @property
    def pending(self) -> bool:
        """Whether there is anything to write: records, or a gap alone."""
        return self.reached > self.position

    def objects(self, topic: str, key_fields: Collection[str], partition: int) -> Iterator[EncodedObject]:
        """The objects that bring bronze from ``position`` to ``reached``."""
        return encode(
            self.records,
            topic=topic,
            key_fields=key_fields,
            partition=partition,
            start=self.position,
            end=self.reached,
            now_ms=round(time.time() * 1000),
        )

    def _reach(self, offset: int, now: float) -> None:
        self.reached = offset
        if self.since is None:
            self.since = now
