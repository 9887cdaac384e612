"""One value of a record against its field of the contract: the typed value, or every reason against it."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow
from typing import Any

from include.cleaning.placeholders import is_placeholder
from include.cleaning.text import LONGEST_DECOMPOSITION, composed, forbidden_character, shown, tidy
from include.cleaning.timestamps import EARLIEST_YEAR, parse_timestamp
from include.contracts import Field
from include.contracts.field import INTEGER_BITS, MAX_TEXT_CHARACTERS
from include.quality.parse import Number
from include.quality.reason import Reason

Check = Callable[[object], Any]
"""Takes a value that is not null, gives the typed value (None for a text that stands for none) or raises
`InvalidValueError`."""

MAX_RAW_CHARACTERS = 10_000
"""Longest text that is looked at at all, with spaces and what cannot be seen."""

MAX_NUMBER_CHARACTERS = 100
"""Longest number, in characters, that is looked at; money has at most 20 digits."""

_DECIMAL = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?")
_EXACT = Context(prec=2 * MAX_NUMBER_CHARACTERS, traps=[Inexact, InvalidOperation, Overflow])


class InvalidValueError(ValueError):
    """A value breaks its field's contract in the ways that ``problems`` lists, each a code and a message."""

    def __init__(self, *problems: tuple[str, str]) -> None:
        super().__init__("; ".join(message for _, message in problems))
        self.problems = problems

    def reasons(self, field: str) -> list[Reason]:
        """The problems as reasons against ``field``."""
        return [Reason(field, code, message) for code, message in self.problems]


def check_for(field: Field) -> Check:
    """The check that ``field`` asks for; making it costs, calling it does not."""
    makers: dict[str, Callable[[Field], Check]] = {
        "string": _string,
        "integer": _integer,
        "number": _number,
        "boolean": lambda _: _boolean,
        "date": lambda _: _date,
        "time": lambda _: _time,
        "timestamp": lambda _: _timestamp,
    }
    return makers[field.logical_type](field)


def _string(field: Field) -> Check:
    pattern = re.compile(field.pattern) if field.pattern else None
    shortest, longest = field.min_length or 0, field.max_length or MAX_TEXT_CHARACTERS
    exact = frozenset(field.valid_values)
    canonical = {value.casefold(): value for value in field.valid_values}
    allowed = ", ".join(field.valid_values)
    required, placeholder_is_missing = field.required, field.placeholder_is_missing

    def check(value: object) -> str | None:
        text = _text(value, longest)
        if text in exact:
            return text
        if not text and required:
            raise InvalidValueError(("missing", "is required but blank"))
        if placeholder_is_missing and is_placeholder(text):
            if required:
                raise InvalidValueError(("placeholder", f"is required, but {shown(text)} stands for a missing value"))
            return None
        if len(text) > longest:
            raise InvalidValueError(_too_long(text, longest))
        problems = []
        if len(text) < shortest:
            problems.append(("too_short", f"{shown(text)} has fewer than {shortest} characters"))
        if pattern and not pattern.fullmatch(text):
            problems.append(("pattern", f"{shown(text)} does not match {pattern.pattern}"))
        if canonical:
            known = canonical.get(text.casefold())
            if known is None:
                problems.append(("not_allowed", f"{shown(text)} is none of {allowed}"))
            else:
                text = known
        if problems:
            raise InvalidValueError(*problems)
        return text

    return check


def _integer(field: Field) -> Check:
    bits = INTEGER_BITS[field.physical_type]
    lowest, highest = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    within = _range(field)

    def check(value: object) -> int:
        if type(value) is not Number:
            raise _wrong_type(value, "an integer")
        if not value.lstrip("-").isdigit():
            raise InvalidValueError(("wrong_type", f"{shown(value)} is no integer"))
        number = int(value) if len(value) <= MAX_NUMBER_CHARACTERS else highest + 1
        if not lowest <= number <= highest:
            raise InvalidValueError(("out_of_range", f"{shown(value)} does not fit {field.physical_type}"))
        within(Decimal(number), value)
        return number

    return check


def _number(field: Field) -> Check:
    precision, scale = field.precision_and_scale
    integer_digits = precision - scale
    unit, limit = Decimal(1).scaleb(-scale), Decimal(10) ** integer_digits
    within = _range(field)

    def check(value: object) -> Decimal:
        if type(value) is not Number and not isinstance(value, str):
            raise _wrong_type(value, "a number")
        text = value if type(value) is Number else _plain_decimal(_text(value))
        number = _decimal(text)
        if number.copy_abs() >= limit:  # abs() would raise where the exponent is extreme
            raise InvalidValueError(("out_of_range", f"{shown(text)} has more than {integer_digits} integer digits"))
        try:
            exact = number.quantize(unit, context=_EXACT)
        except (Inexact, InvalidOperation):
            raise InvalidValueError(("too_precise", f"{shown(text)} has more than {scale} decimals")) from None
        within(exact, text)
        return exact if exact else exact.copy_abs()  # no negative zero

    return check


def _plain_decimal(text: str) -> str:
    if not text:
        raise InvalidValueError(("missing", "is blank"))
    if not _DECIMAL.fullmatch(text):
        raise InvalidValueError(("wrong_type", f"{shown(text)} is no plain decimal number"))
    return text


def _decimal(text: str) -> Decimal:
    if len(text) > MAX_NUMBER_CHARACTERS:
        raise InvalidValueError(("out_of_range", f"has {len(text)} characters, too many for a number"))
    try:
        return Decimal(text, _EXACT)
    except InvalidOperation:  # an exponent beyond even Decimal's
        raise InvalidValueError(("out_of_range", f"{shown(text)} is beyond every range")) from None


def _range(field: Field) -> Callable[[Decimal, str], None]:
    minimum, maximum, above = field.minimum, field.maximum, field.exclusive_minimum

    def within(number: Decimal, text: str) -> None:
        if minimum is not None and number < minimum:
            raise InvalidValueError(("out_of_range", f"{shown(text)} is below {minimum}"))
        if maximum is not None and number > maximum:
            raise InvalidValueError(("out_of_range", f"{shown(text)} is above {maximum}"))
        if above is not None and number <= above:
            raise InvalidValueError(("out_of_range", f"{shown(text)} is not above {above}"))

    return within


def _boolean(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise _wrong_type(value, "true or false")


def _date(value: object) -> date:
    text = _text(value)
    try:
        # The length keeps out the week dates and the form without hyphens that fromisoformat also takes.
        day = date.fromisoformat(text if len(text) == len("2026-01-31") and "W" not in text else "")
    except ValueError:
        raise InvalidValueError(("bad_date", f"{shown(text)} is no date YYYY-MM-DD")) from None
    _check_year(day.year, text)
    return day


def _time(value: object) -> str:
    text = _text(value)
    try:
        moment = time.fromisoformat(text if re.match("(?:[01][0-9]|2[0-3]):", text) else "")
    except ValueError:
        raise InvalidValueError(("bad_time", f"{shown(text)} is no time HH:MM:SS")) from None
    if moment.tzinfo:
        raise InvalidValueError(("bad_time", f"{shown(text)} has a zone, which a time of day cannot keep"))
    return moment.isoformat()


def _timestamp(value: object) -> datetime:
    text = _text(value)
    try:
        moment = parse_timestamp(text)
    except ValueError as error:
        raise InvalidValueError(("bad_timestamp", f"{shown(text)} {error}")) from None
    _check_year(moment.year, text)
    return moment


def _check_year(year: int, text: str) -> None:
    if year < EARLIEST_YEAR:
        raise InvalidValueError(("out_of_range", f"{shown(text)} is before the year {EARLIEST_YEAR}"))


def _text(value: object, longest: int = MAX_TEXT_CHARACTERS) -> str:
    """The text as it is to be written; it may still be longer than ``longest``, but never so much that it matters."""
    if type(value) is not str:  # a Number is a str, too, but was no JSON string
        raise _wrong_type(value, "a string")
    if len(value) > MAX_RAW_CHARACTERS:
        raise InvalidValueError(_too_long(value, longest))
    if value.isascii() and value.isprintable() and "  " not in value:  # nearly always, and much the fastest
        return value.strip()
    text = tidy(value)
    forbidden = forbidden_character(text)
    if forbidden:
        raise InvalidValueError(("forbidden_character", f"holds the character {forbidden}"))
    if len(text) > LONGEST_DECOMPOSITION * longest:
        raise InvalidValueError(_too_long(text, longest))
    return composed(text)


def _too_long(text: str, longest: int) -> tuple[str, str]:
    return "too_long", f"has {len(text)} characters, more than {longest}"


def _wrong_type(value: object, wanted: str) -> InvalidValueError:
    kinds = {Number: "a number", str: "a string", bool: "a boolean", list: "an array", dict: "an object"}
    return InvalidValueError(("wrong_type", f"is {kinds[type(value)]}, not {wanted}"))
