"""The Spark data source ``bronze``: records by topic id, partition and Kafka offset, in batches and as a stream.

    spark.read.format("bronze").option("domain", "profiles").option("start", "{...}").option("end", "{...}").load()
    spark.readStream.format("bronze").option("domain", "transactions").load()

Options:

``domain``
    A name in the registry of domains. Required.
``start``
    Where to begin, as the JSON of ``Positions``; the beginning of bronze when it is missing. For a stream: where a
    *new* query begins, an old one goes on from its checkpoint.
``end``
    Batch only, exclusive; the end of bronze at the time of planning when it is missing.
``maxRecordsPerBatch``
    Stream only, default 100000. A micro-batch takes whole objects up to this number of offsets, and at least one object
    of each Kafka partition.
``maxBytesPerBatch``
    Stream only, default 32 MiB. The same for the objects' bytes.
``lookSeconds``
    Stream only, default 0: bronze is looked at whenever Spark asks. The longest time between two looks, while little
    comes. (Spark takes an answer without a look for the end: ``processAllAvailable`` then may return too soon.)

Where S3 is and the credentials come from the environment of the Spark processes, never from options, because Spark
prints options in its plans and logs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.datasource import DataSource, DataSourceReader, DataSourceStreamReader, InputPartition
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.types import StructType

from include.domains import DOMAINS, Domain
from include.lake.bronze_log import BronzeLog, ObjectContent
from include.lake.positions import (
    Positions,
    plain_positions,
    positions_from_json,
    positions_from_plain,
)
from include.lake.records import NO_TIMESTAMP, BronzeRecord
from include.lake.s3 import s3_client
from include.quality.columns import RECORD_SCHEMA
from include.quality.isolate import halves_of, lies_in_records
from include.settings import Settings
from include.spark.bronze_batches import BatchPlanner

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

FORMAT = "bronze"
DEFAULT_MAX_RECORDS = 100_000
DEFAULT_MAX_BYTES = 32 * 1024 * 1024

SCHEMA = from_arrow_schema(RECORD_SCHEMA)
# One Arrow batch holds at most this much, so that a worker's memory does not depend on the size of the objects.
_ROWS_PER_ARROW_BATCH = 5_000
_BYTES_PER_ARROW_BATCH = 16 * 1024 * 1024
_OFFSETS_PER_TASK = 1_000
"""A task of its own for fewer would cost more than it saves."""


class BronzeOptionError(ValueError):
    """An option of the data source is missing or wrong; the message names it."""


@dataclass(frozen=True)
class OffsetRange(InputPartition):
    """One Spark partition: the records of one Kafka partition with offsets in [start, end)."""

    topic_id: str
    partition: int
    start: int
    end: int


class BronzeDataSource(DataSource):
    """Registers the source; see the module's documentation."""

    options: dict[str, str]

    @classmethod
    def name(cls) -> str:
        """The name for ``format``."""
        return FORMAT

    def schema(self) -> StructType:
        """Topic id, partition, offset, Kafka's timestamp, when the record came, and its value (null: a tombstone)."""
        return SCHEMA

    def reader(self, schema: StructType) -> DataSourceReader:
        """A batch reader."""
        return BronzeReader(self._options())

    def streamReader(self, schema: StructType) -> DataSourceStreamReader:  # noqa: N802  # Spark's name
        """A reader for one streaming query."""
        return BronzeStreamReader(self._options())

    def _options(self) -> dict[str, str]:
        # Spark hands option names over in lower case, whatever their case was.
        return {name.lower(): value for name, value in self.options.items()}


class BronzeReader(DataSourceReader):
    """Reads from ``start`` to ``end``."""

    def __init__(self, options: dict[str, str]) -> None:
        self._domain = _domain(options)
        self._start = _positions(options, "start") or {}
        self._end = _positions(options, "end")

    def partitions(self) -> Sequence[InputPartition]:
        """One per Kafka partition that has offsets to read."""
        end = bronze_log(self._domain).end_positions() if self._end is None else self._end
        return offset_ranges(self._start, end)

    def read(self, partition: InputPartition | None) -> Iterator[pa.RecordBatch]:
        """The records of one partition; Spark passes None when there is no partition."""
        return read_range(self._domain, partition)


class BronzeStreamReader(DataSourceStreamReader):
    """Reads what comes, in micro-batches of bounded size.

    Two copies of it exist: one, in a process of its own, plans for as long as the query lives; another is pickled
    into each task and only reads.
    """

    def __init__(self, options: dict[str, str]) -> None:
        self._domain = _domain(options)
        self._start = _positions(options, "start") or {}
        self._max_records = _number(options, "maxRecordsPerBatch", DEFAULT_MAX_RECORDS)
        self._max_bytes = _number(options, "maxBytesPerBatch", DEFAULT_MAX_BYTES)
        self._look_seconds = float(options.get("lookseconds", "0"))
        self._planner: BatchPlanner | None = None

    def initialOffset(self) -> dict[str, Any]:  # noqa: N802
        """Where a new query begins."""
        return plain_positions(self._start)

    def latestOffset(self) -> dict[str, Any]:  # noqa: N802
        """Where the next micro-batch ends; the same as the last time when nothing came."""
        if self._planner is None:
            self._planner = self._planner_from(self._start)
        return plain_positions(self._planner.next_end())

    def partitions(self, start: dict[str, Any], end: dict[str, Any]) -> Sequence[InputPartition]:
        """One per Kafka partition that moved between the two offsets.

        Before it asks anything else of a restarted query's source, Spark calls this with the newest offset in the
        checkpoint as start and end, so that the source knows where to go on.

        Raises:
            ValueError: an end lies before its start: something else wrote into this query's checkpoint.
        """
        end_positions = positions_from_plain(end)
        if self._planner is None:
            self._planner = self._planner_from(end_positions)
        return offset_ranges(positions_from_plain(start), end_positions)

    def read(self, partition: InputPartition | None) -> Iterator[pa.RecordBatch]:
        """The records of one partition."""
        return read_range(self._domain, partition)

    def commit(self, end: dict[str, Any]) -> None:
        """Nothing to do: the checkpoint is the only place that remembers."""

    def stop(self) -> None:
        """Nothing to release."""

    def _planner_from(self, positions: Positions) -> BatchPlanner:
        log = bronze_log(self._domain)
        return BatchPlanner(log, positions, self._max_records, self._max_bytes, self._look_seconds)


def offset_ranges(start: Positions, end: Positions) -> list[OffsetRange]:
    """What lies between two positions, one range per Kafka partition; partitions that did not move have none.

    Raises:
        ValueError: an end lies before its start.
    """
    ranges: list[OffsetRange] = []
    for topic_id, partitions in sorted(end.items()):
        for partition, until in sorted(partitions.items()):
            begin = start.get(topic_id, {}).get(partition, 0)
            if until < begin:
                raise ValueError(f"bronze {topic_id}/{partition}: cannot read from {begin} back to {until}")
            if until > begin:
                ranges.append(OffsetRange(topic_id, partition, begin, until))
    return ranges


def without(ranges: Iterable[OffsetRange], places: Iterable[OffsetRange]) -> list[OffsetRange]:
    """What is left of ``ranges`` without the records at ``places``, which are ranges of one offset each."""
    left_out = sorted((place.topic_id, place.partition, place.start) for place in places)
    return [
        part
        for one in ranges
        for part in _cut(one, [at for *where, at in left_out if where == [one.topic_id, one.partition]])
    ]


def _cut(one: OffsetRange, offsets: Sequence[int]) -> Iterator[OffsetRange]:
    start = one.start
    for offset in offsets:
        if not one.start <= offset < one.end:
            continue
        if start < offset:
            yield replace(one, start=start, end=offset)
        start = offset + 1
    if start < one.end:
        yield replace(one, start=start)


def ends_of(ranges: Iterable[OffsetRange]) -> Positions:
    """Where these ranges end."""
    end: Positions = {}
    for one in ranges:
        end.setdefault(one.topic_id, {})[one.partition] = one.end
    return end


def halved(ranges: Sequence[OffsetRange]) -> tuple[Sequence[OffsetRange], Sequence[OffsetRange]] | None:
    """The ranges in two parts, in order; None for a single offset."""
    if len(ranges) > 1:
        return halves_of(ranges)
    (one,) = ranges
    middle = (one.start + one.end) // 2
    if middle == one.start:
        return None
    return [replace(one, end=middle)], [replace(one, start=middle)]


def map_ranges(
    spark: SparkSession,
    domain: Domain,
    ranges: Sequence[OffsetRange],
    function: Callable[[Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]],
    schema: StructType | str,
) -> DataFrame:
    """What ``function`` makes of the records in the ranges, in order.

    The same records as of the data source, but without the two processes that Spark starts to plan a read of one, and
    without the way through the JVM from the worker that reads to one that goes on.
    """

    def read(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for place in batch["id"].to_pylist():
                yield from function(read_range(domain, ranges[place]))

    return spark.range(0, len(ranges), 1, tasks_for(ranges)).mapInArrow(read, schema)


def tasks_for(ranges: Sequence[OffsetRange]) -> int:
    """How many tasks should read the ranges; each reads whole ones."""
    offsets = sum(one.end - one.start for one in ranges)
    return max(1, min(len(ranges), offsets // _OFFSETS_PER_TASK))


def readable(bronze: BronzeLog, one: OffsetRange) -> list[BronzeRecord]:
    """The records of a range, of which each had to be refused.

    Where not even reading them works, for a reason that lies in them, there is one without a value for the range: the
    bytes are in bronze.
    """
    try:
        return list(bronze.read(one.topic_id, one.partition, one.start, one.end))
    except Exception as error:
        if not lies_in_records(error):
            raise
        now_ms = round(time.time() * 1000)
        return [BronzeRecord(one.topic_id, one.partition, one.start, NO_TIMESTAMP, now_ms, None)]


def read_range(domain: Domain, wanted: InputPartition | None) -> Iterator[pa.RecordBatch]:
    """The records of an ``OffsetRange`` as Arrow batches of bounded size."""
    if not isinstance(wanted, OffsetRange):
        return
    contents = bronze_log(domain).contents(wanted.topic_id, wanted.partition, wanted.start, wanted.end)
    for content in contents:
        for first, last in _slices(content.values):
            yield _arrow_batch(wanted, content, first, last)


def _arrow_batch(wanted: OffsetRange, content: ObjectContent, first: int, last: int) -> pa.RecordBatch:
    count = last - first
    return pa.RecordBatch.from_arrays(
        [
            pa.repeat(pa.scalar(wanted.topic_id, pa.string()), count),
            pa.repeat(pa.scalar(wanted.partition, pa.int32()), count),
            pa.array(content.offsets[first:last], pa.int64()),
            pa.array(content.timestamps_ms[first:last], pa.int64()),
            pa.array(content.taken_ms[first:last], pa.int64()),
            pa.array(content.values[first:last], pa.binary()),
        ],
        schema=RECORD_SCHEMA,
    )


def _slices(values: Sequence[bytes | None]) -> Iterator[tuple[int, int]]:
    first = size = 0
    for place, value in enumerate(values):
        length = len(value or b"")
        if place > first and (place - first >= _ROWS_PER_ARROW_BATCH or size + length > _BYTES_PER_ARROW_BATCH):
            yield first, place
            first, size = place, 0
        size += length
    if first < len(values):
        yield first, len(values)


def bronze_log(domain: Domain) -> BronzeLog:
    """The domain's bronze, through this process's client."""
    return BronzeLog(_s3(), domain)


@cache
def _s3() -> S3Client:
    """One client per process: making one takes longer than reading an object, and Spark reuses its Python workers."""
    return s3_client(Settings.from_environment())


def _domain(options: dict[str, str]) -> Domain:
    name = options.get("domain", "")
    if name not in DOMAINS:
        raise BronzeOptionError(f"option domain is {name!r}; it must be one of {', '.join(DOMAINS)}")
    return DOMAINS[name]


def _positions(options: dict[str, str], name: str) -> Positions | None:
    text = options.get(name)
    return None if text is None else positions_from_json(text)


def _number(options: dict[str, str], name: str, default: int) -> int:
    text = options.get(name.lower(), str(default))
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise BronzeOptionError(f"option {name} is {text!r}; it must be a number above 0")
    return int(text)
