"""Which partitions the ingestion reads no further, and why: what its consumer group says."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, TopicPartition
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_fixed

from include.domains import Domain
from include.ingest.patience import kafka_passes

_PAUSE_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class StuckPartition:
    """A partition of ``topic`` that was stuck at ``offset``, the end of bronze, when the ingestion last said so.

    ``reason`` names offsets and error, and what can be done.
    """

    topic: str
    partition: int
    offset: int
    reason: str

    def __str__(self) -> str:
        return f"topic {self.topic}, partition {self.partition} is stuck at offset {self.offset}: {self.reason}"


def consumer_group(domain: Domain) -> str:
    """The group whose committed offsets show how far bronze is; nothing is read by them."""
    return f"paylake-bronze-{domain.name}"


def stuck_partitions(kafka: Mapping[str, Any], domain: Domain, seconds: float) -> list[StuckPartition]:
    """The domain's partitions that are stuck, in order. Waits ``seconds`` for the brokers at most.

    A following ingestion tells within five seconds, a bounded one when it ends. Where bronze is beyond ``offset``, the
    obstacle has been gone over since. ``kafka`` is a confluent_kafka configuration.

    Raises:
        confluent_kafka.KafkaException: Kafka does not answer.
    """
    # A consumer that only asks: it joins nothing. (The admin client's question has ended the process by a signal while
    # the group's coordinator was starting.)
    consumer = Consumer({**kafka, "group.id": consumer_group(domain), "enable.auto.commit": False})
    try:
        deadline = time.monotonic() + seconds
        known = consumer.list_topics(domain.topic, seconds).topics[domain.topic]
        asked = [TopicPartition(domain.topic, partition) for partition in known.partitions]
        committed = _committed(consumer, asked, deadline)
    finally:
        consumer.close()
    return sorted(
        (StuckPartition(one.topic, one.partition, one.offset, one.metadata) for one in committed if one.metadata),
        key=lambda stuck: stuck.partition,
    )


def _committed(consumer: Consumer, asked: list[TopicPartition], deadline: float) -> list[TopicPartition]:
    """What the group has committed; a coordinator that is just starting, or moves, is asked again."""
    if not asked:
        return []
    return Retrying(
        retry=retry_if_exception(kafka_passes),
        stop=stop_after_delay(deadline - time.monotonic()),
        wait=wait_fixed(_PAUSE_SECONDS),
        reraise=True,
    )(lambda: consumer.committed(asked, max(0.1, deadline - time.monotonic())))
