"""Records that nobody may read yet: those behind an open transaction.

A ``read_committed`` consumer is given nothing after the first record of a transaction that was neither committed nor
aborted, whoever produced it: good records of other producers wait too. Kafka aborts a transaction after the producer's
``transaction.timeout.ms``, 15 minutes at most unless the broker allows more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka.admin import AdminClient

from include.kafka.peek import Seen, first_records
from include.kafka.topics import DEFAULT_TIMEOUT, end_offsets, written_offsets


@dataclass(frozen=True, slots=True)
class OpenTransaction:
    """The records of one partition that wait behind an open transaction, or are in it.

    ``offset`` is the first one's. ``records`` counts the offsets up to the partition's end: the records, and the marks
    that transactions leave. ``since_ms`` is the first one's Kafka timestamp, None when it has none.
    """

    topic: str
    partition: int
    offset: int
    records: int
    since_ms: int | None


def open_transactions(
    admin: AdminClient, kafka_config: Mapping[str, Any], topic: str, timeout: float = DEFAULT_TIMEOUT
) -> list[OpenTransaction]:
    """Where records of ``topic`` wait behind an open transaction now.

    One that ended while it was looked at is left out.

    Raises:
        include.kafka.topics.UnknownTopicError: there is no such topic.
        confluent_kafka.KafkaException, include.kafka.topics.TopicTimeoutError: Kafka does not answer.
    """
    written = written_offsets(admin, topic, timeout)
    readable = end_offsets(admin, topic, timeout)
    held = {partition: end for partition, end in readable.items() if end < written.get(partition, 0)}
    if not held:
        return []
    first = first_records(kafka_config, topic, held, committed=False)
    still = end_offsets(admin, topic, timeout)
    return [
        OpenTransaction(topic, partition, offset, written[partition] - offset, _time(first.get(partition)))
        for partition, offset in held.items()
        if still.get(partition) == offset
    ]


def _time(peek: object) -> int | None:
    return peek.timestamp_ms if isinstance(peek, Seen) else None
