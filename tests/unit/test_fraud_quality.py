"""How good the rules are on traffic of seeds that they were not made on; `-s` prints what docs/fraud.md says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from include.fraud.replay import judge_log
from include.fraud.rulebook import RULES_FILE, load_rules
from include.fraud.verdicts import Merchant
from include.generators.population import Population
from include.generators.transactions import TransactionSource

UNTIL = datetime(2026, 11, 20, tzinfo=UTC)
USERS, RATE, DAYS = 300, 0.12, 30
"""So a user pays 35 times a day, and a seed has 311,000 transactions."""
UNKNOWN_DAYS = 10
"""So long nobody is asked: what is usual for a user has still to be seen."""


def month_of(seed: int) -> tuple[pa.Table, list[str | None], dict[str, Merchant]]:
    """A month of traffic in the order of its times; the scenario of each transaction; the merchants."""
    population = Population(seed, USERS, 100)
    source = TransactionSource(population, run_id=f"s{seed}", fraud_share=0.02, clock=lambda: UNTIL)
    made = [one for turn in source.past(UNTIL - timedelta(days=DAYS), UNTIL, RATE) for one in turn]
    records = [one.record for one in made]
    texts = ("txn_id", "user_id", "merchant_id", "channel", "location")
    columns = {name: pa.array([record[name] for record in records], pa.string()) for name in texts}
    amounts = [Decimal(str(record["amount"])) for record in records]
    moments = pc.utf8_rtrim(pc.replace_substring(pa.array([one["timestamp"] for one in records]), " ", "T"), "Z")
    times = pc.assume_timezone(moments.cast(pa.timestamp("us")), "UTC")
    table = pa.table(
        {
            **columns,
            "amount": pa.array(amounts, pa.decimal128(19, 4)),
            "timestamp": times,
            "date": times.cast(pa.date32()),
            "month": pc.month(times),
            "year": pc.year(times),
        }
    )
    merchants = {
        one.merchant_id: Merchant(one.risk_level, one.category, one.country.code) for one in population.merchants
    }
    return table, [one.scenario for one in made], merchants


@pytest.mark.parametrize("seeds", [(201, 202), pytest.param((203, 204, 205, 206), marks=pytest.mark.long)])
def test_frauds_that_need_memory_are_caught_and_few_honest_people_are_suspected(seeds: Sequence[int]) -> None:
    rules = load_rules(RULES_FILE)
    known, caught = Counter[str | None](), Counter[str | None]()
    for seed in seeds:
        table, scenarios, merchants = month_of(seed)
        scores = judge_log(table, rules, merchants)["score"].to_pylist()
        begun = pc.less(table["timestamp"], UNTIL - timedelta(days=DAYS - UNKNOWN_DAYS)).to_pylist().count(True)
        known.update(scenarios[begun:])
        told_of = zip(scenarios[begun:], scores[begun:], strict=True)
        caught.update(scenario for scenario, score in told_of if score >= rules.alert_at)
    recall = {scenario: caught[scenario] / count for scenario, count in known.items() if scenario}
    precision, suspected = 1 - caught[None] / caught.total(), caught[None] / known[None]
    told = ", ".join(f"{scenario} {share:.3f}" for scenario, share in sorted(recall.items()))
    print(f"\nseeds {seeds}: precision {precision:.3f}, genuine alerted {suspected:.5f}; recall of {told}")
    assert min(recall["card_testing"], recall["impossible_travel"]) >= 0.9
    assert min(recall["compromised_card"], recall["compromised_merchant"]) >= 0.6
    assert precision >= 0.9
    assert suspected <= 0.003
