"""Judged and labelled transactions, measured: the same for those of the warehouse and for those of files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.domains import TRANSACTIONS
from include.evaluate.metrics import average_precision, cases, days_of, precision_a_day, ranked
from include.evaluate.result import CaseScore, Evaluation, Ranking, RuleScore, ScenarioScore
from include.quality.columns import arrow_type

_COLUMNS = {column.name: arrow_type(column) for column in TRANSACTIONS.contract.columns}

JUDGED_AND_LABELLED = pa.schema(
    [
        *((name, _COLUMNS[name]) for name in ("txn_id", "user_id", "amount", "timestamp")),
        ("score", pa.int64()),
        ("caught", pa.bool_()),
        ("reasons", pa.list_(pa.string())),
        ("scenario", pa.string()),
        ("case_id", pa.string()),
    ]
)
"""One row for each txn_id that has a verdict and a label.

``caught`` is whether the verdict is fraud, ``reasons`` are the rules that fired; ``scenario`` is null for a genuine
transaction.
"""


def measure(
    judged: pa.Table,
    without_verdict: Mapping[str | None, int],
    *,
    without_label: int,
    unreadable: int,
    not_counted: Iterable[RuleScore] = (),
) -> Evaluation:
    """Measure what has `JUDGED_AND_LABELLED`.

    ``without_verdict`` counts by scenario the labels of transactions that have no verdict, ``without_label`` the
    verdicts that have no label, ``unreadable`` what should have been a label. ``not_counted`` are the rules that fired
    without making their transaction fraud.
    """
    caught = Counter(judged.filter(judged["caught"])["scenario"].to_pylist())
    missed = Counter(judged.filter(pc.invert(judged["caught"]))["scenario"].to_pylist())
    waiting = Counter(without_verdict)
    of_frauds = sorted(scenario for scenario in caught | missed | waiting if scenario is not None)
    return Evaluation(
        labels=judged.num_rows + waiting.total(),
        unreadable_labels=unreadable,
        labels_without_verdict=waiting.total(),
        verdicts_without_label=without_label,
        genuine_passed=missed[None],
        genuine_alarmed=caught[None],
        scenarios=tuple(
            ScenarioScore(one, caught[one] + missed[one] + waiting[one], caught[one], missed[one]) for one in of_frauds
        ),
        rules=tuple(sorted((*_rules(judged), *not_counted), key=lambda one: one.rule)),
        cases=_cases(judged),
        by_score=_ranking(judged, "score", "amount"),
        by_amount=_ranking(judged, "amount"),
    )


def _rules(judged: pa.Table) -> list[RuleScore]:
    reasons = judged["reasons"].combine_chunks()
    parents = pc.list_parent_indices(reasons)
    hits = pa.table({"rule": pc.list_flatten(reasons), "fraud": judged["scenario"].is_valid().take(parents)})
    counted = hits.group_by("rule").aggregate([("fraud", "count"), ("fraud", "sum")])
    return [RuleScore(row["rule"], row["fraud_count"], row["fraud_sum"]) for row in counted.to_pylist()]


def _cases(judged: pa.Table) -> tuple[CaseScore, ...]:
    measures = [("scenario", "count"), ("caught", "sum"), ("caught_at_first", "sum")]
    by_scenario = cases(judged.filter(judged["scenario"].is_valid())).group_by("scenario").aggregate(measures)
    return tuple(
        CaseScore(row["scenario"], row["scenario_count"], row["caught_sum"], row["caught_at_first_sum"])
        for row in by_scenario.sort_by("scenario").to_pylist()
    )


def _ranking(judged: pa.Table, *by: str) -> Ranking:
    ordered = ranked(judged.select([*by, "txn_id", "timestamp", "scenario"]), *by)
    is_fraud = ordered["scenario"].is_valid().to_numpy()
    scenario = ordered["scenario"].fill_null("").to_numpy()
    return Ranking(
        average_precision(is_fraud),
        precision_a_day(is_fraud, days_of(ordered)),
        {
            name: average_precision(is_fraud[~is_fraud | (scenario == name)])
            for name in np.unique(scenario[is_fraud]).tolist()
        },
    )
