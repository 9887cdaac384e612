"""Text for spreadsheets, which run what begins like a formula (OWASP, CSV injection)."""

from __future__ import annotations

import unicodedata
from datetime import datetime
from decimal import Decimal


def harmless(value: object) -> str:
    """A cell's text: one that a spreadsheet would take for a formula has an apostrophe before it."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, int | Decimal):
        return f"{value}"
    text = str(value)
    # Some take the wide forms of these characters for them, too, and skip spaces before them.
    plain = unicodedata.normalize("NFKC", text)
    runs = plain[:1] in ("\t", "\r", "\n") or plain.lstrip()[:1] in ("=", "+", "-", "@")
    return f"'{text}" if runs else text
