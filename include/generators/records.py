"""Records on their way to Kafka: how one is written as JSON, and the message that carries it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from functools import cache
from json.encoder import encode_basestring
from typing import Any, NamedTuple, TypeAlias

JsonValue: TypeAlias = str | int | bool | Decimal | list[str] | None
Record: TypeAlias = Mapping[str, JsonValue]

quoted = encode_basestring
"""``quoted(text)`` is the text as a JSON string."""

_ENCODER = json.JSONEncoder(ensure_ascii=False)  # made once: json.dumps makes one for each call


class Message(NamedTuple):
    """One Kafka message. ``dirt`` names what is wrong with it, None when nothing is."""

    topic: str
    key: bytes
    value: bytes
    dirt: str | None = None


def money(cents: int) -> Decimal:
    """An amount of hundredths as a decimal number with two decimals; no float takes part."""
    return Decimal(cents).scaleb(-2)


def encode(record: Record) -> bytes:
    """The record as a JSON object in UTF-8 on one line; decimal numbers keep every digit they have."""
    return ("{" + ", ".join([f"{_name(name)}: {_token(value)}" for name, value in record.items()]) + "}").encode()


def decode(value: bytes) -> dict[str, Any]:
    """The record that ``encode`` wrote; numbers with a point are decimal numbers."""
    record: dict[str, Any] = json.loads(value, parse_float=Decimal)
    return record


def iso(moment: datetime) -> str:
    """``2026-01-31T13:45:00.250Z`` for a moment in UTC."""
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def plain(moment: datetime) -> str:
    """``2026-01-31 13:45:00`` for a moment in UTC, as older systems write it."""
    return moment.strftime("%Y-%m-%d %H:%M:%S")


@cache
def _name(name: str) -> str:
    return _ENCODER.encode(name)


def _token(value: JsonValue) -> str:
    return format(value, "f") if isinstance(value, Decimal) else _ENCODER.encode(value)
