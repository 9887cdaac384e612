"""What the client library delivers, as records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import methodcaller

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Message

from include.kafka.bounds import MAX_RECORD_BYTES
from include.lake.incoming import IncomingRecords
from include.lake.records import Headers, IncomingRecord

# Where a header's name is not UTF-8, the library returns a list with a null pointer in it and an exception beside it.
# A plain call, once Python has specialised it, would take the list, and fail or crash later; this one always checks.
# Asked again, the message gives the same list and no exception, so each message may be asked once only.
_library_headers: Callable[[Message], list[tuple[str, bytes | None]] | None] = methodcaller("headers")


def records(messages: Sequence[Message]) -> IncomingRecords | None:
    """The records that the messages are; None when one of them is an error, or too large to be taken.

    A call of ours for each field of each message would take longer than the client library does.
    """
    if any(map(Message.error, messages)):
        return None
    keys, values = list(map(Message.key, messages)), list(map(Message.value, messages))
    if _longest(keys) + _longest(values) > MAX_RECORD_BYTES:
        return None
    timestamps, appended = [], []
    for kind, timestamp in map(Message.timestamp, messages):
        timestamps.append(timestamp)
        appended.append(kind == TIMESTAMP_LOG_APPEND_TIME)
    offsets: list[int] = list(map(Message.offset, messages))  # type: ignore[arg-type]  # only an error has none
    headers = [_headers(message) for message in messages]
    return IncomingRecords(offsets, timestamps, keys, values, headers, appended)


def _longest(parts: Sequence[bytes | None]) -> int:
    return max(len(part or b"") for part in parts)


def record(message: Message, offset: int) -> IncomingRecord:
    """The record that a message is, at its ``offset``."""
    kind, timestamp_ms = message.timestamp()
    appended = kind == TIMESTAMP_LOG_APPEND_TIME
    return IncomingRecord(offset, timestamp_ms, message.key(), message.value(), _headers(message), appended)


def _headers(message: Message) -> Headers | None:
    try:
        return tuple(_library_headers(message) or ())
    except SystemError:  # what the library answers where a name is not UTF-8
        return None
