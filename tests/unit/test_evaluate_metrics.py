"""The measures of a ranking and the cases of frauds, against figures made by hand and by other ways to count."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.evaluate.measure import JUDGED_AND_LABELLED, measure
from include.evaluate.metrics import average_precision, cases, days_of, precision_a_day, ranked
from include.evaluate.result import CaseScore, RuleScore, ScenarioScore

MIDNIGHT = datetime(2026, 1, 31, tzinfo=UTC)


def transaction(txn_id: str, **changes: Any) -> dict[str, Any]:
    """A genuine transaction that passed; ``hour`` counts from a midnight."""
    hour = changes.pop("hour", 0)
    plain = {"user_id": "U1", "amount": Decimal(10), "score": 0, "caught": False, "reasons": [], "scenario": None}
    return {"txn_id": txn_id, "timestamp": MIDNIGHT + timedelta(hours=hour), "case_id": None, **plain, **changes}


def table(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), JUDGED_AND_LABELLED)


def flags(text: str) -> np.ndarray[Any, Any]:
    """A fraud for each F, the most suspicious first."""
    return np.array([letter == "F" for letter in text], bool)


@pytest.mark.parametrize(
    ("ranking", "expected"),
    [
        ("F", 1.0),
        ("FFgg", 1.0),
        ("gF", 1 / 2),
        ("FgFg", (1 + 2 / 3) / 2),
        ("ggF", 1 / 3),
        ("gFFgF", (1 / 2 + 2 / 3 + 3 / 5) / 3),
        ("ggg", None),
        ("", None),
    ],
)
def test_average_precision_is_the_mean_of_the_precision_down_to_each_fraud(
    ranking: str, expected: float | None
) -> None:
    assert average_precision(flags(ranking)) == (None if expected is None else pytest.approx(expected))


@given(st.lists(st.booleans(), min_size=1, max_size=60).filter(any))
def test_average_precision_is_the_area_under_precision_by_recall(ranking: list[bool]) -> None:
    frauds, area, reached = sum(ranking), 0.0, 0.0
    for depth in range(1, len(ranking) + 1):
        recall = sum(ranking[:depth]) / frauds
        area += (recall - reached) * sum(ranking[:depth]) / depth
        reached = recall
    assert average_precision(np.array(ranking)) == pytest.approx(area)


@given(st.lists(st.booleans(), min_size=2, max_size=60).filter(any), st.data())
def test_a_fraud_that_rises_makes_no_measure_worse(ranking: list[bool], data: st.DataObject) -> None:
    place = data.draw(st.integers(1, len(ranking) - 1))
    risen = ranking.copy()
    if risen[place] and not risen[place - 1]:
        risen[place - 1 : place + 1] = [True, False]
    before, after = np.array(ranking), np.array(risen)
    same_day = np.zeros(len(ranking), np.int64)
    assert (average_precision(after) or 0) >= (average_precision(before) or 0)
    assert (precision_a_day(after, same_day, 3) or 0) >= (precision_a_day(before, same_day, 3) or 0)


def test_precision_of_a_day_is_of_its_most_suspicious_and_its_mean_is_over_days() -> None:
    #            day 0: F g | F     day 1: g g | F     day 2: F alone
    ranking, days = flags("FgFggFF"), np.array([0, 0, 0, 1, 1, 1, 2])
    assert precision_a_day(ranking, days, most=2) == pytest.approx((1 / 2 + 0 + 1) / 3)
    assert precision_a_day(ranking, days) == pytest.approx((2 / 3 + 1 / 3 + 1) / 3)
    assert precision_a_day(flags(""), np.array([], np.int64)) is None


def test_days_may_be_mixed_in_the_ranking_and_lie_before_1970() -> None:
    assert precision_a_day(flags("gFFg"), np.array([1, -1, 1, -1]), most=1) == pytest.approx((0 + 1) / 2)
    rows = [transaction("T1", timestamp=datetime(1969, 12, 31, 23, tzinfo=UTC)), transaction("T2", hour=23)]
    assert days_of(table(*rows)).tolist() == [-1, (MIDNIGHT - datetime(1970, 1, 1, tzinfo=UTC)).days]


def test_of_equal_scores_the_dearer_comes_first_and_then_the_txn_id_decides() -> None:
    rows = [
        transaction("T3", score=5, amount=Decimal("9.9999")),
        transaction("T2", score=5, amount=Decimal("10.0000")),
        transaction("T4", score=90, amount=Decimal(1)),
        transaction("T1", score=5, amount=Decimal("9.9999")),
    ]
    assert ranked(table(*rows), "score", "amount")["txn_id"].to_pylist() == ["T4", "T2", "T1", "T3"]
    assert ranked(table(*rows), "amount")["txn_id"].to_pylist() == ["T2", "T1", "T3", "T4"]


def fraud(txn_id: str, hour: float, *, caught: bool = False, **changes: Any) -> dict[str, Any]:
    return transaction(txn_id, hour=hour, caught=caught, **{"scenario": "theft", **changes})


def found(*rows: dict[str, Any]) -> list[tuple[str, bool, bool]]:
    """Each case: its scenario, whether it was caught, and whether at its first transaction."""
    return sorted(tuple(row.values()) for row in cases(table(*rows)).to_pylist())


def test_a_case_ends_with_a_gap_of_a_day() -> None:
    assert found(fraud("T1", 0), fraud("T2", 23.99, caught=True), fraud("T3", 47.98)) == [("theft", True, False)]
    assert found(fraud("T1", 0), fraud("T2", 24, caught=True)) == [("theft", False, False), ("theft", True, True)]


def test_users_and_scenarios_have_cases_of_their_own() -> None:
    rows = [fraud("T1", 0), fraud("T2", 1, user_id="U2", caught=True), fraud("T3", 2, scenario="testing")]
    assert found(*rows) == [("testing", False, False), ("theft", False, False), ("theft", True, True)]


def test_a_case_id_binds_whatever_lies_between() -> None:
    rows = [
        fraud("T1", 500, case_id="C", user_id="U1", caught=True),
        fraud("T2", 0, case_id="C", user_id="U9"),
        fraud("T3", 1, case_id="D"),
        fraud("T4", 2),
    ]
    assert found(*rows) == [("theft", False, False)] * 2 + [("theft", True, False)]


def test_of_two_at_one_moment_the_txn_id_says_which_is_the_first() -> None:
    assert found(fraud("T2", 0, caught=True), fraud("T1", 0)) == [("theft", True, False)]


FRAUDS = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from(["U1", "U2"]), st.integers(0, 90), st.booleans()),
    max_size=25,
)


@given(FRAUDS)
def test_cases_are_those_of_walking_through_each_users_frauds(drawn: list[tuple[str, str, int, bool]]) -> None:
    rows = [
        fraud(f"T{number:02}", hour, caught=caught, scenario=scenario, user_id=user)
        for number, (scenario, user, hour, caught) in enumerate(drawn)
    ]
    expected: list[tuple[str, bool, bool]] = []
    for key in {(row["scenario"], row["user_id"]) for row in rows}:
        own = [row for row in rows if (row["scenario"], row["user_id"]) == key]
        own.sort(key=lambda row: (row["timestamp"], row["txn_id"]))
        walked: list[list[dict[str, Any]]] = []
        for row in own:
            if not walked or row["timestamp"] - walked[-1][-1]["timestamp"] >= timedelta(hours=24):
                walked.append([])
            walked[-1].append(row)
        expected += [(key[0], any(row["caught"] for row in case), case[0]["caught"]) for case in walked]
    assert found(*rows) == sorted(expected)


def test_the_whole_evaluation_of_a_few_transactions() -> None:
    rows = [
        fraud("T1", 0, caught=True, score=100, reasons=["dear", "fast"], amount=Decimal(50)),
        fraud("T2", 1, score=20, reasons=["fast"], amount=Decimal(5)),
        fraud("T3", 2, scenario="testing", amount=Decimal(1)),
        transaction("T4", caught=True, score=110, reasons=["dear"], amount=Decimal(90)),
        transaction("T5", amount=Decimal(3)),
    ]
    result = measure(table(*rows), {"theft": 2, None: 3}, without_label=7, unreadable=1)
    assert result.scenarios == (ScenarioScore("testing", 1, 0, 1), ScenarioScore("theft", 4, 1, 1))
    assert result.rules == (RuleScore("dear", 2, 1), RuleScore("fast", 2, 2))
    assert result.cases == (CaseScore("testing", 1, 0, 0), CaseScore("theft", 1, 1, 1))
    assert result.cases_caught_at_first == 0.5
    # By score: T4 T1 T2 T5 T3; by amount: T4 T1 T2 T5 T3 as well, of which the frauds are second, third and fifth.
    assert result.by_score.average_precision == pytest.approx((1 / 2 + 2 / 3 + 3 / 5) / 3)
    assert result.by_score.precision_at_100 == pytest.approx(3 / 5)
    assert result.by_score.scenarios == {"testing": pytest.approx(1 / 3), "theft": pytest.approx((1 / 2 + 2 / 3) / 2)}
    assert (result.labels, result.labels_without_verdict, result.verdicts_without_label) == (10, 5, 7)
    assert (result.genuine_alarmed, result.genuine_passed, result.unreadable_labels) == (1, 1, 1)
    assert result.as_json()["rules"][1] == {
        "rule": "fast", "fired": 2, "on_fraud": 2, "mode": "verdict", "precision": 1.0, "recall": pytest.approx(2 / 3),
    }  # fmt: skip


def test_the_baseline_ranks_by_amount_alone() -> None:
    rows = [fraud("T1", 0, score=100, caught=True, amount=Decimal(1)), transaction("T2", amount=Decimal(2))]
    result = measure(table(*rows), {}, without_label=0, unreadable=0)
    assert (result.by_score.average_precision, result.by_amount.average_precision) == (1.0, 0.5)


def test_nothing_judged_is_measured_as_nothing() -> None:
    result = measure(table(), {"theft": 1}, without_label=0, unreadable=0)
    assert result.by_score.average_precision is None
    assert (result.cases, result.rules, result.cases_caught_at_first) == ((), (), None)
    assert result.scenarios == (ScenarioScore("theft", 1, 0, 0),)
