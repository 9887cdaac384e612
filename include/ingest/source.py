"""Kafka's side of an ingestion: the records of one topic id, from where bronze ends."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from operator import methodcaller
from typing import Any

from confluent_kafka import (
    TIMESTAMP_LOG_APPEND_TIME,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient

from include.ingest.buffer import PartitionBuffer
from include.ingest.errors import Gap, PositionBeyondEndError
from include.ingest.limits import Limits
from include.ingest.patience import Patience, kafka_away
from include.kafka.topics import UnknownTopicError, end_offsets, start_offsets, topic_id
from include.lake.bronze_log import BronzeLog
from include.lake.records import Headers, IncomingRecord

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
# Where a header's name is not UTF-8, the library returns a list with a null pointer in it and an exception beside it.
# A plain call, once Python has specialised it, would take the list, and fail or crash later; this one always checks.
_library_headers: Callable[[Message], list[tuple[str, bytes | None]] | None] = methodcaller("headers")
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

    ``gaps`` are the offsets that retention deleted before they were read. A partition that has one is read no further,
    unless ``over_gaps``.
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
        over_gaps: bool,
    ) -> None:
        self.topic = topic
        self.topic_id = topic_id
        self.buffers: dict[int, PartitionBuffer] = {}
        self.gaps: list[Gap] = []
        self._over_gaps = over_gaps
        self._consumer = consumer
        self._admin = admin
        self._bronze = bronze
        self._patience = patience
        self._suspicious = False

    @property
    def stuck(self) -> frozenset[int]:
        """The partitions that are read no further."""
        return frozenset() if self._over_gaps else frozenset(gap.partition for gap in self.gaps)

    def look(self) -> dict[int, int]:
        """Take up partitions that are new and return where each partition ends now.

        Raises:
            TopicReplacedError: the topic has another id, or is gone.
            PositionBeyondEndError: Kafka ends before bronze does.
        """
        self._suspicious = False
        ends = self._ask(end_offsets)
        new = sorted(ends.keys() - self.buffers.keys())
        starts = self._ask(start_offsets) if new else {}
        self.verify()
        for partition in new:
            self._take_up(partition, starts.get(partition, 0), ends[partition])
        if new:
            self.read_on()
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
            TopicReplacedError, PositionBeyondEndError: as for ``look``.
        """
        # Waiting for many at once would let the client fetch on meanwhile, without a bound on their bytes.
        messages = self._consumer.consume(1, _POLL_SECONDS)
        messages += self._consumer.consume(_POLL_MESSAGES, 0)
        now = time.monotonic()
        for message in messages:
            self._take(message, now)
        if self._suspicious:
            self.look()

    def read_on(self) -> None:
        """Read each partition from where its buffer ends, wherever the consumer is.

        Not by ``seek``: that fails for a partition whose position Kafka has just refused.
        """
        self._consumer.assign(
            [
                TopicPartition(self.topic, partition, buffer.reached)
                for partition, buffer in self.buffers.items()
                if partition not in self.stuck
            ]
        )

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

    def _ask(self, question: Callable[[AdminClient, str, float], dict[int, int]]) -> dict[int, int]:
        try:
            return self._patience.with_kafka(lambda: question(self._admin, self.topic, ANSWER_SECONDS))
        except UnknownTopicError as error:
            raise TopicReplacedError from error

    def _take_up(self, partition: int, start: int, end: int) -> None:
        position = self._patience.with_s3(lambda: self._bronze.end_offset(self.topic_id, partition))
        self._check_end(partition, position, end)
        buffer = self.buffers[partition] = PartitionBuffer(position=position, reached=position)
        if position >= start:
            return
        if position > 0:
            self._meet_gap(partition, start)
            return
        log.warning("topic %s, partition %d: Kafka begins at %d, and so does bronze", self.topic, partition, start)
        # The first object begins at 0 whatever retention has left, so that all writers give it the same name.
        buffer.reach(start, time.monotonic())

    def _check_end(self, partition: int, position: int, end: int) -> None:
        if position <= end:
            return
        # Another writer may have brought into bronze what came to Kafka since it was asked for ``end``.
        newer = self._ask(end_offsets)
        self.verify()
        if position > (end := newer[partition]):
            raise PositionBeyondEndError(self.topic, self.topic_id, partition, position, end)

    def _meet_gap(self, partition: int, start: int) -> None:
        buffer = self.buffers[partition]
        gap = Gap(partition, buffer.reached, start - 1)
        log.error("topic %s (%s): offsets are gone and were never ingested: %s", self.topic, self.topic_id, gap)
        self.gaps.append(gap)
        if self._over_gaps:
            buffer.reach(start, time.monotonic())

    def _take(self, message: Message, now: float) -> None:
        partition = message.partition()
        error = message.error()
        buffer = None if partition is None else self.buffers.get(partition)
        offset = message.offset()
        if error is None and buffer is not None and offset is not None:
            buffer.add(_record(message, offset), now)
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
        starts = self._ask(start_offsets)
        self.verify()
        buffer = self.buffers[partition]
        known = self._patience.with_s3(lambda: self._bronze.end_offset(self.topic_id, partition, buffer.position))
        buffer.advance(known)  # another writer may have been ahead
        self._check_end(partition, buffer.reached, ends[partition])
        if buffer.reached < starts[partition]:
            self._meet_gap(partition, starts[partition])
        else:
            log.warning("topic %s, partition %d: reading again from %d", self.topic, partition, buffer.reached)
        self.read_on()


def _record(message: Message, offset: int) -> IncomingRecord:
    kind, timestamp_ms = message.timestamp()
    appended = kind == TIMESTAMP_LOG_APPEND_TIME
    return IncomingRecord(offset, timestamp_ms, message.key(), message.value(), _headers(message), appended)


def _headers(message: Message) -> Headers | None:
    try:
        return tuple(_library_headers(message) or ())
    except SystemError:  # what the library answers where a name is not UTF-8
        return None
