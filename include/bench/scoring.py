"""What memory and many rules cost: verdicts with 12 features beside none, and rules asked of a batch."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa

from include.bench.figures import Figure, Peer, by_turns
from include.bench.rulebooks import FEATURES, written
from include.bench.submit import in_environment
from include.bench.verdicts import backlog, judge_backlog
from include.fraud.history import RECALLED, History
from include.fraud.lists import Lists
from include.fraud.rulebook import RULES_VARIABLE, parse_rules
from include.fraud.verdicts import Merchant, judge, merchant_columns
from include.generators.population import Population
from include.generators.transactions import TransactionSource
from include.settings import Settings

BATCH = 1_000
RULES = (4, 50, 250, 1_000)


def scoring(settings: Settings, rounds: int) -> list[Figure]:
    """Verdicts a second from a backlog with 12 features, beside none; milliseconds for a batch of 1,000 by rules."""
    records = backlog(settings)
    with _rules_files() as (remembering, forgetful):
        judged = by_turns(
            rounds,
            {
                "features": lambda: _with_rules(remembering, settings, records),
                "none": lambda: _with_rules(forgetful, settings, records),
            },
        )
    peer = Peer("the same four rules without a feature", judged["none"], least_ratio=0.5)
    asked = _asked(rounds)
    return [
        Figure("verdicts from a backlog, 12 features", "1/s", judged["features"], 10_000, peers=(peer,)),
        *(
            Figure(
                f"{count} rules with 12 features asked of {BATCH} transactions", "ms", asked[str(count)], wanted, True
            )
            for count, wanted in zip(RULES, (None, None, None, 300), strict=True)
        ),
    ]


def _with_rules(path: Path, settings: Settings, records: int) -> float:
    with in_environment({RULES_VARIABLE: str(path)}):
        return judge_backlog(settings, records)


@contextmanager
def _rules_files() -> Iterator[tuple[Path, Path]]:
    with TemporaryDirectory(prefix="paylake-bench-") as folder:
        paths = (Path(folder) / "remembering.yaml", Path(folder) / "forgetful.yaml")
        for path, features in zip(paths, (FEATURES, {}), strict=True):
            path.write_text(_rules(4, features), encoding="utf-8")
        yield paths


def _rules(count: int, features: Mapping[str, Mapping[str, str]]) -> str:
    """A rules' file; few transactions are above the limits, as few are frauds."""
    counted = [name for name, one in features.items() if one["function"] != "first_time"]
    rules = [
        {
            "id": f"r{number}",
            "says": "amount {amount} is above {limit}",
            "when": "amount > limit"
            + (" and channel = 'Online'" if number % 2 else "")
            + (f" and {counted[number % len(counted)]} >= {number % 7}" if counted else ""),
            "parameters": {"limit": str(30_000 + 10 * number)},
            "weight": 100,
            "mode": "alert",
        }
        for number in range(count)
    ]
    return written(features, rules)


def _asked(rounds: int) -> dict[str, tuple[float, ...]]:
    """Milliseconds from a batch of transactions to its verdicts, by the number of rules."""
    runs = {}
    for count in RULES:
        rules = parse_rules(_rules(count, FEATURES), "bench")
        history = History(rules.features, lambda _member, _sinces: ())
        batches = iter(_batches(rounds + 1))
        lists = Lists.at(rules.all_lists, (), 0, datetime.now(UTC))

        def ask(rules: Any = rules, history: History = history, batches: Any = batches, lists: Any = lists) -> float:
            batch = next(batches)
            began = time.monotonic()
            columns = {name: batch[name] for name in batch.column_names}
            columns |= merchant_columns([Merchant()] * batch.num_rows) | history.pass_by(batch)
            judge(rules, columns, batch.num_rows, lists)
            return 1000 * (time.monotonic() - began)

        # The first one reads where cities are.
        ask()
        runs[str(count)] = ask
    return by_turns(rounds, runs)


def _batches(count: int) -> list[pa.Table]:
    source = TransactionSource(Population(42, 500, 100), run_id="bench", fraud_share=0.02)
    batches = []
    for _ in range(count):
        records = [one.record for one in source.take(BATCH)]
        for record in records:
            moment = datetime.fromisoformat(record["timestamp"])
            record["timestamp"] = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            record["amount"] = Decimal(str(record["amount"]))
        batches.append(pa.Table.from_pylist(records, RECALLED))
    return batches
