"""The rules of fraud, asked of many transactions at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from include.fraud.expressions import Condition, Constant
from include.fraud.features import Feature
from include.fraud.lists import SNOOZES, ListDeclaration, Lists, snooze_of
from include.fraud.rulefile import Mode
from include.fraud.sentences import Sentence
from include.fraud.terms import Batch, Column
from include.fraud.vocabulary import MERCHANT

UNKNOWN = "unknown"
"""What stands in a sentence and in evidence for a value that is missing."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: when it fires, what it says then, and how much that weighs.

    ``lists`` are those that it asks, each with the column whose values it holds.
    """

    id: str
    says: Sentence
    condition: Condition
    parameters: Mapping[str, Constant]
    lists: Mapping[str, str]
    weight: int
    mode: Mode

    @property
    def evidence(self) -> tuple[str, ...]:
        """The names whose values are stored where it fires, those of its sentence first."""
        return tuple(dict.fromkeys((*self.says.names, *sorted(self.condition.names), *self.parameters)))


@dataclass(frozen=True, slots=True)
class Hit:
    """A rule that fired for a transaction: a sentence for people, and the values that made it fire, as text.

    Numbers are exact decimals. A merchant's fields go by their own names (``risk_level``); a list that the rule asked
    is ``yes``, ``no`` or ``unknown``.
    """

    rule: Rule
    message: str
    values: dict[str, str]

    def as_json(self) -> dict[str, Any]:
        """The element that FraudTransaction's column ``evidence`` holds for this rule."""
        return {"rule": self.rule.id, "message": self.message, "values": self.values}


@dataclass(frozen=True)
class Rules:
    """A version of the rules.

    ``version`` is stored with every verdict. A transaction is fraud whose score, the sum of the weights of its rules in
    mode ``alert``, is at least ``alert_at``.
    """

    version: str
    alert_at: int
    lists: Mapping[str, ListDeclaration]
    features: tuple[Feature, ...]
    rules: tuple[Rule, ...]

    @cached_property
    def all_lists(self) -> dict[str, ListDeclaration]:
        """The file's lists, and for each rule those for whom it sleeps."""
        snoozes = {
            snooze_of(rule.id, entity): ListDeclaration(kind, is_snooze=True)
            for rule in self.rules
            for entity, kind in SNOOZES.items()
        }
        return {**self.lists, **snoozes}

    def ask(self, columns: Mapping[str, Column], lists: Lists) -> dict[int, list[Hit]]:
        """Ask every rule that is not off of every row: the rules that fire, by the number of the row, both in order.

        ``columns`` are those of the transactions contract, ``merchant.…`` and the features, of one length.
        """
        batch = Batch(columns, lists.has)
        texts = _Texts(batch)
        hits: dict[int, list[Hit]] = {}
        for rule in self.rules:
            if rule.mode is Mode.OFF:
                continue
            places = pc.indices_nonzero(pc.fill_null(rule.condition.holds(batch), False)).to_pylist()
            if places:
                for place, hit in zip(places, texts.hits(rule, places), strict=True):
                    hits.setdefault(place, []).append(hit)
        return dict(sorted(hits.items()))


class _Texts:
    """The values of a batch as text, each made once, and only where a rule fired."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._made: dict[str, dict[int, str]] = {}

    def of(self, name: str, places: list[int]) -> list[str]:
        """A column's values at these places."""
        made = self._made.setdefault(name, {})
        new = [place for place in places if place not in made]
        if new:
            values = self._batch.column(name).take(pa.array(new, pa.int64())).to_pylist()
            made.update(zip(new, map(plain, values), strict=True))
        return [made[place] for place in places]

    def hits(self, rule: Rule, places: list[int]) -> Iterator[Hit]:
        """What the rule says of the rows at these places, of which there is at least one."""
        texts = {
            name: [plain(rule.parameters[name])] * len(places) if name in rule.parameters else self.of(name, places)
            for name in rule.evidence
        }
        said = zip(*(texts[name] for name in rule.says.names), strict=True) if rule.says.names else [()] * len(places)
        stored = {name.removeprefix(MERCHANT): values for name, values in texts.items()}
        for name, column in sorted(rule.lists.items()):
            words = {True: "yes", False: "no", None: UNKNOWN}
            stored[name] = [
                words[listed] for listed in self._batch.listed(name, column).take(pa.array(places)).to_pylist()
            ]
        for named, values in zip(said, zip(*stored.values(), strict=True), strict=True):
            yield Hit(rule, rule.says.template % named, dict(zip(stored, values, strict=True)))


def plain(value: Any) -> str:
    """A value as it stands in sentences and evidence: numbers are not rounded and have no exponent."""
    if value is None:
        return UNKNOWN
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        value = Decimal(repr(value))
    if isinstance(value, Decimal):
        return f"{value:f}"
    return value.isoformat() if isinstance(value, date | datetime) else str(value)
