"""Points in time, and the columns made from them."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import TypedDict

EARLIEST_YEAR = 1900

_ZONE = r"(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)?"
_EXTENDED = r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ](?:[01][0-9]|2[0-3]):[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]+)?)?"
_BASIC = r"[0-9]{8}T(?:[01][0-9]|2[0-3])[0-9]{4}(?:[.,][0-9]+)?"
_SHAPE = re.compile(f"({_EXTENDED}|{_BASIC}) ?({_ZONE})", re.IGNORECASE)


class TimestampColumns(TypedDict):
    """Columns that a table may derive from a timestamp, all UTC; ``time`` is ``HH:MM:SS[.ffffff]``."""

    date: date
    time: str
    month: int
    year: int


def parse_timestamp(text: str) -> datetime:
    """``2026-01-31 13:45:00`` or ISO 8601 with date and time, as UTC; without a zone it is UTC already.

    Digits finer than a microsecond are cut: the columns hold microseconds.

    Raises:
        ValueError: another shape, or a moment that does not exist; the message says which.
    """
    shape = _SHAPE.fullmatch(text)
    if not shape:
        raise ValueError("is neither YYYY-MM-DD HH:MM:SS nor ISO 8601 with date and time")
    try:
        moment = datetime.fromisoformat((shape[1] + shape[2]).upper())
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise ValueError("is a moment that does not exist") from None


def timestamp_columns(moment: datetime) -> TimestampColumns:
    """The columns derived from a UTC moment."""
    return {
        "date": moment.date(),
        "time": moment.time().isoformat(),
        "month": moment.month,
        "year": moment.year,
    }
