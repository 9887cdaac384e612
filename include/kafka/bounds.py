"""How large a message may be, on the broker and in the memory of those who read it.

A producer sends records in batches, compressed or not. Kafka bounds the batch as it is sent and does not look at what
it unpacks to: 15 kB of zstd may hold 130 MB. So readers have bounds of their own, and what is beyond them is
unreadable, which ``include.kafka.unreadable`` deals with.
"""

from __future__ import annotations

from typing import Any

from confluent_kafka import Message

MAX_BATCH_BYTES = 1_048_588
"""The largest batch, as it is sent, that a topic takes: Kafka's own default, which the defaults of all clients fit."""

MAX_UNPACKED_BYTES = 100_000_000
"""The largest zstd batch, unpacked, and the largest answer of a broker that the client library takes.

It has no bound for other codecs; of gzip 1 MiB can hold 1 GiB.
"""

MAX_RECORD_BYTES = 16 * 1024 * 1024
"""The largest record, key and value, that is read; one Arrow batch of a Spark worker holds as much."""

READER: dict[str, Any] = {
    # Without it a damaged batch is delivered with other bytes than were sent, or not at all and without an error.
    "check.crcs": True,
    "receive.message.max.bytes": MAX_UNPACKED_BYTES,
    "fetch.message.max.bytes": MAX_BATCH_BYTES,
    "fetch.max.bytes": 16 * 1024 * 1024,
    # A reader that had enough in its queue asks for more when there is room, not a second later.
    "fetch.queue.backoff.ms": 10,
}
"""What every consumer of Paylake has in its configuration."""


def too_large(message: Message) -> str | None:
    """Why a record is too large to be taken; None when it is not."""
    size = len(message.key() or b"") + len(message.value() or b"")
    if size <= MAX_RECORD_BYTES:
        return None
    return f"the record has {size} bytes, and {MAX_RECORD_BYTES} are the most that is read"
