"""Currencies to ISO 4217."""

from __future__ import annotations

from functools import cache
from typing import TypedDict

import pycountry

from include.cleaning.errors import CleaningError
from include.cleaning.text import shown

# ISO 4217 has codes for "no currency" and for tests, too.
_NO_CURRENCIES = frozenset({"XTS", "XXX"})


class CurrencyColumns(TypedDict):
    """What a currency becomes: its ISO 4217 code in upper case."""

    currency: str


def currency_columns(text: str) -> CurrencyColumns:
    """The ISO 4217 code that ``text`` is, in any case.

    Raises:
        CleaningError: ``unknown_currency``.
    """
    code = text.upper()
    if code not in _codes():
        raise CleaningError("unknown_currency", f"{shown(text)} is no ISO 4217 currency")
    return {"currency": code}


@cache
def _codes() -> frozenset[str]:
    return frozenset(currency.alpha_3 for currency in pycountry.currencies) - _NO_CURRENCIES
