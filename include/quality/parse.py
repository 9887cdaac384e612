"""Bytes to one JSON object, or the reason why not.

Stricter than ``json.loads``, which takes ``NaN``, lets the last of two equal keys win and makes a float of ``1e400``.
The time it takes grows with the length of the bytes, whatever they are: everything that is done for each character is
done inside a function of C.
"""

from __future__ import annotations

import json
import re
from itertools import islice
from typing import NoReturn

from include.cleaning.text import shown
from include.quality.reason import Reason

MAX_DEPTH = 64
"""Levels of nesting; a fixed limit, because Python's own depends on how deep the caller's stack already is."""

MAX_VALUES = 20_000
"""Values in one record, at any depth; each object and each number among them costs a call of Python."""

_BRACKETS = re.compile(r"[\[{\]}]")
_EMPTY = re.compile(r"\[\s*\]|\{\s*\}")


class Number(str):
    """A JSON number as it was written: no digit is lost before it is known what the number should become."""

    __slots__ = ()


class UnreadableError(ValueError):
    """The bytes are not one JSON object; ``reason`` says why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.reason = Reason(field=None, code=code, message=message)


def parse_object(value: bytes) -> dict[str, object]:
    """The one JSON object that ``value`` holds, its numbers as `Number`.

    Raises:
        UnreadableError: not UTF-8, not JSON as RFC 8259 has it, not an object, more than one value, two equal keys in
            one object, nested deeper than `MAX_DEPTH`, or of more than `MAX_VALUES` values.
    """
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnreadableError("not_utf8", f"is not UTF-8: {error.reason} at byte {error.start}") from None
    if not text or text.isspace():
        raise UnreadableError("empty", "holds nothing")
    _check_size(text)
    try:
        parsed = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        code = "extra_data" if error.msg == "Extra data" else "not_json"
        raise UnreadableError(code, f"is not one JSON value: {error.msg} at character {error.pos}") from None
    if not isinstance(parsed, dict):
        raise UnreadableError("not_an_object", f"is JSON but no object: {shown(text)}")
    return parsed


def _check_size(text: str) -> None:
    """Refuse what is too deep or has too many values before the decoder makes anything of it."""
    openings = text.count("{") + text.count("[")
    # A value stands after a comma or after the bracket that opens its array or object, and takes a character itself.
    if openings <= MAX_DEPTH and (len(text) <= MAX_VALUES or openings + text.count(",") <= MAX_VALUES):
        return
    outside = _outside_strings(text)
    depth = 0
    for bracket in islice(_BRACKETS.finditer(outside), 2 * MAX_VALUES):
        depth += 1 if bracket.group() in "[{" else -1
        if depth > MAX_DEPTH:
            raise UnreadableError("too_deep", f"is nested deeper than {MAX_DEPTH} levels")
    starts = outside.count("{") + outside.count("[") + outside.count(",")
    # In an empty array or object no value stands; each is a value itself, so there can not be more of them than values.
    if starts > 2 * MAX_VALUES + 1 or starts - len(_EMPTY.findall(outside)) > MAX_VALUES:
        raise UnreadableError("too_many_values", f"has more than {MAX_VALUES} values")


def _outside_strings(text: str) -> str:
    """``text`` with a single quote mark in place of each string."""
    unescaped = text.replace("\\\\", "").replace('\\"', "")
    return '"'.join(unescaped.split('"')[::2])


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise UnreadableError("duplicate_key", f"has the key {shown(twice)} more than once")
    return members


def _no_constant(name: str) -> NoReturn:
    raise UnreadableError("not_json", f"holds {name}, which JSON does not know")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=Number, parse_int=Number, parse_constant=_no_constant, strict=True
)
