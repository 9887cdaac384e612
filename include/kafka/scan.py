"""Reading a whole topic once, from its first record to where it ends now."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient

from include.kafka.topics import end_offsets, start_offsets

_BATCH = 5_000
_BATCH_SECONDS = 0.2


class StalledError(TimeoutError):
    """Kafka sent nothing for too long before the end of the topic was reached; the message names what is missing."""


def scan(kafka_config: Mapping[str, Any], topic: str, stall_seconds: float = 30.0) -> Iterator[Message]:
    """Every committed record of ``topic`` up to the end offsets of this moment, in order within each partition.

    Joins no consumer group and commits nothing. ``kafka_config`` is a confluent_kafka configuration. Records that
    retention removes during the scan are left out.

    Raises:
        include.kafka.topics.UnknownTopicError: there is no such topic.
        StalledError: nothing came for ``stall_seconds``.
        confluent_kafka.KafkaException: the topic cannot be read, because it was deleted for example.
    """
    admin = AdminClient(dict(kafka_config))
    ends = end_offsets(admin, topic)
    starts = start_offsets(admin, topic)
    left = {partition for partition, end in ends.items() if starts[partition] < end}
    consumer = Consumer(
        {
            **kafka_config,
            "group.id": "paylake-scan",  # the library wants a name even where no group is joined
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
        }
    )
    try:
        consumer.assign([TopicPartition(topic, partition, starts[partition]) for partition in left])
        heard = time.monotonic()
        while left:
            messages = consumer.consume(_BATCH, _BATCH_SECONDS)
            for message in messages:
                record, partition, offset = _read(message)
                if record is not None and offset < ends[partition]:
                    yield record
                # The end of a partition may also be one that no record shows, after an aborted transaction say.
                if record is None or offset + 1 >= ends[partition]:
                    left.discard(partition)
            if messages:
                heard = time.monotonic()
            elif time.monotonic() - heard > stall_seconds:
                raise StalledError(f"topic {topic}: no end of partitions {sorted(left)} after {stall_seconds:g} s")
    finally:
        consumer.close()


def _read(message: Message) -> tuple[Message | None, int, int]:
    """The record (None for the mark at a partition's end), its partition and offset.

    A record with an empty value is falsy: ask whether it is None.
    """
    error, partition, offset = message.error(), message.partition(), message.offset()
    if error is not None and error.code() != KafkaError._PARTITION_EOF:
        raise KafkaException(error)
    if partition is None or offset is None:
        raise ValueError("a consumed message has no coordinates")
    return (message if error is None else None), partition, offset
