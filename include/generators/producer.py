"""A Kafka producer that either delivers every record, once and in order, or raises."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Self

from confluent_kafka import KafkaError, KafkaException, Message, Producer

FLUSH_SECONDS = 60.0
_QUEUE_SECONDS = 60.0
_POLL_SECONDS = 0.1

# Defaults that the caller's configuration may change.
_TUNING: Mapping[str, Any] = {
    "client.id": "paylake-generator",
    "linger.ms": 20,
    "batch.size": 256 * 1024,
    "compression.type": "lz4",
    "delivery.timeout.ms": 30_000,
    "queue.buffering.max.messages": 100_000,
    "queue.buffering.max.kbytes": 64 * 1024,
}
# What the promise rests on, which the caller cannot change. Deliveries that succeed need no call into Python.
_GUARANTEES: Mapping[str, Any] = {"enable.idempotence": True, "acks": "all", "delivery.report.only.error": True}


class DeliveryError(RuntimeError):
    """A record did not reach Kafka.

    ``topic``, ``key`` and ``reason`` are those of the first record that failed; ``failed`` counts the failed records
    known so far.
    """

    def __init__(self, topic: str, key: bytes | None, reason: str, failed: int = 1) -> None:
        more = f" (and {failed - 1} more records)" if failed > 1 else ""
        super().__init__(f"record {_shown(key)} was not delivered to topic {topic}: {reason}{more}")
        self.topic = topic
        self.key = key
        self.reason = reason
        self.failed = failed


class RecordProducer:
    """Sends records idempotently and in batches; a context manager that flushes when its block ends well.

    A failed delivery is raised by the next call of any method. When the block ends by an exception, what is still
    queued is dropped rather than waited for. ``config`` is a confluent_kafka configuration.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._failure: DeliveryError | None = None
        self._last: tuple[str, bytes | None] = ("", None)
        self._producer = Producer({**_TUNING, **config, **_GUARANTEES, "on_delivery": self._on_delivery})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.flush()
        else:
            self._producer.purge()

    def send(self, topic: str, key: bytes | None, value: bytes) -> None:
        """Queue one record; waits while the queue is full.

        Raises:
            DeliveryError: this or an earlier record failed, or the queue stayed full for a minute.
        """
        self.send_all(topic, [(key, value)])

    def send_all(self, topic: str, records: Iterable[tuple[bytes | None, bytes]]) -> None:
        """Queue records, each a key and a value, in this order; waits while the queue is full.

        Raises:
            DeliveryError: one of these or an earlier record failed, or the queue stayed full for a minute.
        """
        produce = self._producer.produce
        for key, value in records:
            self._last = topic, key
            deadline = 0.0
            while True:
                try:
                    produce(topic, value, key)
                    break
                except BufferError:
                    deadline = deadline or time.monotonic() + _QUEUE_SECONDS
                    if time.monotonic() > deadline:
                        raise DeliveryError(topic, key, f"the queue was full for {_QUEUE_SECONDS:.0f} s") from None
                    self.wait(_POLL_SECONDS)
                except KafkaException as error:
                    raise self._failure or DeliveryError(topic, key, str(error.args[0])) from error
        # Once for all of them: to ask for news takes as long as to queue a record.
        self.wait(0)

    def wait(self, seconds: float) -> None:
        """Let up to so many seconds pass, in whole milliseconds, or less when there is news of a delivery.

        Raises:
            DeliveryError: a record failed.
        """
        # The client cuts off what is below a millisecond: who waits for less would ask again and again, without a rest.
        self._producer.poll(math.ceil(seconds * 1000) / 1000)
        if self._failure:
            raise self._failure

    def flush(self, seconds: float = FLUSH_SECONDS) -> None:
        """Wait until all that was sent is delivered.

        Raises:
            DeliveryError: a record failed, or some are still not delivered after so many seconds.
        """
        left = self._producer.flush(seconds)
        if self._failure:
            raise self._failure
        if left:
            raise DeliveryError(*self._last, f"{left} records were not acknowledged within {seconds:.0f} s", left)

    def _on_delivery(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            return
        first = self._failure
        self._failure = (
            DeliveryError(first.topic, first.key, first.reason, first.failed + 1)
            if first
            else DeliveryError(message.topic() or "", message.key(), error.str())
        )


def _shown(key: bytes | None) -> str:
    return "without a key" if key is None else repr(key.decode("utf-8", "backslashreplace"))
