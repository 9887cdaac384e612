"""People's names to title, first name, last name and suffix. No word is ever lost."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TypedDict

from nameparser import Parser, Role

_COLUMN_OF = {
    Role.TITLE: "title",
    Role.GIVEN: "first_name",
    Role.MIDDLE: "first_name",
    Role.NICKNAME: "first_name",
    Role.FAMILY: "last_name",
    Role.MAIDEN: "last_name",
    Role.SUFFIX: "suffix",
}
_WORD = re.compile(r"[^\s,]+")
_PARSER = Parser()


class NameColumns(TypedDict):
    """A name's parts; first_name holds given and middle names and a nickname, and is never empty."""

    title: str | None
    first_name: str
    last_name: str | None
    suffix: str | None


@lru_cache(maxsize=16_384)
def name_columns(text: str) -> NameColumns:
    """Split a squeezed, non-empty name; each of its characters but spaces and commas is in exactly one part.

    A name of one word, or one in which the parser sees no given name, is a first name.
    """
    parts: dict[str, list[str]] = {"title": [], "first_name": [], "last_name": [], "suffix": []}
    for piece, column in _pieces(text):
        parts[column].append(piece)
    for fallback in ("last_name", "title", "suffix"):
        if not parts["first_name"]:
            parts["first_name"], parts[fallback] = parts[fallback], []
    joined = {column: " ".join(pieces) or None for column, pieces in parts.items()}
    return {
        "title": joined["title"],
        "first_name": joined["first_name"] or text,
        "last_name": joined["last_name"],
        "suffix": joined["suffix"],
    }


def _pieces(text: str) -> list[tuple[str, str]]:
    """The words in order, each with its column; a word is cut only where the parser sees two parts in it."""
    columns: list[str | None] = [None] * len(text)
    for token in _PARSER.parse(text).tokens:
        if token.span is not None:
            columns[token.span.start : token.span.end] = [_COLUMN_OF[token.role]] * (token.span.end - token.span.start)
    pieces: list[tuple[str, str]] = []
    last = "first_name"
    for word in _WORD.finditer(text):
        start, column = word.start(), None
        for position in range(word.start(), word.end()):
            here = columns[position]
            if here and column and here != column:
                pieces.append((text[start:position], column))
                start = position
            column = here or column
        last = column or last
        pieces.append((text[start : word.end()], last))
    return pieces
