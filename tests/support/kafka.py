"""A plain client of the test's Kafka."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # the library forgot to list one

from include.kafka.topics import end_offsets
from include.settings import Settings
from tests.support.records import encoded
from tests.support.waiting import wait_until


class Kafka:
    """A plain client of the test's Kafka."""

    def __init__(self, settings: Settings) -> None:
        self.config: dict[str, Any] = {"bootstrap.servers": settings.kafka_bootstrap_servers}
        self.admin = AdminClient(self.config)

    def create(self, topic: str, partitions: int = 2, **config: str) -> None:
        """Make a topic and wait for its leaders; a name that is still being deleted is waited for."""

        def created() -> bool:
            new = NewTopic(topic, partitions, config={key.replace("_", "."): value for key, value in config.items()})
            try:
                self.admin.create_topics([new])[topic].result()
            except KafkaException as error:
                if "marked for deletion" in str(error) or "already exists" in str(error):
                    return False
                raise
            return True

        wait_until(created, f"topic {topic}")
        wait_until(lambda: self.has_leaders(topic, partitions), f"the leaders of {topic}")

    def delete(self, topic: str) -> None:
        """Delete a topic; Kafka says so before it is gone."""
        self.admin.delete_topics([topic])[topic].result()

    def produce(self, topic: str, values: Sequence[bytes | None], partition: int = 0, spread_ms: int = 0) -> None:
        """``spread_ms``: how far the records' times lie apart at random, which makes the index of an object large."""
        producer = Producer({**self.config, "linger.ms": 5})
        now = int(time.time() * 1000)
        for value in values:
            timestamp = now - random.randrange(spread_ms) if spread_ms else now  # noqa: S311  # no secret
            producer.produce(topic, value, key=b"key", partition=partition, timestamp=timestamp)
        assert producer.flush(60) == 0

    def delete_before(self, topic: str, partition: int, offset: int) -> None:
        """What retention does, at once."""
        for answer in self.admin.delete_records([TopicPartition(topic, partition, offset)]).values():
            answer.result()

    def produce_transaction(self, topic: str, values: Sequence[bytes], *, commit: bool, partition: int = 0) -> None:
        """Send the values in one transaction, and wait for the mark of its end."""
        before = end_offsets(self.admin, topic)[partition]
        producer = Producer({**self.config, "transactional.id": f"{topic}-{uuid.uuid4().hex}"})
        producer.init_transactions(60)
        producer.begin_transaction()
        for value in values:
            producer.produce(topic, value, partition=partition)
        assert producer.flush(60) == 0
        if commit:
            producer.commit_transaction(60)
        else:
            producer.abort_transaction(60)
        # Kafka answers before it has written the transaction's mark.
        end = before + len(values) + 1
        wait_until(lambda: end_offsets(self.admin, topic)[partition] == end, "the transaction's mark")

    def has_leaders(self, topic: str, partitions: int) -> bool:
        """Whether the topic has that many partitions, each with a broker that serves it."""
        try:
            return len(end_offsets(self.admin, topic)) == partitions
        except (KafkaException, LookupError):
            return False


def produce(
    settings: Settings,
    topic: str,
    values: Iterable[Mapping[str, Any] | bytes | None],
    partitions: Sequence[int] | None = None,
    *,
    keyed: bool = True,
) -> None:
    """Send the values in their order to these partitions in turn; without any, to where one of 50 keys belongs.

    A key that the record does not repeat makes bronze keep both in an envelope; ``keyed`` says whether to send one.

    Raises:
        KafkaException: Kafka refused one.
    """
    # As much as a broker takes by default; the library's own default is a little less.
    limits = {"enable.idempotence": True, "message.max.bytes": 1_048_588}
    producer = Producer({"bootstrap.servers": settings.kafka_bootstrap_servers, **limits})
    for number, value in enumerate(values):
        raw = encoded(value) if isinstance(value, Mapping) else value
        place: dict[str, Any] = {} if partitions is None else {"partition": partitions[number % len(partitions)]}
        key = f"U{number % 50}" if keyed else None
        producer.produce(topic, raw, key, on_delivery=_raise, **place)
        producer.poll(0)
    assert producer.flush(60) == 0


def _raise(error: KafkaError | None, _: object) -> None:
    if error is not None:
        raise KafkaException(error)
