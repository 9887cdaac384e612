"""Which checks each asset has: those that its contract makes, and those of ``checks.yaml``.

What a contract says of a column blocks: a row that breaks it is in no published table. An entry of ``checks.yaml`` adds
a check to an asset of silver or gold, and says whether it blocks or warns. The file beside this one is read, and the
one in the folder that ``$PAYLAKE_DOMAINS`` names, if it is there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic import Field as Limited

from include.contracts import Field
from include.domains import DOMAINS, DOMAINS_VARIABLE, GOLD_DOMAINS, Domain, Kind
from include.marked_yaml import MarkedYaml, YamlPath

FILE_NAME = "checks.yaml"


class CheckKind(StrEnum):
    """What a check looks at."""

    NOT_NULL = "not_null"
    UNIQUE = "unique"
    RANGE = "range"
    ACCEPTED_VALUES = "accepted_values"
    PATTERN = "pattern"
    LENGTH = "length"
    ROWS_ADD_UP = "rows_add_up"
    """Whether a table has the rows that it had, and those that a run added, and no other."""
    REFERENCE = "reference"
    ROW_COUNT_DRIFT = "row_count_drift"
    REJECTED_SHARE = "rejected_share"
    """Of the records that came, those that were refused; the limit and the alarm are ``include.quarantine``'s."""
    FRESHNESS = "freshness"
    """Whether the asset is overdue; the limits are the registry's, the alarm is ``include.alerts``'."""


ROW_KINDS = frozenset(
    {
        CheckKind.NOT_NULL,
        CheckKind.UNIQUE,
        CheckKind.RANGE,
        CheckKind.ACCEPTED_VALUES,
        CheckKind.PATTERN,
        CheckKind.LENGTH,
    }
)
"""What can be told from the rows alone."""


class Severity(StrEnum):
    """What follows when a check fails."""

    BLOCK = "block"
    """Nothing is published, and the run fails."""
    WARN = "warn"
    """It is told."""


class CheckError(ValueError):
    """An entry of ``checks.yaml`` makes no sense; the message names the file, the line and the part."""


@dataclass(frozen=True, slots=True)
class Check:
    """One check of the asset ``asset``; ``name`` is its own among those of the asset.

    Row by row, a value that is null fails `CheckKind.NOT_NULL` alone. ``minimum``, ``maximum`` and
    ``exclusive_minimum`` are in the column's own unit, ``min_length`` and ``max_length`` count characters, ``pattern``
    has to match from beginning to end. ``to`` names the column of gold that has to hold a reference's value, such as
    ``gold/USERS.user_id``. Up to ``max_share`` (0 to 1) of the rows may fail. ``low`` and ``high`` bound how many rows
    there may be for each one there was: of events by day, beside the median of the ``days`` days before.

    ``of_contract``: a contract makes it. Without a column, a check of uniqueness is about the record itself.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    asset: str
    kind: CheckKind
    severity: Severity = Severity.WARN
    name: Annotated[str, Limited(pattern="^[a-z][a-z0-9_]*$")] = ""
    column: str | None = None
    minimum: Decimal | None = None
    maximum: Decimal | None = None
    exclusive_minimum: Decimal | None = None
    values: tuple[str, ...] = ()
    pattern: str | None = None
    min_length: Annotated[int, Limited(ge=0)] | None = None
    max_length: Annotated[int, Limited(ge=0)] | None = None
    to: str | None = None
    max_share: Annotated[float, Limited(ge=0, le=1)] = 0.0
    low: Annotated[float, Limited(ge=0)] | None = None
    high: Annotated[float, Limited(gt=0)] | None = None
    days: Annotated[int, Limited(ge=1, le=366)] = 7
    of_contract: bool = False

    @property
    def blocks(self) -> bool:
        """Whether nothing is published while it fails."""
        return self.severity is Severity.BLOCK

    @property
    def reference(self) -> tuple[Domain, str]:
        """The domain whose gold table has to hold the value, and its column."""
        asset, _, column = (self.to or "").rpartition(".")
        return _TABLES[asset], column

    def limits(self) -> dict[str, Any]:
        """What is allowed, as JSON values."""
        allowed = {name: getattr(self, name) for name in _LIMITS}
        return {name: _plain(value) for name, value in allowed.items() if value not in (None, (), 0.0)}


_LIMITS = (
    "minimum",
    "maximum",
    "exclusive_minimum",
    "values",
    "pattern",
    "min_length",
    "max_length",
    "to",
    "max_share",
    "low",
    "high",
)
_TEXT = frozenset({"string"})
_NUMBERS = frozenset({"integer", "number"})
_COMMON = frozenset({"asset", "kind", "severity", "name"})


@dataclass(frozen=True, slots=True)
class _Takes:
    """What an entry of a kind says: all of ``needed``, one of ``any_of`` if there are some; of columns of ``types``."""

    needed: frozenset[str]
    any_of: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset({"max_share"})
    types: frozenset[str] | None = None
    may_block: bool = True


_COLUMN = frozenset({"column"})
_TAKES = {
    CheckKind.NOT_NULL: _Takes(_COLUMN),
    CheckKind.UNIQUE: _Takes(_COLUMN),
    CheckKind.RANGE: _Takes(_COLUMN, frozenset({"minimum", "maximum", "exclusive_minimum"}), types=_NUMBERS),
    CheckKind.ACCEPTED_VALUES: _Takes(_COLUMN | {"values"}, types=_TEXT),
    CheckKind.PATTERN: _Takes(_COLUMN | {"pattern"}, types=_TEXT),
    CheckKind.LENGTH: _Takes(_COLUMN, frozenset({"min_length", "max_length"}), types=_TEXT),
    # The streams are independent: the other record may still come.
    CheckKind.REFERENCE: _Takes(_COLUMN | {"to"}, may_block=False),
    CheckKind.ROW_COUNT_DRIFT: _Takes(
        frozenset(), frozenset({"low", "high"}), optional=frozenset({"days"}), may_block=False
    ),
}
_TABLES = {domain.gold_asset: domain for domain in GOLD_DOMAINS.values()}
_ASSETS = {domain.silver_asset: domain for domain in DOMAINS.values()} | _TABLES


def contract_checks(domain: Domain, asset: str) -> Iterator[Check]:
    """What the contract says of the rows of ``asset``, the domain's silver or gold; all of it blocks."""
    for column in domain.contract.columns:
        yield from _of_column(column, asset)
    if asset == domain.silver_asset:
        # Of gold the primary key sees to it.
        key = domain.key if domain.kind is Kind.REFERENCE else None
        yield _blocking(asset, CheckKind.UNIQUE, key)
        yield _blocking(asset, CheckKind.ROWS_ADD_UP, None)
        if not domain.judged:
            yield Check(asset, CheckKind.REJECTED_SHARE, name=CheckKind.REJECTED_SHARE.value, of_contract=True)


def checks_of(domain: Domain, asset: str) -> list[Check]:
    """The checks of the domain's silver or gold, with what the contract says that it has at this moment."""
    return [*contract_checks(domain, asset), *(one for one in CHECKS.get(asset, ()) if not one.of_contract)]


def read_checks(file: Path) -> list[Check]:
    """The entries of a file of checks.

    Raises:
        CheckError: it cannot be read, or an entry makes no sense.
    """
    try:
        text = MarkedYaml(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CheckError(f"{file}: {error}") from error
    if text.repeated:
        line, name = text.repeated[0]
        raise CheckError(f"{file}:{line}: {name} is there twice")
    try:
        entries = TypeAdapter(list[Check]).validate_python(text.content or [])
    except ValidationError as error:
        first = error.errors()[0]
        where: YamlPath = first["loc"]
        raise CheckError(f"{file}:{text.line(where)}: {'.'.join(map(str, where))}: {first['msg']}") from error
    for number, (entry, said) in enumerate(zip(entries, text.content or [], strict=True)):
        if wrong := _wrong(entry, frozenset(said)):
            raise CheckError(f"{file}:{text.line((number,))}: {entry.kind} of {entry.asset}: {wrong}")
    return [replace(entry, name=entry.name or _name(entry.kind, entry.column)) for entry in entries]


def checks_by_asset(added: Iterable[Check]) -> dict[str, tuple[Check, ...]]:
    """The checks of each asset of silver and gold: its contract's, and those of ``added`` that are its own.

    Raises:
        CheckError: two checks of an asset have the same name.
    """
    more = list(added)
    found: dict[str, tuple[Check, ...]] = {}
    for asset, domain in _ASSETS.items():
        own = (*contract_checks(domain, asset), *(one for one in more if one.asset == asset))
        names = [one.name for one in own]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise CheckError(f"{asset}: two checks have the name {', '.join(twice)}; give one of them another `name`")
        found[asset] = own
    return found


def _of_column(column: Field, asset: str) -> Iterator[Check]:
    name = column.name
    if column.required or column.primary_key:
        yield _blocking(asset, CheckKind.NOT_NULL, name)
    if column.pattern is not None:
        yield _blocking(asset, CheckKind.PATTERN, name, pattern=column.pattern)
    if column.min_length is not None or column.max_length is not None:
        lengths = {"min_length": column.min_length, "max_length": column.max_length}
        yield _blocking(asset, CheckKind.LENGTH, name, **lengths)
    bounds = {
        "minimum": column.minimum,
        "maximum": column.maximum,
        "exclusive_minimum": column.exclusive_minimum,
    }
    if any(bound is not None for bound in bounds.values()):
        yield _blocking(asset, CheckKind.RANGE, name, **bounds)
    if column.valid_values:
        yield _blocking(asset, CheckKind.ACCEPTED_VALUES, name, values=column.valid_values)


def _blocking(asset: str, kind: CheckKind, column: str | None, **limits: Any) -> Check:
    name = _name(kind, column)
    return Check(asset, kind, Severity.BLOCK, name, column=column, of_contract=True, **limits)


def _name(kind: CheckKind, column: str | None) -> str:
    return f"{column or ('record' if kind is CheckKind.UNIQUE else '')}_{kind}".lstrip("_")


def _wrong(entry: Check, said: frozenset[str]) -> str | None:
    """What makes no sense about an entry that says these parts; None if all of it does."""
    domain, takes = _ASSETS.get(entry.asset), _TAKES.get(entry.kind)
    if domain is None:
        return f"no such asset of silver or gold; there are {', '.join(_ASSETS)}"
    if takes is None:
        return "Paylake makes this check itself; see docs/assets.md for where its limit is set"
    if missing := takes.needed - said:
        return f"{', '.join(sorted(missing))} must be said"
    if takes.any_of and not takes.any_of & said:
        return f"one of {', '.join(sorted(takes.any_of))} must be said"
    if unknown := said - _COMMON - takes.needed - takes.any_of - takes.optional:
        return f"{', '.join(sorted(unknown))} says nothing of this kind"
    if entry.blocks and not takes.may_block:
        return "it can only warn"
    if entry.kind is CheckKind.ROW_COUNT_DRIFT and entry.asset == domain.gold_asset and domain.kind is Kind.EVENT:
        return f"events are looked at by day, in {domain.silver_asset}"
    return _wrong_column(entry, domain, takes) or _wrong_limits(entry)


def _wrong_column(entry: Check, domain: Domain, takes: _Takes) -> str | None:
    columns = {one.name: one.logical_type for one in domain.contract.columns}
    if entry.column is not None and entry.column not in columns:
        return f"no column {entry.column} in the contract; there are {', '.join(columns)}"
    if entry.column and takes.types and columns[entry.column] not in takes.types:
        return f"{entry.column} is of type {columns[entry.column]}, not {' or '.join(sorted(takes.types))}"
    if entry.to is None:
        return None
    asset, _, column = entry.to.rpartition(".")
    if asset not in _TABLES or column not in {one.name for one in _TABLES[asset].contract.columns}:
        return f"{entry.to} is no column of gold, such as gold/USERS.user_id"
    return None


def _wrong_limits(entry: Check) -> str | None:
    low, high = (entry.low or 0, entry.high) if entry.high is not None else (0, 1)
    if low > high:
        return f"nothing is from {low} to {high}"
    if entry.pattern is not None:
        try:
            re.compile(entry.pattern)
        except re.error as error:
            return f"pattern {entry.pattern!r}: {error}"
    if entry.values == () and entry.kind is CheckKind.ACCEPTED_VALUES:
        return "values is empty"
    return None


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return list(value) if isinstance(value, tuple) else value


def _added() -> Iterator[Check]:
    yield from read_checks(Path(__file__).with_name(FILE_NAME))
    folder = os.environ.get(DOMAINS_VARIABLE)
    if folder and (own := Path(folder) / FILE_NAME).exists():
        yield from read_checks(own)


CHECKS: dict[str, tuple[Check, ...]] = checks_by_asset(_added())
"""The checks of each asset of silver and gold, by the asset's name."""
