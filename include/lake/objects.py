"""One bronze object: its name, its body, and the index in its metadata.

An object holds the records of one partition with Kafka offsets in [start, end). The start is in its name. The end, the
number of records, the index (each record's offset and timestamp) and when the records came are user metadata, so the
body is plain lines. S3 allows 2 KB of metadata; ``encode`` takes as many records as their index has room for.
"""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate, pairwise
from operator import add

from include.lake.incoming import IncomingRecords
from include.lake.records import CorruptLineError, decode_line

CONTENT_TYPE = "application/x-ndjson"
END_KEY = "paylake-end"
COUNT_KEY = "paylake-count"
INDEX_KEY = "paylake-index"
TAKEN_KEY = "paylake-taken"
TAKEN_BY_KAFKA = "kafka"
"""The records' timestamps are Kafka's times of appending; otherwise ``TAKEN_KEY`` is the ingestion's clock, in ms."""
MAX_OBJECT_BYTES = 8 * 1024 * 1024
"""An object's records have so many bytes at most, or it is one record: what reads an object holds it whole."""

# Leaves room, of the 2048 bytes that S3 allows, for the names and the three numbers.
_MAX_INDEX_CHARACTERS = 1850
_START_DIGITS = 20
_NAME = re.compile(r"(?P<start>[0-9]{20})\.json")
# 16 bytes in base64url without padding: the last character holds two bits of them.
_TOPIC_ID = re.compile(r"[A-Za-z0-9_-]{21}[AQgw]")
_PARTITION = re.compile(r"0|[1-9][0-9]{0,9}")
_LONG_NUMBER = re.compile(rb"[\x80-\xff]+[\x00-\x7f]")
# Two 64-bit numbers differ by 65 bits with the sign: ten bytes of seven bits.
_OVERLONG = re.compile(rb"[\x80-\xff]{10}")
_SHORT = [bytes([number]) for number in range(128)]
_LARGEST_PARTITION = 2**31 - 1
_LARGEST_OFFSET = 2**63 - 1


class CorruptObjectError(ValueError):
    """A bronze object is not what its metadata says; the message names the object and the difference."""


def partition_prefix(folder: str, topic_id: str, partition: int) -> str:
    """Where the objects of one partition are, with the slash at the end."""
    return f"{folder}/{topic_id}/{partition}/"


def object_key(folder: str, topic_id: str, partition: int, start: int) -> str:
    """The name of the object whose first covered offset is ``start``; names sort by offset."""
    return f"{partition_prefix(folder, topic_id, partition)}{start:0{_START_DIGITS}d}.json"


def start_of_name(name: str) -> int | None:
    """The start offset in an object's name, without the folders; None when bronze gives no such name."""
    match = _NAME.fullmatch(name)
    start = int(match["start"]) if match else None
    return None if start is None or start > _LARGEST_OFFSET else start


def is_topic_id(folder: str) -> bool:
    """Whether a folder in a domain's folder can be a topic's: a Kafka topic id as Kafka prints it."""
    return _TOPIC_ID.fullmatch(folder) is not None


def is_partition(folder: str) -> bool:
    """Whether a folder in a topic's folder can be a partition's."""
    return _PARTITION.fullmatch(folder) is not None and int(folder) <= _LARGEST_PARTITION


def start_of_key(key: str) -> int:
    """The start offset in the name of an object of bronze.

    Raises:
        CorruptObjectError: it is not the name of a bronze object.
    """
    start = start_of_name(key.rpartition("/")[2])
    if start is None:
        raise CorruptObjectError(f"{key}: not the name of a bronze object")
    return start


def place_of_key(key: str, folder: str) -> tuple[str, int, int] | None:
    """Topic id, partition and start of the object ``key`` in a domain's folder; None for what bronze did not name."""
    parts = key.removeprefix(f"{folder}/").split("/")
    if len(parts) != 3 or not is_topic_id(parts[0]) or not is_partition(parts[1]):
        return None
    start = start_of_name(parts[2])
    return None if start is None else (parts[0], int(parts[1]), start)


@dataclass(frozen=True, slots=True)
class EncodedObject:
    """An object ready to be written: it covers [``start``, ``end``) with ``count`` records."""

    start: int
    end: int
    count: int
    body: bytes
    metadata: dict[str, str]


@dataclass(frozen=True, slots=True)
class ObjectIndex:
    """What an object's metadata says: the end (exclusive), and each record's offset, timestamp and time of coming.

    The times are in ms; see ``BronzeRecord``.
    """

    end: int
    offsets: list[int]
    timestamps_ms: list[int]
    taken_ms: list[int]


def encode(
    records: IncomingRecords,
    *,
    topic: str,
    key_fields: Collection[str],
    partition: int,
    start: int,
    end: int,
    now_ms: int,
) -> Iterator[EncodedObject]:
    """Objects that together cover [start, end), each as long as its index and ``MAX_OBJECT_BYTES`` allow; usually one.

    ``records`` are in the order of their offsets and lie in [start, end); there may be none, then the object covers
    a gap. A gap between two objects belongs to the later one, the gap behind the last record to the last object.
    ``key_fields``: see ``include.lake.records.envelope_reason``. ``now_ms`` is when the records came, where Kafka did
    not note it itself; those of which it did are in objects of their own.

    Raises:
        ValueError: the records are out of order or out of range.
    """
    _check_order(records, start, end)
    remaining = records
    while True:
        count, index = _fitting_index(remaining.slice(0, _alike(remaining)), start)
        chunk, remaining = remaining.slice(0, count), remaining.slice(count)
        chunk_end = chunk.offsets[-1] + 1 if remaining else end
        taken = TAKEN_BY_KAFKA if chunk and chunk.appended[0] else str(now_ms)
        yield EncodedObject(
            start=start,
            end=chunk_end,
            count=count,
            body=b"\n".join([*chunk.lines(topic, partition, key_fields), b""]),
            metadata={END_KEY: str(chunk_end), COUNT_KEY: str(count), INDEX_KEY: index, TAKEN_KEY: taken},
        )
        if not remaining:
            return
        start = chunk_end


def _alike(records: IncomingRecords) -> int:
    """How many of the first records may share an object: times of one kind, and not too many bytes."""
    count = 0
    for appended, size in zip(records.appended, accumulate(records.sizes()), strict=True):
        if count and (size > MAX_OBJECT_BYTES or appended != records.appended[0]):
            break
        count += 1
    return count


def decode_index(key: str, metadata: Mapping[str, str], written: datetime) -> ObjectIndex:
    """Read the metadata of the object named ``key``, which S3 says was ``written`` at that moment.

    Raises:
        CorruptObjectError: metadata is missing, cannot be read or contradicts itself or the name.
    """
    start = start_of_key(key)
    try:
        end, count = int(metadata[END_KEY]), int(metadata[COUNT_KEY])
        offsets, timestamps = _unpack(base64.b64decode(metadata[INDEX_KEY], validate=True), start)
        taken = _taken(metadata.get(TAKEN_KEY), timestamps, written)
    except (KeyError, ValueError, IndexError, binascii.Error, zlib.error) as error:
        raise CorruptObjectError(f"{key}: its metadata cannot be read: {error!r}") from error
    if len(offsets) != count:
        raise CorruptObjectError(f"{key}: {count} records according to its metadata, {len(offsets)} in its index")
    if end <= start or (offsets and offsets[-1] >= end):
        raise CorruptObjectError(f"{key}: its records reach beyond its end {end}")
    return ObjectIndex(end, offsets, timestamps, taken)


def _taken(noted: str | None, timestamps_ms: list[int], written: datetime) -> list[int]:
    """When each record came. Objects did not always note it: then it is when the object was written."""
    if noted == TAKEN_BY_KAFKA:
        return timestamps_ms
    moment = round(written.timestamp() * 1000) if noted is None else int(noted)
    return [moment] * len(timestamps_ms)


def decode_values(key: str, lines: Sequence[bytes]) -> list[bytes | None]:
    """The values that lines of the object ``key`` hold.

    Raises:
        CorruptObjectError: a line cannot be read.
    """
    try:
        return [decode_line(line) for line in lines]
    except CorruptLineError as error:
        raise CorruptObjectError(f"{key}: {error}") from error


def body_lines(key: str, body: bytes, count: int) -> list[bytes]:
    """The lines of a body, one for each record.

    Raises:
        CorruptObjectError: there are not ``count`` of them.
    """
    lines = body.split(b"\n")
    if lines.pop() or len(lines) != count:
        raise CorruptObjectError(f"{key}: {count} records according to its metadata, {len(lines)} whole lines")
    return lines


def _check_order(records: IncomingRecords, start: int, end: int) -> None:
    if end <= start:
        raise ValueError(f"an object cannot cover [{start}, {end})")
    if records and (records.offsets[0] < start or records.offsets[-1] >= end):
        raise ValueError(f"records {records.offsets[0]} to {records.offsets[-1]} are not all in [{start}, {end})")
    if not records.follow(start):
        raise ValueError(f"the records of [{start}, {end}) are not in the order of their offsets")


def _fitting_index(records: IncomingRecords, start: int) -> tuple[int, str]:
    """How many of the records fit, and their index. Halving is enough: nearly always all of them do."""
    count = len(records)
    while True:
        index = base64.b64encode(_pack(records.slice(0, count), start)).decode("ascii")
        if len(index) <= _MAX_INDEX_CHARACTERS:
            return count, index
        count //= 2


def _pack(records: IncomingRecords, start: int) -> bytes:
    """Count, then how many offsets each record skips, then how each timestamp differs from the one before.

    Most of these numbers are 0 or small and repeat, so compression leaves little of them.
    """
    numbers = [len(records)]
    numbers += [later - earlier - 1 for earlier, later in pairwise([start - 1, *records.offsets])]
    numbers += [_zigzag(later - earlier) for earlier, later in pairwise([0, *records.timestamps_ms])]
    return zlib.compress(b"".join([_SHORT[n] if n < len(_SHORT) else _varint(n) for n in numbers]), 9)


def _unpack(packed: bytes, start: int) -> tuple[list[int], list[int]]:
    numbers = _varints(zlib.decompress(packed))
    count = numbers[0]
    if len(numbers) != 1 + 2 * count:
        raise ValueError(f"an index of {count} records has {len(numbers)} numbers")
    skipped, differences = numbers[1 : 1 + count], numbers[1 + count :]
    offsets = list(map(add, accumulate(skipped), range(start, start + count)))
    timestamps = list(accumulate((difference >> 1) ^ -(difference & 1) for difference in differences))
    return offsets, timestamps


def _zigzag(number: int) -> int:
    """Small numbers of either sign become small numbers without one."""
    return number * 2 if number >= 0 else -number * 2 - 1


def _varint(number: int) -> bytes:
    digits = bytearray()
    while number > 127:
        digits.append(number & 127 | 128)
        number >>= 7
    digits.append(number)
    return bytes(digits)


def _varints(data: bytes) -> list[int]:
    # Before the search below, which takes the square of the time over bytes that end no number.
    if _OVERLONG.search(data):
        raise ValueError("a number of an index is longer than any can be")
    numbers: list[int] = []
    done = 0
    for match in _LONG_NUMBER.finditer(data):
        # Between the long ones each byte is a number, as nearly all are.
        numbers += data[done : match.start()]
        numbers.append(sum((byte & 127) << 7 * place for place, byte in enumerate(match[0])))
        done = match.end()
    numbers += data[done:]
    if data[-1] > 127:
        raise ValueError("the last number of an index is cut")
    return numbers
