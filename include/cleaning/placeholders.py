"""Texts that people and programs write where there is no value."""

from __future__ import annotations

import string
import unicodedata
from functools import lru_cache

# Letters only: "N/A", "n.a.", "#N/A", "<NA>" and "NA" are one of them, "(null)", "-none-" and "Not available" others.
_WORDS = frozenset(
    {"na", "nan", "nil", "none", "null", "undefined", "unknown", "unspecified", "unavailable", "missing"}
    | {"notapplicable", "notavailable", "notprovided", "notset", "notspecified", "nodata", "novalue"}
    | {"tba", "tbc", "tbd", "test", "xx", "xxx", "xxxx"}
)


@lru_cache(maxsize=16_384)
def is_placeholder(text: str) -> bool:
    """Whether the whole of ``text`` stands for a missing value; case, spaces and punctuation do not count.

    So is a text of punctuation alone, such as ``--`` or ``?``. A text that only contains such a word (``Null Island``,
    ``Unknown Records``, ``None, Italy``) is none.
    """
    plain = unicodedata.normalize("NFKC", text).casefold()
    letters = "".join(filter(str.isalnum, plain))
    return letters in _WORDS if letters else all(map(_is_punctuation, plain))


def _is_punctuation(character: str) -> bool:
    return character in string.punctuation or character.isspace() or unicodedata.category(character)[0] == "P"
