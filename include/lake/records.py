"""One record of bronze, and the line that holds it in an object.

A value that is one JSON object in UTF-8 on one line is its own line, byte for byte. Whatever else Kafka delivers goes
into an envelope: a line of JSON that holds the value in base64, why it is there, and where it came from. So does a
record whose headers or key say something that its value does not.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal, NoReturn, TypeAlias

from pydantic_core import from_json

from include.lake.coordinates import Coordinates

ENVELOPE_KEY = "_paylake_envelope"
_ENVELOPE_START = f'{{"{ENVELOPE_KEY}"'.encode()

NO_TIMESTAMP = -1
"""Kafka's timestamp of a record without one."""

EnvelopeReason: TypeAlias = Literal[
    "null_value",
    "empty",
    "line_break",
    "looks_like_envelope",
    "not_utf8",
    "not_json",
    "not_an_object",
    "too_deep",
    "headers",
    "key",
]
Headers: TypeAlias = tuple[tuple[str, bytes | None], ...]
"""A message's headers in their order; a name may come several times."""


class CorruptLineError(ValueError):
    """A line begins like an envelope but is none; the message says where it stands."""


@dataclass(frozen=True, slots=True)
class BronzeRecord:
    """One record as Kafka delivered it.

    ``timestamp_ms`` is Kafka's, in milliseconds since 1970: what a producer set, so any 64 bits, or -1 for none.
    ``taken_ms`` is when the record came, by a clock of ours: Kafka's, where the topic keeps the time of appending,
    otherwise the ingestion's. ``value`` is None for a null value (a tombstone).
    """

    topic_id: str
    partition: int
    offset: int
    timestamp_ms: int
    taken_ms: int
    value: bytes | None

    @property
    def coordinates(self) -> Coordinates:
        """Which record it is."""
        return Coordinates(self.topic_id, self.partition, self.offset)


@dataclass(frozen=True, slots=True)
class IncomingRecord:
    """What the writer knows of a record that is not in bronze yet.

    ``timestamp_ms`` as in ``BronzeRecord``; ``appended`` says that Kafka itself set it when it took the record.
    ``headers`` are None where there are some that the client library cannot read.
    """

    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers | None = ()
    appended: bool = False


@dataclass(frozen=True, slots=True)
class Original:
    """A message's parts as they came. ``key`` is None also where the line does not tell it: it repeats the value.

    ``headers`` are None where there were some that the client library could not read.
    """

    key: bytes | None
    headers: Headers | None
    value: bytes | None


def envelope_reason(record: IncomingRecord, key_fields: Collection[str]) -> EnvelopeReason | None:
    """Why a record cannot be a line of its own, or None when it can.

    A key that is the text of one of ``key_fields`` in the value says nothing that the value does not.
    """
    value = record.value
    if value is None:
        return "null_value"
    if not value:
        return "empty"
    # A carriage return counts: many readers of text files, Spark's among them, end a line there.
    if b"\n" in value or b"\r" in value:
        return "line_break"
    if value.startswith(_ENVELOPE_START):
        return "looks_like_envelope"
    parsed = _parsed(value)
    if isinstance(parsed, str):
        return parsed
    if record.headers != ():
        return "headers"
    return None if record.key is None or _repeats(record.key, parsed, key_fields) else "key"


def is_plain(value: bytes, key: bytes | None, headers: Headers | None, key_fields: Collection[str]) -> bool:
    """Whether there is certainly no ``envelope_reason``; there may be none where the answer is no.

    It rests on a parser that refuses everything that ``_parsed`` refuses, and some more.
    """
    if headers != () or value.find(b"\n") >= 0 or value.find(b"\r") >= 0:
        return False
    try:
        parsed = from_json(value, allow_inf_nan=False)
        return (
            isinstance(parsed, dict)
            # So it does not begin like an envelope.
            and ENVELOPE_KEY not in parsed
            and (key is None or key.decode() in map(parsed.get, key_fields))
        )
    except ValueError:
        return False


def encode_line(record: IncomingRecord, topic: str, partition: int, key_fields: Collection[str]) -> bytes:
    """The record's line, without the newline that ends it; ``key_fields`` as for ``envelope_reason``."""
    reason = envelope_reason(record, key_fields)
    if reason is None and record.value is not None:
        return record.value
    envelope = {
        "reason": reason,
        "value_base64": _base64(record.value),
        "key_base64": _base64(record.key),
        "headers": _listed(record.headers),
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
    return _open(line).value if line.startswith(_ENVELOPE_START) else line


def decode_original(line: bytes) -> Original:
    """All parts of the message that a line holds.

    Raises:
        CorruptLineError: the line begins like an envelope and cannot be opened.
    """
    return _open(line) if line.startswith(_ENVELOPE_START) else Original(None, (), line)


def _open(line: bytes) -> Original:
    try:
        envelope = json.loads(line)[ENVELOPE_KEY]
        # Envelopes had no headers once.
        listed = envelope.get("headers", [])
        headers = None if listed is None else tuple((one["name"], _bytes(one["value_base64"])) for one in listed)
        return Original(_bytes(envelope["key_base64"]), headers, _bytes(envelope["value_base64"]))
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error) as error:
        raise CorruptLineError(f"an envelope cannot be opened: {error!r}") from error


def _parsed(value: bytes) -> dict[str, object] | EnvelopeReason:
    """The JSON object that the value is, or why it is none."""
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
    return parsed if isinstance(parsed, dict) else "not_an_object"


def _repeats(key: bytes, members: Mapping[str, object], key_fields: Collection[str]) -> bool:
    """Whether the key is the text of one of these fields. (A lone surrogate is text that no key can be.)"""
    texts = (members.get(name) for name in key_fields)
    return any(isinstance(text, str) and text.encode("utf-8", "surrogatepass") == key for text in texts)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _listed(headers: Headers | None) -> list[dict[str, str | None]] | None:
    return None if headers is None else [{"name": name, "value_base64": _base64(value)} for name, value in headers]


def _base64(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode("ascii")


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text, validate=True)
