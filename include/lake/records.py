"""One record of bronze, and the line that holds it in an object.

A value that is one JSON object in UTF-8 on one line is its own line, byte for byte. Whatever else Kafka delivers goes
into an envelope: a line of JSON that holds the value in base64, why it is there, and where it came from.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NoReturn, TypeAlias

ENVELOPE_KEY = "_paylake_envelope"
_ENVELOPE_START = f'{{"{ENVELOPE_KEY}"'.encode()

EnvelopeReason: TypeAlias = Literal[
    "null_value", "empty", "line_break", "looks_like_envelope", "not_utf8", "not_json", "not_an_object", "too_deep"
]


class CorruptLineError(ValueError):
    """A line begins like an envelope but is none; the message says where it stands."""


@dataclass(frozen=True, slots=True)
class BronzeRecord:
    """One record as Kafka delivered it.

    ``timestamp_ms`` is Kafka's, in milliseconds since 1970, or -1 for a record without one. ``value`` is None for a
    null value (a tombstone).
    """

    topic_id: str
    partition: int
    offset: int
    timestamp_ms: int
    value: bytes | None


@dataclass(frozen=True, slots=True)
class IncomingRecord:
    """What the writer knows of a record that is not in bronze yet. ``timestamp_ms`` as in ``BronzeRecord``."""

    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None


def spans(records: Iterable[BronzeRecord]) -> dict[tuple[str, int], tuple[int, int]]:
    """First and last offset of the records by topic id and partition."""
    found: dict[tuple[str, int], tuple[int, int]] = {}
    for record in records:
        key = (record.topic_id, record.partition)
        first, last = found.get(key, (record.offset, record.offset))
        found[key] = (min(first, record.offset), max(last, record.offset))
    return found


def envelope_reason(value: bytes | None) -> EnvelopeReason | None:
    """Why a value cannot be a line of its own, or None when it can."""
    if value is None:
        return "null_value"
    if not value:
        return "empty"
    # A carriage return counts: many readers of text files, Spark's among them, end a line there.
    if b"\n" in value or b"\r" in value:
        return "line_break"
    if value.startswith(_ENVELOPE_START):
        return "looks_like_envelope"
    return _json_reason(value)


def encode_line(record: IncomingRecord, topic: str, partition: int) -> bytes:
    """The record's line, without the newline that ends it."""
    reason = envelope_reason(record.value)
    if reason is None and record.value is not None:
        return record.value
    envelope = {
        "reason": reason,
        "value_base64": _base64(record.value),
        "key_base64": _base64(record.key),
        "topic": topic,
        "partition": partition,
        "offset": record.offset,
        "timestamp": record.timestamp_ms,
    }
    return json.dumps({ENVELOPE_KEY: envelope}, separators=(",", ":")).encode()


def decode_line(line: bytes) -> bytes | None:
    """The value a line holds, None for a null value.

    Raises:
        CorruptLineError: the line begins like an envelope and cannot be opened.
    """
    if not line.startswith(_ENVELOPE_START):
        return line
    try:
        value = json.loads(line)[ENVELOPE_KEY]["value_base64"]
        return None if value is None else base64.b64decode(value, validate=True)
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise CorruptLineError(f"an envelope cannot be opened: {error!r}") from error


def _json_reason(value: bytes) -> EnvelopeReason | None:
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        return "not_utf8"
    try:
        # Numbers stay text: their size is no reason for an envelope, and 5000 digits would raise.
        parsed = json.loads(text, parse_int=str, parse_float=str, parse_constant=_refuse_constant)
    except RecursionError:
        return "too_deep"
    except ValueError:
        return "not_json"
    return None if isinstance(parsed, dict) else "not_an_object"


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _base64(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode("ascii")
