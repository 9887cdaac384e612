"""Records on their way into bronze, many at a time."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from operator import lt

from include.lake.records import Headers, IncomingRecord, encode_line, is_plain


@dataclass(slots=True)
class IncomingRecords:
    """Records of one partition, as columns of equal length; each column is what ``IncomingRecord`` says of it.

    An object for each record would cost more than all that is done with it: most of the time would go to Python's
    garbage collector.
    """

    offsets: list[int] = field(default_factory=list)
    timestamps_ms: list[int] = field(default_factory=list)
    keys: list[bytes | None] = field(default_factory=list)
    values: list[bytes | None] = field(default_factory=list)
    headers: list[Headers | None] = field(default_factory=list)
    appended: list[bool] = field(default_factory=list)

    @classmethod
    def of(cls, records: Iterable[IncomingRecord]) -> IncomingRecords:
        """These records."""
        made = cls()
        for record in records:
            made.append(record)
        return made

    def __len__(self) -> int:
        return len(self.offsets)

    def __iter__(self) -> Iterator[IncomingRecord]:
        columns = self.offsets, self.timestamps_ms, self.keys, self.values, self.headers, self.appended
        return (IncomingRecord(*record) for record in zip(*columns, strict=True))

    def append(self, record: IncomingRecord) -> None:
        """Add a record at the end."""
        self.offsets.append(record.offset)
        self.timestamps_ms.append(record.timestamp_ms)
        self.keys.append(record.key)
        self.values.append(record.value)
        self.headers.append(record.headers)
        self.appended.append(record.appended)

    def extend(self, others: IncomingRecords) -> None:
        """Add others at the end."""
        self.offsets += others.offsets
        self.timestamps_ms += others.timestamps_ms
        self.keys += others.keys
        self.values += others.values
        self.headers += others.headers
        self.appended += others.appended

    def slice(self, first: int, last: int | None = None) -> IncomingRecords:
        """The records from place ``first`` to before place ``last``."""
        return IncomingRecords(
            self.offsets[first:last],
            self.timestamps_ms[first:last],
            self.keys[first:last],
            self.values[first:last],
            self.headers[first:last],
            self.appended[first:last],
        )

    def from_offset(self, offset: int) -> IncomingRecords:
        """Those with this offset or a later one; they must be in the order of their offsets."""
        return self.slice(bisect_left(self.offsets, offset))

    def follow(self, offset: int) -> bool:
        """Whether the offsets go up, from ``offset`` or beyond."""
        return all(map(lt, [offset - 1, *self.offsets], self.offsets))

    def sizes(self) -> list[int]:
        """Bytes of key, value and headers of each."""
        sizes = [len(key or b"") + len(value or b"") for key, value in zip(self.keys, self.values, strict=True)]
        for place, headers in enumerate(self.headers):
            if headers:
                sizes[place] += sum(len(name) + len(value or b"") for name, value in headers)
        return sizes

    def lines(self, topic: str, partition: int, key_fields: Collection[str]) -> list[bytes]:
        """The line of each, as ``encode_line`` makes it."""
        return [
            value
            if value is not None and is_plain(value, key, headers, key_fields)
            else encode_line(self._record(place), topic, partition, key_fields)
            for place, (key, value, headers) in enumerate(zip(self.keys, self.values, self.headers, strict=True))
        ]

    def _record(self, place: int) -> IncomingRecord:
        return IncomingRecord(
            self.offsets[place],
            self.timestamps_ms[place],
            self.keys[place],
            self.values[place],
            self.headers[place],
            self.appended[place],
        )
