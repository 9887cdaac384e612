"""Valid, rejected or tombstone: the one place that decides, in pure Python and the same way every time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from include.cleaning import CLEANERS, Cleaner, CleaningError
from include.cleaning.text import shown
from include.contracts import Contract, Field
from include.domains import Domain
from include.lake.unreadable import is_note
from include.quality.envelopes import open_record
from include.quality.isolate import lies_in_records, unprocessable
from include.quality.parse import UnreadableError
from include.quality.reason import Reason
from include.quality.values import Check, InvalidValueError, check_for

if TYPE_CHECKING:
    from include.lake.records import BronzeRecord

FUTURE_TOLERANCE = timedelta(hours=24)
"""How far a record's own times may lie after the moment it came."""

Maker = Callable[[Any], Mapping[str, object]]
"""Makes columns of the typed value of a field."""


@dataclass(frozen=True, slots=True)
class Valid:
    """The record keeps its contract; ``row`` has every column of the contract's table, None where there is no value.

    Decimal for numbers (with the column's scale), UTC datetime for timestamps, date, str for times of day, int, bool.
    """

    row: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rejected:
    """The record breaks its contract, in each of these ways (at least one)."""

    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Tombstone:
    """The record's value is null, Kafka's mark for a deleted key; or it was in an envelope that told a delete."""


Outcome = Valid | Rejected | Tombstone


def classify(domain: Domain, record: BronzeRecord) -> Outcome:
    """Decide what ``record`` is; never raises because of what is in it: what this cannot cope with is rejected, too."""
    try:
        return _classify(domain, record)
    except Exception as error:
        if not lies_in_records(error):
            raise
        return Rejected((unprocessable(error),))


def _classify(domain: Domain, record: BronzeRecord) -> Outcome:
    if record.value is None:
        return Tombstone()
    plan = _plan(domain)
    try:
        members = open_record(record.value, plan.required, plan.unwrap)
    except UnreadableError as error:
        return Rejected((error.reason,))
    if members is None:
        return Tombstone()
    if is_note(members):
        return Rejected((Reason(None, "unreadable_in_kafka", "stands for what could not be read from Kafka"),))
    return plan.apply(members, _latest(record.taken_ms))


def _latest(taken_ms: int) -> datetime:
    """The latest moment that a record may speak of."""
    return datetime.fromtimestamp(taken_ms / 1000, UTC) + FUTURE_TOLERANCE


@dataclass(frozen=True, slots=True)
class _Step:
    """What is done with one field of the record."""

    name: str
    required: bool
    check: Check
    makers: tuple[Maker, ...]
    lies_behind: bool


@dataclass(frozen=True, slots=True)
class _Plan:
    """A contract, compiled: made once for each domain and process."""

    steps: tuple[_Step, ...]
    columns: tuple[str, ...]
    required: frozenset[str]
    unwrap: frozenset[str]

    def apply(self, members: Mapping[str, object], latest: datetime) -> Valid | Rejected:
        made: dict[str, Any] = dict.fromkeys(self.columns)
        reasons: list[Reason] = []
        for step in self.steps:
            value = members.get(step.name)
            if value is None:
                if step.required:
                    reasons.append(Reason(step.name, "missing", "is required but absent or null"))
                continue
            try:
                typed = step.check(value)
                if step.lies_behind and typed > latest:
                    reasons.append(Reason(step.name, "in_the_future", _future_message(typed)))
                made[step.name] = typed
                if typed is not None:
                    for make in step.makers:
                        made.update(make(typed))
            except InvalidValueError as error:
                reasons += error.reasons(step.name)
            except CleaningError as error:
                reasons.append(Reason(step.name, error.code, str(error)))
        if reasons:
            return Rejected(tuple(reasons))
        # More than the columns are in it where a field of the record is only the source of others.
        return Valid(made if len(made) == len(self.columns) else {column: made[column] for column in self.columns})


def _future_message(moment: datetime) -> str:
    hours = int(FUTURE_TOLERANCE.total_seconds() // 3600)
    return f"{shown(moment.isoformat())} is more than {hours} hours after the record came"


@lru_cache(maxsize=64)
def _plan(domain: Domain) -> _Plan:
    contract = domain.contract
    return _Plan(
        steps=tuple(_step(contract, field) for field in contract.record),
        columns=tuple(column.name for column in contract.columns),
        required=contract.required,
        unwrap=contract.unwrap,
    )


def _step(contract: Contract, field: Field) -> _Step:
    parts: dict[str, dict[str, str]] = {}
    for column in contract.columns:
        if column.transform and column.transform.source == field.name:
            parts.setdefault(column.transform.cleaner, {})[column.name] = column.transform.part
    makers = tuple(_maker(CLEANERS[cleaner], of_columns) for cleaner, of_columns in parts.items())
    lies_behind = field.logical_type == "timestamp" and not field.may_lie_ahead
    return _Step(field.name, field.required, check_for(field), makers, lies_behind)


def _maker(cleaner: Cleaner, parts: Mapping[str, str]) -> Maker:
    """Makes the columns that are the keys of ``parts``, each of the part that is its value."""

    def make(value: Any) -> dict[str, object]:
        made = cleaner.make(value)
        return {column: made[part] for column, part in parts.items()}

    return make
