"""Which partitions the ingestion reads no further, and why: what its consumer group says."""

from __future__ import annotations

from dataclasses import dataclass

from confluent_kafka import ConsumerGroupTopicPartitions
from confluent_kafka.admin import AdminClient

from include.domains import Domain


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


def stuck_partitions(admin: AdminClient, domain: Domain, seconds: float) -> list[StuckPartition]:
    """The domain's partitions that are stuck, in order. Waits ``seconds`` for the broker at most.

    A following ingestion tells within five seconds, a bounded one when it ends. Where bronze is beyond ``offset``, the
    obstacle has been gone over since.

    Raises:
        confluent_kafka.KafkaException: Kafka does not answer.
    """
    group = consumer_group(domain)
    asked = ConsumerGroupTopicPartitions(group)
    answer = admin.list_consumer_group_offsets([asked], request_timeout=seconds)[group].result()
    return sorted(
        (
            StuckPartition(one.topic, one.partition, one.offset, one.metadata)
            for one in answer.topic_partitions or []
            if one.topic == domain.topic and one.metadata
        ),
        key=lambda stuck: stuck.partition,
    )
