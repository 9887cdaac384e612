"""Batches that a client cannot read: what tells them, and how far they go.

A damaged batch, one that unpacks to more than a client may hold, or a codec that it does not know: each poll of the
client library brings the same error, and nothing behind it. Whoever wants to go on has to begin behind the batch. Where
that is no error says; but reading from any offset of the batch brings its error, with its first offset in it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from include.kafka.bounds import READER, too_large

_UNPARSED = frozenset(
    {
        KafkaError._BAD_MSG,
        KafkaError._BAD_COMPRESSION,
        KafkaError._NOT_IMPLEMENTED,
        KafkaError._UNDERFLOW,
        KafkaError._CRIT_SYS_RESOURCE,
    }
)
"""The client has the batch and cannot unpack it. These errors have the batch's first offset."""
_UNDELIVERED = frozenset({KafkaError.INVALID_MSG, KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.UNKNOWN})
"""The broker cannot find or read the batch. These errors have the offset that was asked for."""
UNREADABLE = _UNPARSED | _UNDELIVERED
"""The codes of errors that stop a client at an offset of one partition."""

_POLL_SECONDS = 0.1
_SILENT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Unreadable:
    """What Kafka has of one partition and cannot be read: from the offset ``first`` to ``last``.

    ``last`` is None where it is not known how far it goes. ``error`` is what the client library, or the broker, says.
    """

    partition: int
    first: int
    last: int | None
    error: str

    def __str__(self) -> str:
        which = f"offset {self.first}" if self.last in (None, self.first) else f"offsets {self.first} to {self.last}"
        return f"{which} of partition {self.partition} cannot be read: {self.error}"


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why nothing can be read from an offset on; ``batch`` is the first offset of the batch, if it is known."""

    error: str
    batch: int | None


class Probe:
    """Tries to read one partition at chosen offsets, each time with a new consumer, which joins no group.

    A consumer that failed once may still tell of that when it is asked for another offset. What is not about a batch
    is raised as ``confluent_kafka.KafkaException``: an offset or a topic that is gone, a login that may not read it.
    """

    def __init__(self, kafka_config: Mapping[str, Any], topic: str, partition: int) -> None:
        self._topic = topic
        self._partition = partition
        self._settings: dict[str, Any] = {
            **kafka_config,
            **READER,
            "group.id": "paylake-probe",  # the library wants a name even where no group is joined
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "allow.auto.create.topics": False,
        }

    def unreadable_at(self, first: int, end: int) -> Unreadable | None:
        """What cannot be read from ``first`` on, one batch of it; None when it can be read.

        ``end`` is where the partition ends. Only where the client has the batch it is known how far that goes.
        """
        failure = self._failure_at(first)
        if failure is None:
            return None
        if failure.batch is None:
            return Unreadable(self._partition, first, None, failure.error)
        # Not by larger and larger steps: they could leap over what can be read to the next batch that cannot.
        low, high = first, end
        while high - low > 1:
            middle = (low + high) // 2
            found = self._failure_at(middle)
            if found is not None and found.batch == failure.batch:
                low = middle
            else:
                high = middle
        return Unreadable(self._partition, first, low, failure.error)

    def _failure_at(self, offset: int) -> _Failure | None:
        consumer = Consumer(self._settings)
        try:
            consumer.assign([TopicPartition(self._topic, self._partition, offset)])
            return self._first_answer(consumer, offset)
        finally:
            consumer.close()

    def _first_answer(self, consumer: Consumer, offset: int) -> _Failure | None:
        deadline = time.monotonic() + _SILENT_SECONDS
        while time.monotonic() < deadline:
            message = consumer.poll(_POLL_SECONDS)
            if message is None:
                continue
            error, batch = message.error(), message.offset()
            if error is None:
                large = too_large(message) if batch == offset else None
                return _Failure(large, batch) if large else None
            if error.code() == KafkaError._PARTITION_EOF:
                return None
            if error.code() in _UNPARSED:
                return _Failure(error.str(), batch)
            if error.code() in _UNDELIVERED:
                return _Failure(error.str(), None)
            if message.partition() == self._partition:  # others are of a connection, and pass
                raise KafkaException(error)
        return _Failure(f"Kafka delivered nothing for {_SILENT_SECONDS:.0f} s, though it has more", None)
