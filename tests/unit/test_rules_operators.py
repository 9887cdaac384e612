"""Promoting rules in Airflow: what is shown to whoever approves, and that only an answer is an approval."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from include.backtest.report import Alerts, BackTest
from include.backtest.summary import MOST_RULES, summary
from paylake_airflow.operators.rules import MOST_OF_DIFFERENCE, BackTestOperator, PromoteRulesOperator, difference
from tests.support.casework import START

ANSWER = {"chosen_options": ["Approve"], "responded_by_user": {"id": "1", "name": "ana"}, "responded_at": START}


def context_of(answer: Any, **conf: Any) -> Any:
    pulled = {"approve": answer, "check": {"version": "4", "after": 1}}
    return {
        "ti": SimpleNamespace(xcom_pull=lambda task_ids: pulled[task_ids]),
        "params": {"rules": "version: '4'", "note": None},
        "dag": SimpleNamespace(params={"rules": "", "note": None}),
        "dag_run": SimpleNamespace(conf=conf),
        "run_id": "manual__1",
    }


@pytest.mark.parametrize(
    "answer",
    [
        None,  # the task was marked as successful by hand
        {**ANSWER, "chosen_options": ["Reject"]},
        {**ANSWER, "responded_by_user": None},  # nobody has answered in time
    ],
)
def test_without_somebodys_yes_nothing_is_promoted(answer: Any) -> None:
    promote = PromoteRulesOperator(task_id="promote", checked="check", approved="approve")
    with pytest.raises(AirflowFailException, match="Nobody has approved these rules"):
        promote.execute(context_of(answer))


def test_a_parameter_that_there_is_not_is_a_mistake() -> None:
    with pytest.raises(AirflowFailException, match="There is no parameter sinse; there are rules, note"):
        BackTestOperator(task_id="back_test").execute(context_of(None, sinse="2026-01-01"))


def test_a_difference_is_one_block_whatever_the_file_says() -> None:
    shown = difference("a: 1\n", "a: 2\n# ```\n# <b>Approve</b> ````\n")
    lines = shown.splitlines()
    assert (lines[0], lines[-1]) == ("`````diff", "`````")
    assert "-a: 1" in lines
    assert "+a: 2" in lines
    long = difference("", "x" * (2 * MOST_OF_DIFFERENCE))
    assert len(long) < MOST_OF_DIFFERENCE + 100
    assert "characters more" in long


def test_a_summary_shows_what_changes_most_first_and_is_bounded() -> None:
    rules = {f"r{number}": Alerts(fired=number, new=number) for number in range(MOST_RULES + 7)}
    said = summary(BackTest("4", START, START, transactions=1000, different=3, rules=rules))
    table = [line for line in said.splitlines() if line.startswith("| `")]
    assert len(table) == MOST_RULES
    assert table[0] == f"| `r{MOST_RULES + 6}` | {MOST_RULES + 6} | 0 | {MOST_RULES + 6} | 0 | 0 | 0 |"
    assert "7 more rules change less or nothing." in said
    assert "**3 verdicts of this very version it does not give again.**" in said
