"""Cleaning: values that mean the same are written the same.

`CLEANERS` holds, by the name of a record's field, the function that turns the field's valid text into columns. A
timestamp's columns (date, time, month, year) are made for any contract that asks for them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from include.cleaning.countries import country_columns
from include.cleaning.currencies import currency_columns
from include.cleaning.errors import CleaningError
from include.cleaning.names import name_columns

CLEANERS: Mapping[str, Callable[[str], Mapping[str, object]]] = {
    "country": country_columns,
    "currency": currency_columns,
    "name": name_columns,
}

__all__ = ["CLEANERS", "CleaningError"]
