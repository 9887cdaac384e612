"""Kafka's side of an ingestion: the records of one topic id, from where bronze ends."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import groupby
from typing import Any

from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient

from include.ingest.buffer import PartitionBuffer
from include.ingest.errors import Gap, Obstacle, PositionBeyondEndError, way_out
from include.ingest.limits import Limits
from include.ingest.messages import record, records
from include.ingest.patience import Patience
from include.kafka.bounds import READER, too_large
from include.kafka.clients import RECONNECT, kafka_away
from include.kafka.topics import UnknownTopicError, end_offsets, start_offsets, topic_id
from include.kafka.unreadable import UNREADABLE, Probe, Unreadable
from include.lake.bronze_log import BronzeLog
from include.lake.unreadable import note

log = logging.getLogger(__name__)

# A request that was under way when a broker died may never be answered: ask again soon.
ANSWER_SECONDS = 5.0
_POLL_SECONDS = 0.05
# Fewer than Python's garbage collector would go through.
_POLL_MESSAGES = 500
# Kafka takes 4096 bytes (offset.metadata.max.bytes).
_METADATA_CHARACTERS = 1_000
_GONE = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.UNKNOWN_TOPIC_ID,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
    }
)
_OUT_OF_RANGE = frozenset({KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE})


class TopicReplacedError(Exception):
    """The topic no longer has the id that is being read: it was deleted, and perhaps made anew."""


def consumer_settings(config: Mapping[str, Any], group: str, limits: Limits) -> dict[str, Any]:
    """The consumer's configuration: the caller's, with what the delivery promise rests on.

    Nothing is stored or committed by the client itself, no position is ever chosen by it, and memory is bounded.
    """
    return {
        "group.id": group,
        **RECONNECT,
        **config,
        **READER,
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
    ``verify_id`` has seen that the topic still has the id: ids never come back, so everything fetched before is of it.

    ``stuck`` are the partitions that are read no further, and why: retention deleted records before they were read, or
    what Kafka has cannot be read. With ``over_gaps`` there are none, and ``gone_over`` says what was gone over.
    """

    def __init__(
        self,
        *,
        topic: str,
        topic_id: str,
        consumer: Consumer,
        consumer_config: Mapping[str, Any],
        admin: AdminClient,
        bronze: BronzeLog,
        patience: Patience,
        limits: Limits,
        over_gaps: bool,
    ) -> None:
        self.topic = topic
        self.topic_id = topic_id
        self.buffers: dict[int, PartitionBuffer] = {}
        self.stuck: dict[int, Obstacle] = {}
        self.gone_over: list[Obstacle] = []
        self._over_gaps = over_gaps
        self._consumer = consumer
        self._consumer_config = consumer_config
        self._admin = admin
        self._bronze = bronze
        self._patience = patience
        self._stall_seconds = limits.stall_seconds
        self._suspicious = False
        self._told: set[Obstacle] = set()
        # How long the consumer was listened to, in all; and by partition how far it was when something came last.
        self._listened = 0.0
        self._progress: dict[int, tuple[int, float]] = {}

    def refresh(self) -> dict[int, int]:
        """Take up partitions that are new and return where each partition ends now.

        Raises:
            TopicReplacedError: the topic has another id, or is gone.
            PositionBeyondEndError: Kafka ends before bronze does.
        """
        self._suspicious = False
        ends = self._ask(end_offsets)
        new = sorted(ends.keys() - self.buffers.keys())
        starts = self._ask(start_offsets) if new else {}
        self.verify_id()
        for partition in new:
            self._open(partition, starts.get(partition, 0), ends[partition])
        self._notice_silence(ends)
        if new:
            self.assign()
        return ends

    def retry(self) -> None:
        """Take up anew the partitions that are stuck.

        Bronze may have been brought over the obstacle; or Kafka can be read there again, from another replica say.

        Raises:
            TopicReplacedError, PositionBeyondEndError: as for ``refresh``.
        """
        ends, starts = self._ask(end_offsets), self._ask(start_offsets)
        self.verify_id()
        for partition in list(self.stuck):
            del self.stuck[partition]
            self._open(partition, starts[partition], ends[partition])
        self.assign()

    def verify_id(self) -> None:
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
            TopicReplacedError, PositionBeyondEndError: as for ``refresh``.
        """
        # Waiting for many at once would let the client fetch on meanwhile, without a bound on their bytes.
        began = time.monotonic()
        messages = self._consumer.consume(1, _POLL_SECONDS)
        messages += self._consumer.consume(_POLL_MESSAGES, 0)
        now = time.monotonic()
        self._listened += now - began
        for partition, run in groupby(messages, Message.partition):
            self._append_all(partition, list(run), now)
        if self._suspicious:
            self.refresh()

    def assign(self) -> None:
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
        """Tell the consumer group where bronze ends, and why a partition is stuck there.

        Nobody reads it but people who look at the group's lag, and ``include.ingest.stuck``.
        """
        ends = [
            TopicPartition(self.topic, partition, buffer.position, metadata=self._why_stuck(partition))
            for partition, buffer in self.buffers.items()
            if buffer.position > 0 or partition in self.stuck
        ]
        if ends:
            self._consumer.commit(offsets=ends, asynchronous=True)

    def close(self) -> None:
        """Leave."""
        self._consumer.close()

    def _why_stuck(self, partition: int) -> str:
        obstacle = self.stuck.get(partition)
        if obstacle is None:
            return ""
        return f"{obstacle}. {way_out(self.topic_id, obstacle)}"[:_METADATA_CHARACTERS]

    def _ask(self, question: Callable[[AdminClient, str, float], dict[int, int]]) -> dict[int, int]:
        try:
            return self._patience.with_kafka(lambda: question(self._admin, self.topic, ANSWER_SECONDS))
        except UnknownTopicError as error:
            raise TopicReplacedError from error

    def _open(self, partition: int, start: int, end: int) -> None:
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
        self.verify_id()
        if position > (end := newer[partition]):
            raise PositionBeyondEndError(self.topic, self.topic_id, partition, position, end)

    def _meet_gap(self, partition: int, start: int) -> None:
        buffer = self.buffers[partition]
        self._meet(Gap(partition, buffer.reached, start - 1))
        if self._over_gaps:
            buffer.reach(start, time.monotonic())

    def _meet_unreadable(self, partition: int, error: str) -> None:
        """The consumer cannot read on from where the partition's buffer ends."""
        buffer = self.buffers[partition]
        if not self._over_gaps:
            self._meet(Unreadable(partition, buffer.reached, None, error))
        else:
            end = self._ask(end_offsets)[partition]
            found = Probe(self._consumer_config, self.topic, partition).unreadable_at(buffer.reached, end)
            if found is not None:  # else it has passed
                # Where it ends nobody knows, the rest of the partition is given up.
                last = end - 1 if found.last is None else found.last
                found = replace(found, last=last)
                self._meet(found)
                now = time.monotonic()
                buffer.append(note(found, last), now)
                buffer.reach(last + 1, now)
        self.assign()

    def _meet(self, obstacle: Obstacle) -> None:
        if self._over_gaps:
            self.gone_over.append(obstacle)
        else:
            self.stuck[obstacle.partition] = obstacle
        if obstacle not in self._told:  # an obstacle is met again whenever its partition is tried again
            self._told.add(obstacle)
            advice = "gone over" if self._over_gaps else way_out(self.topic_id, obstacle)
            log.error("topic %s (%s): %s. %s", self.topic, self.topic_id, obstacle, advice)

    def _notice_silence(self, ends: Mapping[int, int]) -> None:
        """Some damage brings no error: the library waits for ever for the rest of a batch that is whole already."""
        for partition, buffer in self.buffers.items():
            reached, since = self._progress.get(partition, (-1, 0.0))
            if partition in self.stuck or buffer.reached != reached or buffer.reached >= ends[partition]:
                self._progress[partition] = (buffer.reached, self._listened)
            elif self._listened - since > self._stall_seconds:
                seconds = f"for {self._stall_seconds:.0f} s"
                self._meet_unreadable(partition, f"Kafka delivered nothing {seconds}, though it has more")

    def _append_all(self, partition: int | None, messages: list[Message], now: float) -> None:
        """Take messages of one partition, all at once when they are nothing but records, as they nearly always are."""
        buffer = None if partition is None or partition in self.stuck else self.buffers.get(partition)
        if buffer is not None and (taken := records(messages)) is not None:
            buffer.extend(taken, now)
        else:
            for message in messages:
                self._append(message, now)

    def _append(self, message: Message, now: float) -> None:
        error, partition, offset = message.error(), message.partition(), message.offset()
        if partition in self.stuck:  # the library may have leapt over what stopped it
            return
        if error is not None and error.code() != KafkaError._PARTITION_EOF:
            self._handle_error(error, partition)
            return
        buffer = None if partition is None else self.buffers.get(partition)
        if buffer is None or partition is None or offset is None:
            return
        if error is not None:
            buffer.reach(offset, now)
        elif offset >= buffer.reached and (large := too_large(message)):
            buffer.reach(offset, now)
            self._meet_unreadable(partition, large)
        else:
            buffer.append(record(message, offset), now)

    def _handle_error(self, error: KafkaError, partition: int | None) -> None:
        if error.code() in _OUT_OF_RANGE and partition in self.buffers:
            self._explain_out_of_range(partition)
        elif error.code() in UNREADABLE and partition in self.buffers:
            self._meet_unreadable(partition, error.str())
        elif error.code() in _GONE:
            self._suspicious = True
        elif kafka_away(error):
            log.warning("topic %s: %s", self.topic, error)
        else:
            raise KafkaException(error)

    def _explain_out_of_range(self, partition: int) -> None:
        """The consumer stopped reading the partition, because Kafka does not have its position."""
        ends = self.refresh()
        starts = self._ask(start_offsets)
        self.verify_id()
        buffer = self.buffers[partition]
        known = self._patience.with_s3(lambda: self._bronze.end_offset(self.topic_id, partition, buffer.position))
        buffer.advance(known)  # another writer may have been ahead
        self._check_end(partition, buffer.reached, ends[partition])
        if buffer.reached < starts[partition]:
            self._meet_gap(partition, starts[partition])
        else:
            log.warning("topic %s, partition %d: reading again from %d", self.topic, partition, buffer.reached)
        self.assign()
