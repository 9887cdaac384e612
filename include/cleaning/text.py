"""Spaces and characters: the form in which every text is written, and what no text may hold."""

from __future__ import annotations

import re
import unicodedata

from include.cleaning.invisible import visible

SHOWN_CHARACTERS = 60
LONGEST_DECOMPOSITION = 4
"""Unicode takes no character apart into more than four, so composing makes a text shorter by that factor at most."""

WITHOUT_APOSTROPHES = dict.fromkeys(
    map(
        ord,
        # Typewriter and typographic ones, primes, accents that stand alone, and letters that transliterations write so.
        "'`\xb4\u2018\u2019\u201a\u201b\u2032\u2035\uff07\u1fbd\u1fbf\u1fef\u1ffd\u02b9\u02bb\u02bc\u02bd\u02be\u02bf"
        "\u02c8\u02ca\u02cb\u055a\u05f3\ua78b\ua78c",
    )
)
"""For ``str.translate``: takes every kind of apostrophe away."""

_SPACES = re.compile("[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+")
# C0 and C1 controls that are not spaces, halves of surrogate pairs, and what reorders the text around it (letters
# that run from right to left need none of these).
_FORBIDDEN = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")


def squeeze(text: str) -> str:
    """``text`` without spaces around it and with single spaces inside; a line break or a tab is a space too."""
    return _SPACES.sub(" ", text).strip(" ")


def tidy(text: str) -> str:
    """``text`` squeezed and without what cannot be seen."""
    return squeeze(visible(text))


def composed(text: str) -> str:
    """``text`` in Unicode's form NFC: a letter and its accents are one character where there is such a character.

    The time it takes may grow with the square of the length: long texts are to be refused before.
    """
    return unicodedata.normalize("NFC", text)


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
