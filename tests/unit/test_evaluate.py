"""Labels as they are read, and the scores made of the counts."""

from __future__ import annotations

import pytest

from include.evaluate import Evaluation, Label, RuleScore, ScenarioScore, parse_label


@pytest.mark.parametrize(
    ("value", "label"),
    [
        (b'{"txn_id": "T1", "scenario": null, "is_fraud": false, "timestamp": "x"}', Label("T1", None)),
        (b'{"txn_id": "T1", "scenario": "huge_amount", "is_fraud": true}', Label("T1", "huge_amount")),
        (b'{"txn_id": "T1", "scenario": "huge_amount", "is_fraud": false}', None),
        (b'{"txn_id": "T1", "scenario": null, "is_fraud": true}', None),
        (b'{"txn_id": "T\\u0000", "scenario": null, "is_fraud": false}', None),
        (b'{"txn_id": 1, "scenario": null, "is_fraud": false}', None),
        (b'{"txn_id": "T1", "scenario": 7, "is_fraud": true}', None),
        (b'{"txn_id": "T1"}', None),
        (b"[]", None),
        (b"{", None),
        (b"\xff", None),
        (b"", None),
        (None, None),
    ],
)
def test_a_label_is_read_or_is_none(value: bytes | None, label: Label | None) -> None:
    assert parse_label(value) == label


def evaluation(
    scenarios: tuple[ScenarioScore, ...] = (), rules: tuple[RuleScore, ...] = (), alarmed: int = 0
) -> Evaluation:
    return Evaluation(
        labels=100,
        unreadable_labels=0,
        labels_without_verdict=0,
        verdicts_without_label=0,
        genuine_passed=50,
        genuine_alarmed=alarmed,
        scenarios=scenarios,
        rules=rules,
    )


def test_a_fraud_without_a_verdict_is_neither_caught_nor_missed() -> None:
    score = ScenarioScore("huge_amount", labels=10, caught=3, missed=1)
    assert score.without_verdict == 6
    assert score.recall == 0.75


def test_totals_are_over_all_scenarios_and_false_alarms() -> None:
    result = evaluation((ScenarioScore("a", 4, 3, 1), ScenarioScore("b", 4, 0, 4)), alarmed=1)
    assert (result.frauds_caught, result.frauds_missed) == (3, 5)
    assert result.precision == 0.75
    assert result.recall == 0.375


def test_nothing_judged_gives_no_ratio_rather_than_a_wrong_one() -> None:
    result = evaluation((ScenarioScore("a", 4, 0, 0),))
    assert result.precision is None
    assert result.recall is None
    assert result.as_json()["scenarios"][0]["recall"] is None


def test_a_scenario_has_the_precision_of_the_rule_of_its_name() -> None:
    result = evaluation((ScenarioScore("a", 4, 4, 0), ScenarioScore("b", 1, 0, 1)), (RuleScore("a", 5, 4),))
    assert result.precision_of("a") == 0.8
    assert result.precision_of("b") is None
    assert [s["precision"] for s in result.as_json()["scenarios"]] == [0.8, None]
