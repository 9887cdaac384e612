"""Reading a whole topic once, from its first record to where it ends now."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby, pairwise, starmap
from operator import lt
from threading import Event
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient

from include.kafka.bounds import MAX_RECORD_BYTES, READER, too_large
from include.kafka.topics import end_offsets, start_offsets
from include.kafka.unreadable import UNREADABLE, Probe, Unreadable

# Few enough that they are gone before Python's garbage collector looks at them, which takes as long as reading them.
_BATCH = 500
_BATCH_SECONDS = 0.05
_TRIES = 3
# Having fetched so much, the library pauses, by default for a whole second, however soon that is taken. It counts the
# bytes of values only, so the number of messages is bounded, too.
_READ_AHEAD = {
    "queued.min.messages": 300_000,
    "queued.max.messages.kbytes": 64 * 1024,
    "fetch.queue.backoff.ms": 10,
}

# A record always has these; only errors of a whole client have none.
_partition: Callable[[Message], int] = Message.partition  # type: ignore[assignment]
_offset: Callable[[Message], int] = Message.offset  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class Run:
    """Records of one partition in the order of their offsets, with these beside them."""

    partition: int
    offsets: list[int]
    messages: list[Message]


def scan(
    kafka_config: Mapping[str, Any],
    topic: str,
    unreadable: Callable[[Unreadable], None],
    stall_seconds: float = 30.0,
) -> Iterator[Message]:
    """The records of ``scan_runs`` one by one; arguments and errors are the same."""
    for run in scan_runs(kafka_config, topic, unreadable, stall_seconds):
        yield from run.messages


def scan_runs(
    kafka_config: Mapping[str, Any],
    topic: str,
    unreadable: Callable[[Unreadable], None],
    stall_seconds: float = 30.0,
    unwanted: Event | None = None,
) -> Iterator[Run]:
    """Every committed record of ``topic`` up to the end offsets of this moment, in order within each partition.

    Joins no consumer group and commits nothing. ``kafka_config`` is a confluent_kafka configuration. Records that
    retention removes during the scan are left out. What cannot be read is handed to ``unreadable``, with its last
    offset, and gone over. Where nobody knows how far it goes, or nothing comes for ``stall_seconds`` though Kafka
    answers, it is the rest of the partition. It ends early once the rest is ``unwanted``.

    Raises:
        include.kafka.topics.UnknownTopicError: there is no such topic.
        include.kafka.topics.TopicTimeoutError: Kafka does not answer any more.
        confluent_kafka.KafkaException: the topic cannot be read, because it was deleted for example.
    """
    found = _Scan(kafka_config, topic, unreadable)
    try:
        heard = time.monotonic()
        while found.left and not (unwanted and unwanted.is_set()):
            messages = found.consumer.consume(_BATCH, _BATCH_SECONDS)
            yield from found.take(messages)
            found.go_over_failures()
            if messages:
                heard = time.monotonic()
            elif time.monotonic() - heard > stall_seconds:
                found.give_up(f"Kafka delivered nothing for {stall_seconds:.0f} s, though it has more")
    finally:
        found.consumer.close()


class _Scan:
    """One scan; ``left`` has the next offset of each partition that is not at its end yet."""

    def __init__(self, config: Mapping[str, Any], topic: str, unreadable: Callable[[Unreadable], None]) -> None:
        self._config = config
        self._topic = topic
        self._unreadable = unreadable
        self._admin = AdminClient(dict(config))
        self._ends = end_offsets(self._admin, topic)
        starts = start_offsets(self._admin, topic)
        self.left = {partition: starts[partition] for partition, end in self._ends.items() if starts[partition] < end}
        self._failed: dict[int, str] = {}
        self._tries: Counter[tuple[int, int]] = Counter()
        self.consumer = Consumer(
            {
                **config,
                **READER,
                "group.id": "paylake-scan",  # the library wants a name even where no group is joined
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                **_READ_AHEAD,
            }
        )
        self._assign()

    def take(self, messages: list[Message]) -> Iterator[Run]:
        """Note how far the messages bring their partitions, and give those that are records of the scan."""
        for partition, group in groupby(messages, _partition):
            together = list(group)
            if not self._take_all(partition, together):
                together = list(filter(self._take_one, together))
            if together:
                yield Run(partition, list(map(_offset, together)), together)

    def _take_all(self, partition: int, messages: list[Message]) -> bool:
        """Take the messages of a partition together, where nothing about them needs a closer look, as nearly always."""
        if partition in self._failed or partition not in self.left:
            return False
        if any(error is not None for error in map(Message.error, messages)):
            return False
        end, offsets = self._ends[partition], list(map(_offset, messages))
        if offsets[0] < self.left[partition] or offsets[-1] >= end or not all(starmap(lt, pairwise(offsets))):
            return False
        # Where all of them together are not too large, none of them is.
        if _size(map(Message.key, messages)) + _size(map(Message.value, messages)) > MAX_RECORD_BYTES:
            return False
        self.left[partition] = offsets[-1] + 1
        if offsets[-1] + 1 == end:
            del self.left[partition]
        return True

    def _take_one(self, message: Message) -> bool:
        """Note how far the message brings its partition; whether it is a record of the scan."""
        error, partition, offset = message.error(), _partition(message), _offset(message)
        if partition in self._failed:
            return False  # behind what stopped it
        if error is not None and error.code() not in (KafkaError._PARTITION_EOF, *UNREADABLE):
            raise KafkaException(error)
        if partition not in self.left or (error is None and offset < self.left[partition]):
            return False  # behind its end, or read already
        if error is not None and error.code() in UNREADABLE:
            self._failed[partition] = error.str()
            return False
        if error is None and (large := too_large(message)):
            self.left[partition] = offset
            self._failed[partition] = large
            return False
        self.left[partition] = offset + 1
        # The end of a partition may also be one that no record shows, after an aborted transaction say.
        if error is not None or offset + 1 >= self._ends[partition]:
            del self.left[partition]
        return error is None and offset < self._ends[partition]

    def go_over_failures(self) -> None:
        """Read on behind what could not be read."""
        if not self._failed:
            return
        for partition, error in self._failed.items():
            first = self.left[partition]
            found = Probe(self._config, self._topic, partition).unreadable_at(first, self._ends[partition])
            self._tries[partition, first] += 1
            if found is None and self._tries[partition, first] == _TRIES:  # the two do not agree
                found = Unreadable(partition, first, None, error)
            if found is not None:
                self._go_over(found)
        self._failed.clear()
        self._assign()

    def give_up(self, error: str) -> None:
        """Read no further, because nothing comes, unless Kafka does not answer at all: then that is raised."""
        end_offsets(self._admin, self._topic)
        for partition, first in list(self.left.items()):
            self._go_over(Unreadable(partition, first, None, error))

    def _go_over(self, found: Unreadable) -> None:
        end = self._ends[found.partition]
        last = end - 1 if found.last is None else found.last
        self._unreadable(replace(found, last=last))
        self.left[found.partition] = last + 1
        if last + 1 >= end:
            del self.left[found.partition]

    def _assign(self) -> None:
        places = [TopicPartition(self._topic, partition, offset) for partition, offset in self.left.items()]
        self.consumer.assign(places)


def _size(parts: Iterable[bytes | None]) -> int:
    return sum(map(len, filter(None, parts)))
