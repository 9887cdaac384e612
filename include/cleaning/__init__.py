"""Cleaning: values that mean the same are written the same.

`CLEANERS` holds, by the name under which a contract asks for it, what a field's valid value can be turned into: a
column's ``transformLogic`` is the name of a cleaner and of one of its parts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from include.cleaning.countries import country_columns
from include.cleaning.currencies import currency_columns
from include.cleaning.errors import CleaningError
from include.cleaning.names import name_columns
from include.cleaning.timestamps import timestamp_columns


@dataclass(frozen=True, slots=True)
class Cleaner:
    """A function that takes a valid value of the logical type ``takes`` apart.

    ``parts`` has the logical type of each part that ``make`` gives. ``make`` raises `CleaningError` for a value that
    means nothing.
    """

    takes: str
    parts: Mapping[str, str]
    make: Callable[[Any], Mapping[str, object]]


CLEANERS: Mapping[str, Cleaner] = {
    "country": Cleaner("string", {"country_code": "string", "country": "string"}, country_columns),
    "currency": Cleaner("string", {"currency": "string"}, currency_columns),
    "name": Cleaner("string", dict.fromkeys(("title", "first_name", "last_name", "suffix"), "string"), name_columns),
    "timestamp": Cleaner(
        "timestamp", {"date": "date", "time": "time", "month": "integer", "year": "integer"}, timestamp_columns
    ),
}

__all__ = ["CLEANERS", "Cleaner", "CleaningError"]
