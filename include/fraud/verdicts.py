"""What the rules say of transactions: their score, their verdict, and every rule that fired."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa

from include.fraud.lists import SNOOZES, Lists, snooze_of
from include.fraud.rulefile import Mode
from include.fraud.rules import Rules
from include.fraud.vocabulary import MERCHANT

SNOOZED = "snoozed"
"""The mode of a hit whose rule is asleep for the user or the merchant."""


class Merchant(NamedTuple):
    """What MERCHANTS says of a merchant; None where it says nothing."""

    risk_level: str | None = None
    category: str | None = None
    country_code: str | None = None


class NotCounted(NamedTuple):
    """A rule that fired without making its transaction (the row) fraud: its id, why (`Mode` or `SNOOZED`), evidence."""

    row: int
    rule: str
    mode: str
    evidence: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Verdicts:
    """An entry for each transaction: whether it is fraud, its score, and the evidence of each rule in that score.

    ``not_counted`` are the rules that watch or are snoozed, and those of transactions whose score is too low.
    """

    fraud: list[bool]
    scores: list[int]
    evidence: list[list[dict[str, Any]]]
    not_counted: list[NotCounted]


def merchant_columns(merchants: Iterable[Merchant]) -> dict[str, pa.Array]:
    """The columns ``merchant.…`` of conditions, for the merchant of each transaction."""
    known = list(merchants)
    return {MERCHANT + name: pa.array([getattr(one, name) for one in known], pa.string()) for name in Merchant._fields}


def judge(rules: Rules, columns: Mapping[str, pa.Array | pa.ChunkedArray], rows: int, lists: Lists) -> Verdicts:
    """Ask the rules of transactions.

    ``columns`` are those of the contract, `merchant_columns` and the features; ``lists`` are all
    those of the rules.
    """
    verdicts = Verdicts([False] * rows, [0] * rows, [[] for _ in range(rows)], [])
    asleep = {name: state.values for name, state in lists.states.items() if state.entries}
    for row, hits in rules.ask(columns, lists).items():
        counted: list[dict[str, Any]] = []
        score = 0
        for hit in hits:
            rule = hit.rule
            if rule.mode is not Mode.ALERT:
                verdicts.not_counted.append(NotCounted(row, rule.id, rule.mode, hit.as_json()))
            elif any(
                columns[kind.column][row].as_py() in asleep.get(snooze_of(rule.id, entity), ())
                for entity, kind in SNOOZES.items()
            ):
                verdicts.not_counted.append(NotCounted(row, rule.id, SNOOZED, hit.as_json()))
            else:
                score += rule.weight
                counted.append(hit.as_json())
        verdicts.scores[row] = score
        if score >= rules.alert_at:
            verdicts.fraud[row], verdicts.evidence[row] = True, counted
        else:
            verdicts.not_counted.extend(NotCounted(row, one["rule"], Mode.ALERT, one) for one in counted)
    return verdicts
