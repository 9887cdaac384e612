"""Records on their way to Kafka: how one is written as JSON, and the message that carries it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache, lru_cache
from json.encoder import encode_basestring
from typing import Any, NamedTuple, TypeAlias

JsonValue: TypeAlias = str | int | bool | Decimal | list[str] | None
Record: TypeAlias = Mapping[str, JsonValue]

quoted = encode_basestring
"""``quoted(text)`` is the text as a JSON string."""

_ENCODER = json.JSONEncoder(ensure_ascii=False)  # made once: json.dumps makes one for each call
# Formats with a width cost more than the rest of a time.
_MINUTES = [f"{number // 60:02d}:{number % 60:02d}:" for number in range(24 * 60)]
_SECONDS = [f"{number:02d}" for number in range(60)]
_FRACTIONS = [f".{number:03d}Z" for number in range(1000)]


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


def iso_of(milliseconds: int) -> str:
    """``iso`` of a moment in milliseconds since 1970, many times as fast."""
    days, rest = divmod(milliseconds, 86_400_000)
    return f"{_day(days)}{_MINUTES[rest // 60_000]}{_SECONDS[rest // 1000 % 60]}{_FRACTIONS[rest % 1000]}"


def plain(moment: datetime) -> str:
    """``2026-01-31 13:45:00`` for a moment in UTC, as older systems write it."""
    return moment.strftime("%Y-%m-%d %H:%M:%S")


@lru_cache(maxsize=16)
def _day(days: int) -> str:
    return datetime.fromtimestamp(days * 86_400, UTC).strftime("%Y-%m-%dT")


@cache
def _name(name: str) -> str:
    return _ENCODER.encode(name)


def _token(value: JsonValue) -> str:
    return format(value, "f") if isinstance(value, Decimal) else _ENCODER.encode(value)
