"""Spaces and characters."""

from __future__ import annotations

import re

SHOWN_CHARACTERS = 60

_SPACES = re.compile("[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+")
# C0 and C1 controls that are not spaces, halves of surrogate pairs, and what reorders the text around it (letters
# that run from right to left need none of these).
_FORBIDDEN = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")


def squeeze(text: str) -> str:
    """``text`` without spaces around it and with single spaces inside; a line break or a tab is a space too."""
    return _SPACES.sub(" ", text).strip(" ")


def forbidden_character(text: str) -> str | None:
    """The first character that no column takes, as ``U+0000``; None where there is none."""
    found = _FORBIDDEN.search(text)
    return f"U+{ord(found.group()):04X}" if found else None


def shown(value: object, characters: int = SHOWN_CHARACTERS) -> str:
    """``value`` for a message: quoted, cut to ``characters``, what does not print written as an escape."""
    text = str(value)
    cut = text[:characters]
    printable = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in cut)
    return f"'{printable}{'…' if len(text) > len(cut) else ''}'"
