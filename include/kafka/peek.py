"""A look at single records: which one is at an offset, and when Kafka took it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Consumer, KafkaError, Message, TopicPartition

from include.kafka.bounds import READER

SECONDS = 5.0
_POLL_SECONDS = 0.1
# One batch of a partition is enough, and Kafka sends a whole one however little is asked for.
_FETCH_BYTES = 64 * 1024
_QUEUE_KILOBYTES = 1024


@dataclass(frozen=True, slots=True)
class Seen:
    """A record's offset, and its Kafka timestamp in milliseconds since 1970, None when it has none that makes sense.

    In a topic with ``message.timestamp.type=LogAppendTime`` that is when Kafka took the record; in others it is what
    the producer says, the best that is known there.
    """

    offset: int
    timestamp_ms: int | None


Peek: TypeAlias = Seen | KafkaError | None
"""The first record from an offset on; None when there is none; an error where the client cannot read what is there."""


def first_records(
    kafka_config: Mapping[str, Any],
    topic: str,
    offsets: Mapping[int, int],
    *,
    committed: bool = True,
    seconds: float = SECONDS,
) -> dict[int, Peek]:
    """For each partition in ``offsets``, the first record at its offset or later.

    With ``committed`` False also records of transactions that are open. Joins no consumer group and commits nothing. A
    partition of which nothing came within ``seconds`` is not in the answer.

    Raises:
        confluent_kafka.KafkaException: the client could not be made.
    """
    found: dict[int, Peek] = {}
    if not offsets:
        return found
    deadline = time.monotonic() + seconds
    consumer = Consumer(_settings(kafka_config, committed=committed))
    try:
        consumer.assign([TopicPartition(topic, partition, offset) for partition, offset in offsets.items()])
        while offsets.keys() - found.keys() and time.monotonic() < deadline:
            message = consumer.poll(_POLL_SECONDS)
            if message is None:
                continue
            partition = message.partition()
            if partition is not None and partition in offsets and partition not in found:
                found[partition] = _peek(message)
    finally:
        consumer.close()
    return found


def _settings(kafka_config: Mapping[str, Any], *, committed: bool) -> dict[str, Any]:
    return {
        "log_level": 0,
        **kafka_config,
        "group.id": "paylake-peek",  # the library wants a name even where no group is joined
        "enable.auto.commit": False,
        "auto.offset.reset": "error",
        "isolation.level": "read_committed" if committed else "read_uncommitted",
        "enable.partition.eof": True,
        **READER,
        "fetch.message.max.bytes": _FETCH_BYTES,
        "queued.max.messages.kbytes": _QUEUE_KILOBYTES,
    }


def _peek(message: Message) -> Peek:
    error, offset = message.error(), message.offset()
    if error is not None:
        return None if error.code() == KafkaError._PARTITION_EOF else error
    kind, timestamp_ms = message.timestamp()
    known = kind != TIMESTAMP_NOT_AVAILABLE and timestamp_ms > 0
    return Seen(offset or 0, timestamp_ms if known else None)
