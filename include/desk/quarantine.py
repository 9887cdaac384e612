"""Records of quarantine as people read them, and as bytes."""

from __future__ import annotations

import base64
import codecs
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg.sql import SQL

from include.lake.coordinates import Coordinates
from include.quality.parse import UnreadableError, parse_object
from include.quarantine import rows as quarantine
from include.quarantine.rows import Kept, Selection
from include.sql import load_sql

BEGINNING = 200
"""So many bytes of a record's value a list shows."""
SHOWN_BYTES = 64 * 1024
"""So many of them are shown of one record alone."""


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A record of quarantine in a list.

    ``size`` is that of its value in bytes (None for Kafka's null), ``beginning`` the first `BEGINNING` of them as text.
    """

    topic_id: str
    partition: int
    offset: int
    domain: str
    topic: str
    timestamp_ms: int
    size: int | None
    reasons: Sequence[Mapping[str, str | None]]
    contract_version: str
    quarantined_at: datetime
    requested_at: datetime | None
    redriven_at: datetime | None
    beginning: str


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a record that is a JSON object, its value as text."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Shown:
    """A record with the first `SHOWN_BYTES` of its value, in base64 and as text; None both for Kafka's null.

    ``utf8`` is False where some bytes are no text; in ``text`` they are written as hexadecimal escapes. ``fields`` is
    None where the value is not one JSON object, or is longer than what is shown.
    """

    record: Quarantined
    base64: str | None
    text: str | None
    utf8: bool
    shown_bytes: int
    fields: list[Field] | None


def list_records(
    conn: psycopg.Connection, selection: Selection, limit: int, before: tuple[datetime, Coordinates] | None = None
) -> list[Quarantined]:
    """The selected records, last refused first, at most ``limit``; those after the record ``before`` in this order."""
    before_at, place = before or (None, None)
    asked = selection.parameters() | (place or Coordinates("", 0, 0))._asdict()
    asked |= {"before_at": before_at, "limit": limit, "beginning": BEGINNING}
    statement = SQL(load_sql("desk/quarantined")).format(selection=SQL(load_sql("quarantine/selection")))
    return [
        Quarantined(*(*row, _text(raw or b"", whole=(row[6] or 0) <= BEGINNING)[0]))
        for *row, raw in conn.execute(statement, asked)
    ]


def show_record(conn: psycopg.Connection, coordinates: Coordinates) -> Shown | None:
    """One record; None when it is not in quarantine and never was."""
    found = quarantine.find(conn, coordinates)
    if found is None:
        return None
    kept, value = found
    if value is None:
        return Shown(_quarantined(kept, ""), None, None, True, 0, None)
    shown = value[:SHOWN_BYTES]
    whole = len(shown) == len(value)
    text, utf8 = _text(shown, whole=whole)
    return Shown(
        _quarantined(kept, text[:BEGINNING]),
        base64.b64encode(shown).decode(),
        text,
        utf8,
        len(shown),
        _fields(value) if whole else None,
    )


def _quarantined(kept: Kept, beginning: str) -> Quarantined:
    return Quarantined(
        *kept.coordinates,
        kept.domain,
        kept.topic,
        kept.timestamp_ms,
        kept.size,
        kept.reasons,
        kept.contract_version,
        kept.quarantined_at,
        kept.requested_at,
        kept.redriven_at,
        beginning,
    )


def _text(value: bytes, *, whole: bool) -> tuple[str, bool]:
    """Bytes as text, and whether they are UTF-8; of what is not ``whole`` a character that is cut is left out."""
    try:
        return codecs.getincrementaldecoder("utf-8")().decode(value, final=whole), True
    except UnicodeDecodeError:
        return value.decode("utf-8", "backslashreplace"), False


def _fields(value: bytes) -> list[Field] | None:
    try:
        parsed = parse_object(value)
    except UnreadableError:
        return None
    return [Field(_encodable(name), _encodable(_plain(member))) for name, member in parsed.items()]


def _plain(value: object) -> str:
    """A value as text; numbers are texts already, as they were written."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _encodable(text: str) -> str:
    """JSON can name halves of surrogate pairs, which no UTF-8 has."""
    return text.encode("utf-8", "backslashreplace").decode()
