"""Plain records, many at once: those that certainly keep their contract are taken in as whole columns.

Everything else is left to ``classify``, which stays the judge: for each record that is taken here it gives the same
row.

A record is plain if it has the contract's fields and no others, each once and without an escape; if its texts pass the
very check that ``classify`` asks of them; and if its numbers and timestamps are written in the usual way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, reduce
from operator import attrgetter
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from include.contracts import Contract, Field
from include.domains import Domain
from include.quality.classify import FUTURE_TOLERANCE
from include.quality.values import Check, InvalidValueError, check_for

# No year before 1900, and none with a 29th of February: that one day is left to the calendar of ``classify``.
_DAY = "(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31"
_CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?"
_MOMENT = f"^(?:19|20)[0-9]{{2}}-(?:{_DAY})[T ]{_CLOCK}Z?$"

_TOLERANCE_MS = round(FUTURE_TOLERANCE.total_seconds() * 1000)
_LAST_CLOCK_MS = 250_000_000_000_000
"""In the year 9892; a clock that goes after it is beyond what Python's can tell a day later."""


@dataclass(frozen=True, slots=True)
class Taken:
    """Which of the records were taken (``mask``), and the columns of the contract's table for these, by name."""

    mask: pa.BooleanArray
    columns: dict[str, pa.Array]


class PlainReader:
    """Takes plain records of one contract, whose fields are texts, numbers and timestamps, all of them required."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        texts = [field for field in contract.record if field.logical_type != "number"]
        # Of each name and each text, none of them escaped: with more or less, a field is there twice, or another is.
        self._quotes = 2 * len(contract.record) + 2 * len(texts)
        types = [(field.name, str if field in texts else msgspec.Raw) for field in contract.record]
        self._decoder = msgspec.json.Decoder(msgspec.defstruct("PlainRecord", types, gc=False))
        self._members = attrgetter(*(field.name for field in contract.record))
        self._checks = {field.name: check_for(field) for field in texts if field.logical_type == "string"}

    def read(self, values: pa.BinaryArray, taken_ms: pa.Int64Array) -> Taken:
        """Take what is plain of some records' values; ``taken_ms`` is when each record came, see ``BronzeRecord``."""
        decoded = [self._decoded(value) for value in values.to_pylist()]
        readable = pa.array([one is not None for one in decoded], pa.bool_())
        members = list(zip(*(self._members(one) for one in decoded if one is not None), strict=True))
        if not members:
            return Taken(readable, {})
        columns: dict[str, pa.Array] = {}
        for field, texts in zip(self._contract.record, members, strict=True):
            columns |= self._columns(field, texts, taken_ms.filter(readable))
        plain = reduce(pc.and_, (column.is_valid() for column in columns.values()))
        # One for each record, in the places of those that could be read.
        mask = pc.replace_with_mask(readable, readable, plain)
        wanted = [column.name for column in self._contract.columns]
        return Taken(mask, {name: columns[name].filter(plain) for name in wanted})

    def _decoded(self, value: bytes | None) -> Any:
        if value is None or value.count(b'"') != self._quotes or b"\\" in value:
            return None
        try:
            return self._decoder.decode(value)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    def _columns(self, field: Field, texts: Sequence[Any], taken_ms: pa.Int64Array) -> dict[str, pa.Array]:
        """The columns that a field makes; null where it is not plain."""
        if field.logical_type == "number":
            return {field.name: _numbers(field, texts)}
        if field.logical_type == "timestamp":
            return self._moments(field, texts, taken_ms)
        check = self._checks[field.name]
        typed = {text: _checked(check, text) for text in set(texts)}
        return {field.name: pa.array([typed[text] for text in texts], pa.string())}

    def _moments(self, field: Field, texts: Sequence[str], taken_ms: pa.Int64Array) -> dict[str, pa.Array]:
        written = _matching(pa.array(texts, pa.string()), _MOMENT)
        moments = pc.utf8_rtrim(written, "Z").cast(pa.timestamp("us"))
        # A millisecond that is only just begun is left to ``classify``.
        told_ms = pc.subtract(moments.cast(pa.timestamp("ms"), safe=False).cast(pa.int64()), _TOLERANCE_MS)
        in_time = pc.and_(pc.less(told_ms, taken_ms), pc.less(taken_ms, _LAST_CLOCK_MS))
        moments = pc.if_else(in_time, moments, None)
        made = {
            column.name: _PARTS[column.transform.part](moments)
            for column in self._contract.columns
            if column.transform and column.transform.source == field.name
        }
        return {field.name: moments.view(pa.timestamp("us", "UTC"))} | made


_PARTS: Mapping[str, Callable[[pa.Array], pa.Array]] = {
    "date": lambda moments: moments.cast(pa.date32()),
    "time": lambda moments: pc.replace_substring(moments.cast(pa.time64("us")).cast(pa.string()), ".000000", ""),
    "month": lambda moments: pc.month(moments).cast(pa.int32()),
    "year": lambda moments: pc.year(moments).cast(pa.int32()),
}
"""What the cleaner ``timestamp`` makes of a moment, of columns."""


@cache
def plain_reader(domain: Domain) -> PlainReader | None:
    """The reader for a domain's contract; None for a contract that asks for more than such a reader knows."""
    contract = domain.contract
    known = all(
        field.required and field.logical_type in ("string", "number", "timestamp") and not field.may_lie_ahead
        for field in contract.record
    )
    made = {column.transform.cleaner for column in contract.columns if column.transform}
    return PlainReader(contract) if known and made <= {"timestamp"} else None


def _checked(check: Check, text: str) -> str | None:
    try:
        typed: str | None = check(text)
    except InvalidValueError:
        return None
    return typed


def _numbers(field: Field, tokens: Sequence[msgspec.Raw]) -> pa.Decimal128Array:
    precision, scale = field.precision_and_scale
    pattern = rf"^-?(?:0|[1-9][0-9]{{0,{precision - scale - 1}}})(?:\.[0-9]{{1,{scale}}})?$"
    written = _matching(pa.array(map(bytes, tokens), pa.binary()), pattern)
    numbers = written.cast(pa.string()).cast(pa.decimal128(precision, scale))
    bounds = ((pc.greater_equal, field.minimum), (pc.less_equal, field.maximum), (pc.greater, field.exclusive_minimum))
    for keeps, bound in bounds:
        if bound is not None:
            numbers = pc.if_else(keeps(numbers, pa.scalar(bound)), numbers, None)
    return numbers


def _matching(written: pa.Array, pattern: str) -> pa.Array:
    return pc.if_else(pc.match_substring_regex(written, pattern), written, None)
