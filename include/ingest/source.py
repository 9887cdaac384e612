"""Kafka's side of an ingestion: the records of one topic id, from where bronze ends."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient

from include.ingest.buffer import PartitionBuffer
from include.ingest.errors import PositionBeyondEndError, RetentionGapError
from include.ingest.limits import Limits
from include.ingest.patience import Patience, kafka_away
from include.kafka.topics import UnknownTopicError, end_offsets, start_offsets, topic_id
from include.lake.bronze_log import BronzeLog
from include.lake.records import IncomingRecord

log = logging.getLogger(__name__)

# A request that was under way when a broker died may never be answered: ask again soon.
ANSWER_SECONDS = 5.0
_POLL_SECONDS = 0.05
_POLL_MESSAGES = 2_000
_GONE = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.UNKNOWN_TOPIC_ID,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
    }
)
_OUT_OF_RANGE = frozenset({KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE})
# The library's default leaves up to 10 s between attempts to reach a broker that is back.
_RECONNECT = {"reconnect.backoff.max.ms": 1_000}
# An admin client warns about settings that only a consumer has.
_CONSUMER_ONLY = ("group.", "auto.offset.", "enable.auto.", "enable.partition.", "isolation.", "fetch.", "queued.")


class TopicReplacedError(Exception):
    """The topic no longer has the id that is being read: it was deleted, and perhaps made anew."""


def admin_client(config: Mapping[str, Any]) -> AdminClient:
    """A client for questions about topics, with a consumer's configuration."""
    settings = {key: value for key, value in config.items() if not key.startswith(_CONSUMER_ONLY)}
    return AdminClient({**_RECONNECT, **settings})


def consumer_settings(config: Mapping[str, Any], group: str, limits: Limits) -> dict[str, Any]:
    """The consumer's configuration: the caller's, with what the delivery promise rests on.

    Nothing is stored or committed by the client itself, no position is ever chosen by it, and memory is bounded.
    """
    return {
        "group.id": group,
        **_RECONNECT,
        **config,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",
        "isolation.level": "read_committed",
        "enable.partition.eof": True,
        "allow.auto.create.topics": False,
        "queued.max.messages.kbytes": limits.fetch_queue_kilobytes,
        "fetch.max.bytes": limits.fetch_queue_kilobytes * 1024,
    }


class TopicSource:
    """Reads all partitions of one topic id into buffers that begin where bronze ends.

    Kafka lets a deleted topic's name be used again at once, with offsets from 0. What was fetched counts only after
    ``verify`` has seen that the topic still has the id: ids never come back, so everything fetched before is of it.
    """

    def __init__(
        self,
        *,
        topic: str,
        topic_id: str,
        consumer: Consumer,
        admin: AdminClient,
        bronze: BronzeLog,
        patience: Patience,
    ) -> None:
        self.topic = topic
        self.topic_id = topic_id
        self.buffers: dict[int, PartitionBuffer] = {}
        self._consumer = consumer
        self._admin = admin
        self._bronze = bronze
        self._patience = patience
        self._suspicious = False

    def look(self) -> dict[int, int]:
        """Take up partitions that are new and return where each partition ends now.

        Raises:
            TopicReplacedError: the topic has another id, or is gone.
            RetentionGapError: records that are not in bronze are gone from Kafka.
            PositionBeyondEndError: Kafka ends before bronze does.
        """
        self._suspicious = False
        try:
            ends = self._patience.with_kafka(lambda: end_offsets(self._admin, self.topic, ANSWER_SECONDS))
            new = sorted(ends.keys() - self.buffers.keys())
            starts = (
                self._patience.with_kafka(lambda: start_offsets(self._admin, self.topic, ANSWER_SECONDS)) if new else {}
            )
        except UnknownTopicError as error:
            raise TopicReplacedError from error
        self.verify()
        for partition in new:
            self.buffers[partition] = self._buffer(partition, starts.get(partition, 0), ends[partition])
        if new:
            self._assign()
        return ends

    def verify(self) -> None:
        """Make sure that everything fetched so far is of this topic id.

        Raises:
            TopicReplacedError: the topic has another id, or is gone.
        """
        if self._patience.with_kafka(lambda: topic_id(self._admin, self.topic, ANSWER_SECONDS)) != self.topic_id:
            raise TopicReplacedError

    def poll(self) -> None:
        """Wait for records for a moment and put what came into the buffers.

        Raises:
            confluent_kafka.KafkaException: an error that does not pass.
            TopicReplacedError, RetentionGapError, PositionBeyondEndError: as for ``look``.
        """
        messages = self._consumer.consume(_POLL_MESSAGES, _POLL_SECONDS)
        now = time.monotonic()
        for message in messages:
            self._take(message, now)
        if self._suspicious:
            self.look()

    def skip_to(self, partition: int, offset: int) -> None:
        """Go on reading at ``offset``, because bronze has everything before it."""
        self._consumer.seek(TopicPartition(self.topic, partition, offset))

    def commit(self) -> None:
        """Tell the consumer group where bronze ends. Nobody reads it but people who look at the group's lag."""
        ends = [
            TopicPartition(self.topic, partition, buffer.position)
            for partition, buffer in self.buffers.items()
            if buffer.position > 0
        ]
        if ends:
            self._consumer.commit(offsets=ends, asynchronous=True)

    def close(self) -> None:
        """Leave."""
        self._consumer.close()

    def _buffer(self, partition: int, start: int, end: int) -> PartitionBuffer:
        position = self._patience.with_s3(lambda: self._bronze.end_offset(self.topic_id, partition))
        self._check_range(partition, position, start, end)
        # The first object begins at 0 whatever retention has left, so that all writers give it the same name.
        buffer = PartitionBuffer(position=position, reached=position)
        buffer.reach(start, time.monotonic())
        return buffer

    def _check_range(self, partition: int, position: int, start: int, end: int) -> None:
        if 0 < position < start:
            raise RetentionGapError(self.topic, self.topic_id, partition, position, start - 1)
        if position > end:
            raise PositionBeyondEndError(self.topic, self.topic_id, partition, position, end)

    def _assign(self) -> None:
        self._consumer.assign(
            [TopicPartition(self.topic, partition, buffer.reached) for partition, buffer in self.buffers.items()]
        )

    def _take(self, message: Message, now: float) -> None:
        partition = message.partition()
        error = message.error()
        buffer = None if partition is None else self.buffers.get(partition)
        offset = message.offset()
        if error is None and buffer is not None and offset is not None:
            timestamp_ms = message.timestamp()[1]
            buffer.add(IncomingRecord(offset, timestamp_ms, message.key(), message.value()), now)
        elif error is not None and error.code() == KafkaError._PARTITION_EOF:
            if buffer is not None and offset is not None:
                buffer.reach(offset, now)
        elif error is not None:
            self._take_error(error, partition)

    def _take_error(self, error: KafkaError, partition: int | None) -> None:
        if error.code() in _OUT_OF_RANGE and partition in self.buffers:
            self._explain_out_of_range(partition)
        elif error.code() in _GONE:
            self._suspicious = True
        elif kafka_away(error):
            log.warning("topic %s: %s", self.topic, error)
        else:
            raise KafkaException(error)

    def _explain_out_of_range(self, partition: int) -> None:
        """The consumer stopped reading the partition, because Kafka does not have its position."""
        ends = self.look()
        starts = self._patience.with_kafka(lambda: start_offsets(self._admin, self.topic, ANSWER_SECONDS))
        self.verify()
        buffer = self.buffers[partition]
        known = self._patience.with_s3(lambda: self._bronze.end_offset(self.topic_id, partition, buffer.position))
        buffer.advance(known)  # another writer may have been ahead
        self._check_range(partition, buffer.reached, starts[partition], ends[partition])
        buffer.reach(starts[partition], time.monotonic())
        log.warning("topic %s, partition %d: reading again from %d", self.topic, partition, buffer.reached)
        self._assign()
