"""What Kafka holds of a topic: where it ends, and then each record's offset and checksum."""

from __future__ import annotations

import time
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from threading import Event
from typing import Any

import numpy as np
from confluent_kafka import KafkaException, Message
from confluent_kafka.admin import AdminClient
from numpy.typing import NDArray

from include.domains import Domain
from include.kafka.clients import admin_client
from include.kafka.scan import scan_runs
from include.kafka.topics import CHANGING, UnknownTopicError, end_offsets, start_offsets, topic_id
from include.kafka.unreadable import Unreadable
from include.verify.offsets import Offsets

NULL_CHECKSUM = -1
"""Stands for a null value; Python's hash is never -1."""

_SETTLE_SECONDS = 10.0
_POLL_SECONDS = 0.1


class TopicChangedError(RuntimeError):
    """The topic was deleted or made anew while it was read."""


@dataclass(frozen=True, slots=True)
class FixedTopic:
    """A topic and the end of each partition at one moment: what was produced by then has to be somewhere."""

    topic_id: str
    ends: dict[int, int]


@dataclass(frozen=True, slots=True)
class KafkaPartition:
    """The records of a partition from ``start``, the first offset that retention has left.

    ``unreadable`` is what could not be read, in order; each has its last offset.
    """

    start: int
    offsets: Offsets
    checksums: NDArray[np.int64]
    unreadable: tuple[Unreadable, ...]


def checksums(values: Iterable[bytes | None]) -> list[int]:
    """Each record's value as a number of 64 bits to compare by in this process, or ``NULL_CHECKSUM``."""
    # SipHash, under a key that is new in each process: a third of the time that CRC-32 takes, and nobody can aim at it.
    return [NULL_CHECKSUM if value is None else hash(value) for value in values]


def fix_end(kafka: Mapping[str, Any], domain: Domain) -> FixedTopic | None:
    """Where the domain's topic ends now; None when there is no such topic.

    Raises:
        TopicChangedError: it is made anew again and again.
        include.kafka.topics.TopicTimeoutError, confluent_kafka.KafkaException: Kafka does not answer, or refuses.
    """
    admin = admin_client(kafka)
    deadline = time.monotonic() + _SETTLE_SECONDS
    while time.monotonic() < deadline:
        found = topic_id(admin, domain.topic)
        if found is None:
            return None
        try:
            ends = end_offsets(admin, domain.topic)
        except (UnknownTopicError, KafkaException) as error:
            if not _is_changing(error):
                raise
            time.sleep(_POLL_SECONDS)
            continue
        if topic_id(admin, domain.topic) == found:
            return FixedTopic(found, ends)
    raise TopicChangedError(
        f"topic {domain.topic} did not settle in {_SETTLE_SECONDS:.0f} s: it is made anew all the time"
    )


def read_topic(
    kafka: Mapping[str, Any], domain: Domain, fixed: FixedTopic, unwanted: Event
) -> dict[int, KafkaPartition]:
    """Every committed record of the topic before its fixed ends, by partition.

    Fewer once the answer is ``unwanted``.

    Raises:
        TopicChangedError: the topic is not the fixed one any more.
        include.kafka.topics.TopicTimeoutError, confluent_kafka.KafkaException: Kafka does not answer, or refuses.
    """
    # Machine numbers, not Python objects: 16 bytes a record.
    offsets = {partition: array("q") for partition in fixed.ends}
    sums = {partition: array("q") for partition in fixed.ends}
    unreadable: list[Unreadable] = []
    try:
        for run in scan_runs(kafka, domain.topic, unreadable.append, unwanted=unwanted):
            if run.partition in fixed.ends:
                offsets[run.partition].extend(run.offsets)
                sums[run.partition].extend(checksums(map(Message.value, run.messages)))
        admin: AdminClient = admin_client(kafka)
        starts = start_offsets(admin, domain.topic)
    except (UnknownTopicError, KafkaException) as error:
        if not _is_changing(error):
            raise
        raise TopicChangedError(f"topic {domain.topic} was deleted while it was read") from error
    if topic_id(admin, domain.topic) != fixed.topic_id:
        raise TopicChangedError(f"topic {domain.topic} was made anew while it was read")
    return {
        partition: _within(
            starts[partition],
            end,
            np.asarray(offsets[partition]),
            np.asarray(sums[partition]),
            [found for found in unreadable if found.partition == partition and found.first < end],
        )
        for partition, end in fixed.ends.items()
    }


def _is_changing(error: UnknownTopicError | KafkaException) -> bool:
    """Whether the error says that the topic is being deleted, or made."""
    return isinstance(error, UnknownTopicError) or error.args[0].code() in CHANGING


def _within(
    start: int, end: int, offsets: Offsets, sums: NDArray[np.int64], unreadable: Sequence[Unreadable]
) -> KafkaPartition:
    """Retention may have gone on while the topic was read: only what it has left can be compared."""
    first, last = np.searchsorted(offsets, [start, end])
    return KafkaPartition(start, offsets[first:last], sums[first:last], tuple(unreadable))
