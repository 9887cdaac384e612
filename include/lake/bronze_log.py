"""Bronze as a log: per domain, topic id and partition a chain of objects, read by Kafka's offsets.

Each object begins where the one before it ended, and its name is its start; so from one object the next one's name is
known, and reading follows that chain. Listing only tells how far the chain reaches. (A listing that runs while
objects are written may miss one and show the next; the chain cannot.)

What else lies in the folders (other tools' marks, backups) is passed over, wherever its name sorts and however much of
it there is; ``include.verify`` names it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from include.domains import BRONZE_BUCKET, Domain
from include.lake.objects import (
    CorruptObjectError,
    ObjectIndex,
    body_lines,
    decode_index,
    decode_values,
    is_partition,
    is_topic_id,
    object_key,
    partition_prefix,
    start_of_name,
)
from include.lake.positions import Positions
from include.lake.records import BronzeRecord, CorruptLineError, Original, decode_original
from include.lake.s3 import is_missing

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ListObjectsV2OutputTypeDef

PAGE = 1000
"""Names in one answer to a listing: the most that S3 gives."""

_FOLLOWED = 4
"""So many objects are found one by one before they are listed."""

_MISSING = "bronze has no object {}, though its chain of objects leads there"


class BrokenChainError(RuntimeError):
    """An object of a partition's chain is missing; the message names it. Nothing in Paylake removes one."""


@dataclass(frozen=True, slots=True)
class ListedObject:
    """An object as a listing shows it; ``size`` in bytes. Its end is in its metadata, see ``BronzeLog.index``."""

    key: str
    start: int
    size: int
    last_modified: datetime


@dataclass(frozen=True, slots=True)
class _Page:
    """Objects in order, from a listing. ``more``: others may follow; then there are at least two."""

    objects: list[ListedObject]
    more: bool


@dataclass(frozen=True, slots=True)
class ObjectContent:
    """The records of one object as columns of equal length; a None among ``values`` is a null value.

    ``timestamps_ms`` and ``taken_ms`` are those of ``BronzeRecord``.
    """

    key: str
    end: int
    offsets: list[int]
    timestamps_ms: list[int]
    taken_ms: list[int]
    values: list[bytes | None]

    def records(self, topic_id: str, partition: int) -> Iterator[BronzeRecord]:
        """The records one by one."""
        columns = zip(self.offsets, self.timestamps_ms, self.taken_ms, self.values, strict=True)
        for offset, timestamp_ms, taken_ms, value in columns:
            yield BronzeRecord(topic_id, partition, offset, timestamp_ms, taken_ms, value)

    def slice(self, first: int, last: int) -> ObjectContent:
        """The records from place ``first`` to before place ``last``."""
        return ObjectContent(
            self.key,
            self.end,
            self.offsets[first:last],
            self.timestamps_ms[first:last],
            self.taken_ms[first:last],
            self.values[first:last],
        )


class BronzeLog:
    """Reads one domain's bronze. Holds no state but the client, so it may be made anew at will.

    All methods raise ``botocore.exceptions.ClientError`` or ``BotoCoreError`` when S3 does not answer, and
    ``CorruptObjectError`` for an object that is not what it should be.
    """

    def __init__(self, s3: S3Client, domain: Domain) -> None:
        self._s3 = s3
        self._folder = domain.bronze_folder

    def topic_ids(self) -> list[str]:
        """The topics that have ever been ingested, sorted by id (for their order in time see ``generations``)."""
        return [name for name in self._folders(f"{self._folder}/") if is_topic_id(name)]

    def partitions(self, topic_id: str) -> list[int]:
        """The partitions that have a folder, in ascending order."""
        return sorted(int(name) for name in self._folders(f"{self._folder}/{topic_id}/") if is_partition(name))

    def generations(self) -> list[str]:
        """The topic ids in the order in which the topics came: by the age of their oldest object."""
        born = ((self._born(topic_id), topic_id) for topic_id in self.topic_ids())
        return [topic_id for _, topic_id in sorted((moment, topic_id) for moment, topic_id in born if moment)]

    def end_positions(self, known: Positions | None = None) -> Positions:
        """Where each partition of each topic ends; those without an object are left out.

        ``known`` are places up to which bronze is known to reach; from there on it costs little, see `end_offset`.
        """
        found: Positions = {}
        for topic_id in self.topic_ids():
            reached = (known or {}).get(topic_id, {})
            ends = {
                partition: self.end_offset(topic_id, partition, reached.get(partition, 0))
                for partition in self.partitions(topic_id)
            }
            if ends := {partition: end for partition, end in ends.items() if end}:
                found[topic_id] = ends
        return found

    def end_offset(self, topic_id: str, partition: int, known: int = 0) -> int:
        """The offset after the last one that is covered; 0 when there is no object.

        ``known`` is a place up to which the chain is known to reach (the start or end of an object): looking from
        there costs one HEAD when nothing came after it, and a few when little did.
        """
        for _ in range(_FOLLOWED if known else 0):
            following = self._following(topic_id, partition, known)
            if following is None:
                return known
            known = following[0]
        last = self._last_start(topic_id, partition, known)
        return known if last is None else self.index(topic_id, partition, last).end

    def objects(self, topic_id: str, partition: int, start: int = 0, end: int | None = None) -> Iterator[ListedObject]:
        """The objects that begin in [start, end), in order."""
        after = start - 1
        while True:
            page = self._page(topic_id, partition, after)
            for listed in page.objects:
                if end is not None and listed.start >= end:
                    return
                yield listed
            if not page.more:
                return
            after = page.objects[-1].start

    def objects_from(self, topic_id: str, partition: int, offset: int) -> Iterator[ListedObject]:
        """The object that covers ``offset``, if there is one, and those after it, in order."""
        return self.objects(topic_id, partition, self._containing_start(topic_id, partition, offset))

    def index(self, topic_id: str, partition: int, start: int) -> ObjectIndex:
        """End, offsets and timestamps of the object that begins at ``start``.

        Raises:
            BrokenChainError: there is no such object.
        """
        key = self._key(topic_id, partition, start)
        try:
            answer = self._s3.head_object(Bucket=BRONZE_BUCKET, Key=key)
        except ClientError as error:
            if is_missing(error):
                raise BrokenChainError(_MISSING.format(key)) from error
            raise
        return decode_index(key, answer["Metadata"], answer["LastModified"])

    def step(self, topic_id: str, partition: int, start: int, limit: int, max_bytes: int) -> int:
        """The furthest end of an object that is not beyond ``limit``, with ``max_bytes`` of objects at most before it.

        Or the end of the first object, when already that is too far. ``start`` is itself the end of an object (or 0);
        the answer is ``start`` when nothing came after it. Costs one listing, and one HEAD when it reaches the last
        object.
        """
        page = self._page(topic_id, partition, start - 1)
        end, size = start, 0
        for place, listed in enumerate(page.objects, 1):
            size += listed.size
            if end > start and size > max_bytes:
                break
            if place < len(page.objects):
                following = page.objects[place].start  # each object's start is the end of the one before it
            elif not page.more:
                following = self.index(topic_id, partition, listed.start).end
            else:
                break
            if end > start and following > limit:
                break
            end = following
        return end

    def follow(self, topic_id: str, partition: int, start: int, limit: int, max_bytes: int) -> int:
        """Where `step` ends, by the chain alone: from one object to the next one that it names.

        It costs one HEAD when nothing came, whatever the length of the history, where a listing takes longer with each
        object that the store has. More than a few objects are listed. That an object is missing, while others come
        after it, is not noticed here: for that, `step` has to look now and then.
        """
        end, size = start, 0
        for _ in range(_FOLLOWED):
            following = self._following(topic_id, partition, end)
            if following is None:
                return end
            size += following[1]
            if end > start and (following[0] > limit or size > max_bytes):
                return end
            end = following[0]
        return self.step(topic_id, partition, start, limit, max_bytes)

    def aligned(self, topic_id: str, partition: int, offset: int) -> int:
        """The end of the object that ``offset`` lies in; ``offset`` itself where an object begins or none is."""
        start = self._containing_start(topic_id, partition, offset)
        if start == offset:
            return offset
        return max(offset, self.index(topic_id, partition, start).end)

    def contents(self, topic_id: str, partition: int, start: int, end: int) -> Iterator[ObjectContent]:
        """The objects that cover [start, end), cut to these offsets.

        Raises:
            BrokenChainError: an object is missing, also when bronze does not reach up to ``end``.
        """
        if start >= end:
            return
        try:
            # A reader that goes on where it ended begins where an object does, and needs no listing to find it.
            content = self.content(topic_id, partition, start, start, end)
        except BrokenChainError:
            content = self.content(topic_id, partition, self._containing_start(topic_id, partition, start), start, end)
        yield content
        while content.end < end:
            content = self.content(topic_id, partition, content.end, start, end)
            yield content

    def content(
        self, topic_id: str, partition: int, start: int, first: int = 0, end: int | None = None
    ) -> ObjectContent:
        """The object that begins at ``start``, cut to the records with offsets in [first, end); no others are decoded.

        Raises:
            BrokenChainError: there is no such object.
        """
        key, index, body = self._get(topic_id, partition, start)
        lines = body_lines(key, body, len(index.offsets))
        low = bisect_left(index.offsets, first)
        high = len(lines) if end is None else bisect_left(index.offsets, end)
        return ObjectContent(
            key,
            index.end,
            index.offsets[low:high],
            index.timestamps_ms[low:high],
            index.taken_ms[low:high],
            decode_values(key, lines[low:high]),
        )

    def original(self, topic_id: str, partition: int, offset: int) -> Original | None:
        """The message at ``offset`` with its key and headers; None when bronze has no record there."""
        start = self._containing_start(topic_id, partition, offset)
        try:
            key, index, body = self._get(topic_id, partition, start)
        except BrokenChainError:  # nothing was ever ingested of this partition
            return None
        if offset not in index.offsets:
            return None
        line = body_lines(key, body, len(index.offsets))[index.offsets.index(offset)]
        try:
            return decode_original(line)
        except CorruptLineError as error:
            raise CorruptObjectError(f"{key}: {error}") from error

    def read(self, topic_id: str, partition: int, start: int, end: int) -> Iterator[BronzeRecord]:
        """The records with offsets in [start, end), in order.

        Raises:
            BrokenChainError: see ``contents``.
        """
        for content in self.contents(topic_id, partition, start, end):
            yield from content.records(topic_id, partition)

    def _key(self, topic_id: str, partition: int, start: int) -> str:
        return object_key(self._folder, topic_id, partition, start)

    def _get(self, topic_id: str, partition: int, start: int) -> tuple[str, ObjectIndex, bytes]:
        """Name, index and body of the object that begins at ``start``."""
        key = self._key(topic_id, partition, start)
        try:
            answer = self._s3.get_object(Bucket=BRONZE_BUCKET, Key=key)
        except ClientError as error:
            if is_missing(error):
                raise BrokenChainError(_MISSING.format(key)) from error
            raise
        return key, decode_index(key, answer["Metadata"], answer["LastModified"]), answer["Body"].read()

    def _page(self, topic_id: str, partition: int, after: int) -> _Page:
        """The first objects that begin after the offset ``after`` (-1: from the beginning)."""
        prefix = partition_prefix(self._folder, topic_id, partition)
        # All names of ours sort between these two, so what lies outside is not looked at, however much it is.
        before, behind = self._key(topic_id, partition, 0).removesuffix(".json"), f"{prefix}0:"
        start_after = self._key(topic_id, partition, after) if after >= 0 else before
        objects: list[ListedObject] = []
        while True:
            answer = self._s3.list_objects_v2(Bucket=BRONZE_BUCKET, Prefix=prefix, StartAfter=start_after, MaxKeys=PAGE)
            entries = answer.get("Contents", [])
            objects += [
                ListedObject(entry["Key"], start, entry["Size"], entry["LastModified"])
                for entry in entries
                if (start := start_of_name(entry["Key"].removeprefix(prefix))) is not None
            ]
            more = answer["IsTruncated"] and entries[-1]["Key"] < behind
            # Two, because the second one's start is the first one's end.
            if len(objects) > 1 or not more:
                return _Page(objects, more)
            start_after = entries[-1]["Key"]

    def _following(self, topic_id: str, partition: int, start: int) -> tuple[int, int] | None:
        """End and size of the object that begins at ``start``; None where there is none."""
        key = self._key(topic_id, partition, start)
        try:
            answer = self._s3.head_object(Bucket=BRONZE_BUCKET, Key=key)
        except ClientError as error:
            if is_missing(error):
                return None
            raise
        return decode_index(key, answer["Metadata"], answer["LastModified"]).end, answer["ContentLength"]

    def _last_start(self, topic_id: str, partition: int, known: int) -> int | None:
        """Start of the last object that begins at ``known`` or later, found without listing all in between.

        When there may be more than one page, step ahead, further each time, until nothing is found there, then halve
        the distance until a page ends the list.
        """
        page = self._page(topic_id, partition, known - 1)
        if not page.more:
            return page.objects[-1].start if page.objects else None
        low, high = page.objects[-1].start, None
        step = 2 * (low - known + 1)
        while high is None or low < high:
            probe = low + step if high is None else (low + high) // 2
            page = self._page(topic_id, partition, probe)
            if not page.objects:
                high = probe
            elif not page.more:
                return page.objects[-1].start
            else:
                low, step = page.objects[-1].start, step * 2
        return low

    def _containing_start(self, topic_id: str, partition: int, offset: int) -> int:
        """Start of the object that covers ``offset`` (or of the last one before it, when none does)."""
        width = PAGE
        while offset > 0:
            after = max(offset - width, -1)
            # An object covers at least one offset, so a page that begins within PAGE of the offset reaches it.
            found = [listed.start for listed in self.objects(topic_id, partition, after + 1, offset + 1)]
            if found:
                return found[-1]
            if after == -1:
                break
            width *= 4
        return 0

    def _born(self, topic_id: str) -> datetime | None:
        """When the topic's oldest object was written; None when it has no object."""
        firsts = [next(self.objects(topic_id, partition), None) for partition in self.partitions(topic_id)]
        return min((first.last_modified for first in firsts if first), default=None)

    def _folders(self, prefix: str) -> list[str]:
        names: list[str] = []
        request = {"Bucket": BRONZE_BUCKET, "Prefix": prefix, "Delimiter": "/"}
        answer: ListObjectsV2OutputTypeDef
        for answer in self._s3.get_paginator("list_objects_v2").paginate(**request):  # type: ignore[arg-type]
            names += [
                entry["Prefix"].removeprefix(prefix).removesuffix("/") for entry in answer.get("CommonPrefixes", [])
            ]
        return names
