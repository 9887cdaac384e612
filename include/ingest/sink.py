"""Bronze's side of an ingestion: buffers become objects."""

from __future__ import annotations

import logging
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.domains import Domain
from include.ingest.buffer import PartitionBuffer
from include.ingest.limits import Limits
from include.ingest.patience import Patience
from include.ingest.put import put_once
from include.ingest.source import TopicSource
from include.lake.bronze_log import BronzeLog
from include.lake.objects import object_key

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

log = logging.getLogger(__name__)

_PARALLEL_PUTS = 8


@dataclass(frozen=True, slots=True)
class Written:
    """What one flush of a partition brought; ``size`` in bytes. ``lost`` when another writer was there first."""

    records: int = 0
    objects: int = 0
    size: int = 0
    lost: bool = False

    def __add__(self, other: Written) -> Written:
        return Written(
            self.records + other.records,
            self.objects + other.objects,
            self.size + other.size,
            self.lost or other.lost,
        )


def due(buffers: Collection[tuple[int, PartitionBuffer]], limits: Limits, now: float) -> list[int]:
    """The partitions whose buffers are to be written now."""
    crowded = _are_crowded(buffers, limits)
    return [
        partition
        for partition, buffer in buffers
        if _is_full(buffer, limits) or _is_old(buffer, limits, now) or (crowded and buffer.records)
    ]


def full(buffers: Collection[tuple[int, PartitionBuffer]], limits: Limits) -> list[int]:
    """The partitions whose buffers have reached their size, or all when together they are too large, at any age."""
    crowded = _are_crowded(buffers, limits)
    return [partition for partition, buffer in buffers if _is_full(buffer, limits) or (crowded and buffer.records)]


class BronzeSink:
    """Writes the buffers of one source, several partitions at a time, each partition's objects one after the other."""

    def __init__(self, s3: S3Client, domain: Domain, source: TopicSource, patience: Patience) -> None:
        self._s3 = s3
        self._folder = domain.bronze_folder
        self._key_fields = domain.key_fields
        self._source = source
        self._bronze = BronzeLog(s3, domain)
        self._patience = patience
        self._threads = ThreadPoolExecutor(_PARALLEL_PUTS, thread_name_prefix="bronze-put")

    def flush(self, partitions: Collection[int]) -> Written:
        """Write all that these partitions' buffers hold.

        Raises:
            TopicReplacedError: the records cannot be told to be of this topic id; nothing was written.
            S3UnavailableError, StoreFullError, StoppedError: see ``Patience``; what was written until then stays.
        """
        wanted = [partition for partition in partitions if self._source.buffers[partition].pending]
        if not wanted:
            return Written()
        self._source.verify_id()
        total = Written()
        for written in self._threads.map(self._put, wanted):
            total += written
        if total.lost:
            self._source.assign()
        return total

    def close(self) -> None:
        """Wait for what is being written and release the threads."""
        self._threads.shutdown()

    def _put(self, partition: int) -> Written:
        buffer = self._source.buffers[partition]
        total = Written()
        for encoded in buffer.objects(self._source.topic, self._key_fields, partition):
            key = object_key(self._folder, self._source.topic_id, partition, encoded.start)
            if not self._patience.with_s3(lambda key=key, encoded=encoded: put_once(self._s3, key, encoded)):  # type: ignore[misc]
                return total + self._resume(partition, encoded.start)
            buffer.advance(encoded.end)
            total += Written(encoded.count, 1, len(encoded.body))
        return total

    def _resume(self, partition: int, start: int) -> Written:
        """Another writer (or an attempt of ours whose answer was lost) has this name: go on where that chain ends."""
        topic_id = self._source.topic_id
        # Its own end first: a listing may not show it yet, or not at all.
        taken = self._patience.with_s3(lambda: self._bronze.index(topic_id, partition, start)).end
        end = self._patience.with_s3(lambda: self._bronze.end_offset(topic_id, partition, taken))
        log.info("%s/%d: %d was there already, going on from %d", topic_id, partition, start, end)
        self._source.buffers[partition].advance(end)
        return Written(lost=True)


def _is_full(buffer: PartitionBuffer, limits: Limits) -> bool:
    return len(buffer.records) >= limits.flush_records or buffer.size >= limits.flush_bytes


def _is_old(buffer: PartitionBuffer, limits: Limits, now: float) -> bool:
    if buffer.since is None:
        return False
    waited = now - buffer.since
    if not buffer.records:
        return waited >= limits.gap_seconds
    many = waited >= limits.flush_soonest_seconds and waited * len(buffer.records) >= limits.flush_record_seconds
    return many or waited >= limits.flush_seconds


def _are_crowded(buffers: Collection[tuple[int, PartitionBuffer]], limits: Limits) -> bool:
    return sum(buffer.memory for _, buffer in buffers) >= limits.buffer_bytes
