"""The names that a condition of a fraud rule may use, their types, and what is known of their values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from functools import cache
from typing import NamedTuple

import pyarrow as pa

from include.contracts import Field
from include.domains import MERCHANTS, TRANSACTIONS
from include.fraud.ranges import Range

MOST_DIGITS = 76
"""The most digits of a number, those before and after the point together: what 256 bits hold."""
MERCHANT = "merchant."
MERCHANT_FIELDS = ("risk_level", "category", "country_code")


class Kind(StrEnum):
    """What a value is; values of two kinds are never compared."""

    TEXT = "text"
    NUMBER = "number"
    BOOLEAN = "boolean"
    TIMESTAMP = "timestamp"
    DATE = "date"


class Digits(NamedTuple):
    """How many digits a number has at most: ``whole`` before the point, ``decimals`` after it."""

    whole: int
    decimals: int

    @classmethod
    def of(cls, number: Decimal) -> Digits:
        """Those that this number needs."""
        exponent = number.as_tuple().exponent
        assert isinstance(exponent, int), "a literal is finite"  # noqa: S101
        return cls(max(len(number.as_tuple().digits) + exponent, 0), max(-exponent, 0))

    @property
    def precision(self) -> int:
        """All of them, at least 1."""
        return max(self.whole + self.decimals, 1)

    @property
    def arrow(self) -> pa.DataType:
        """The narrowest decimal type that holds such a number; for up to `MOST_DIGITS`."""
        return (pa.decimal128 if self.precision <= 38 else pa.decimal256)(self.precision, self.decimals)

    def union(self, other: Digits) -> Digits:
        """Those that numbers of both need."""
        return Digits(max(self.whole, other.whole), max(self.decimals, other.decimals))


_ARROW = {
    Kind.TEXT: pa.string(),
    Kind.BOOLEAN: pa.bool_(),
    Kind.TIMESTAMP: pa.timestamp("us", "UTC"),
    Kind.DATE: pa.date32(),
}


@dataclass(frozen=True, slots=True)
class Type:
    """The type of a name. ``digits`` is of numbers alone; ``range`` is which values there can be at all."""

    kind: Kind
    range: Range = field(default_factory=Range)
    digits: Digits | None = None

    @property
    def arrow(self) -> pa.DataType:
        """The Arrow type of its values within a condition."""
        return self.digits.arrow if self.digits else _ARROW[self.kind]


FEATURE_NUMBER = Type(Kind.NUMBER, digits=Digits(24, 6))
"""A number that a feature gives: up to 24 digits before the point and 6 after it."""
_BOOLEANS = Range(values=frozenset({True, False}))
FEATURE_TYPES = {"number": FEATURE_NUMBER, "boolean": Type(Kind.BOOLEAN, _BOOLEANS)}
"""The types of features, by what a feature's ``type`` says."""


@cache
def transaction_types() -> Mapping[str, Type]:
    """The names that every condition may use, by the contracts: a transaction's own, and its merchant's.

    ``hour`` (0 to 23) and ``weekday`` (1, Monday, to 7) are of its timestamp, UTC.
    """
    own = {column.name: column for column in TRANSACTIONS.contract.columns if column.logical_type != "time"}
    merchants = {column.name: column for column in MERCHANTS.contract.columns}
    return {
        **{name: _type(column, required=column.required) for name, column in own.items()},
        "hour": _counted(0, 23),
        "weekday": _counted(1, 7),
        # Whatever MERCHANTS requires: a merchant may not be in it yet.
        **{MERCHANT + name: _type(merchants[name], required=False) for name in MERCHANT_FIELDS},
    }


def _counted(first: int, last: int) -> Type:
    values = frozenset(map(Decimal, range(first, last + 1)))
    return Type(Kind.NUMBER, Range(missing=False, values=values), _INTEGER)


_INTEGER = Digits(19, 0)
_KINDS = {
    "string": Kind.TEXT,
    "integer": Kind.NUMBER,
    "number": Kind.NUMBER,
    "boolean": Kind.BOOLEAN,
    "date": Kind.DATE,
    "timestamp": Kind.TIMESTAMP,
}


def _type(column: Field, *, required: bool) -> Type:
    found = Range(missing=not required, values=frozenset(column.valid_values) or None, pattern=column.pattern)
    if column.minimum is not None:
        found = found.above((column.minimum, False))
    if column.exclusive_minimum is not None:
        found = found.above((column.exclusive_minimum, True))
    if column.maximum is not None:
        found = found.below((column.maximum, True))
    kind = _KINDS[column.logical_type]
    if kind is Kind.BOOLEAN:
        return Type(kind, Range(missing=not required, values=_BOOLEANS.values))
    if column.logical_type == "integer":
        return Type(kind, found, _INTEGER)
    if column.logical_type == "number":
        precision, decimals = column.precision_and_scale
        return Type(kind, found, Digits(precision - decimals, decimals))
    return Type(kind, found)
