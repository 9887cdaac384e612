"""A back-test: how many verdicts of the past are given again in a second."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from include.backtest.cli import back_test
from include.bench.figures import Figure, by_turns
from include.bench.submit import BenchError
from include.bench.verdicts import backlog, judge_backlog
from include.fraud.rulebook import RULES_FILE, load_rules, parse_rules
from include.fraud.rules import Rules
from include.settings import Settings

_BEGINNING = datetime(1, 1, 1, tzinfo=UTC)
WANTED = 20_000


def backtest(settings: Settings, rounds: int) -> list[Figure]:
    """Verdicts a second that the rules in use give again, and that a changed file is compared with."""
    records = backlog(settings)
    judge_backlog(settings, records)
    in_use = load_rules(RULES_FILE)
    text = RULES_FILE.read_text(encoding="utf-8")
    changed = parse_rules(text.replace(f'"{in_use.version}"', '"changed"', 1).replace('"30000"', '"300"', 1), "changed")
    measured = by_turns(
        rounds,
        {
            "in use": lambda: _rate(settings, in_use, records, same=True),
            "changed": lambda: _rate(settings, changed, records, same=False),
        },
    )
    return [
        Figure("verdicts that a back-test of the rules in use gives again", "1/s", measured["in use"], WANTED),
        Figure("verdicts that a back-test compares with those of other rules", "1/s", measured["changed"], WANTED),
    ]


def _rate(settings: Settings, rules: Rules, records: int, *, same: bool) -> float:
    began = time.monotonic()
    result = back_test(settings, rules, _BEGINNING, datetime.now(UTC))
    seconds = time.monotonic() - began
    if (result.transactions, result.same_version, result.different) != (records, records if same else 0, 0):
        raise BenchError(f"not what was stored: {result.transactions:,} of {records:,}, {result.different:,} different")
    if not same and not result.alerts.new:
        raise BenchError("the changed rules have no new alert")
    return records / seconds
