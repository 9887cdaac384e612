"""Fraud rules: tried on history, and promoted with somebody's approval."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG, Param, chain

from paylake_airflow import assets, defaults
from paylake_airflow.operators.rules import BackTestOperator, CheckRulesOperator, PromoteRulesOperator

ANSWER = timedelta(days=7)
"""So long somebody can answer; what nobody answers is rejected."""
LONGEST = timedelta(hours=6)
"""Of a back-test."""

BACKTEST = """\
Asks rules of every transaction that was scored in a period, with what was known then, and compares the verdicts:
`./paylake backtest` as a DAG. Nothing is changed. The task's log has the table, with examples; its XCom has the result
as JSON, and where in the lake the picture is (kept for 30 days).

**Fires** only when triggered by hand: `rules` is the whole file, or empty for the rules in use.
"""
PROMOTION = f"""\
Puts fraud rules into use, after somebody has approved it. The file is checked, tried on the period, and then the task
`approve` waits under *Required Actions* for whoever may answer in Airflow, and shows what would change. Approved, the
rules count from the next batch of transactions on, everywhere, without a restart; `ops.rules_promotion` has who and
when. Rejected, or not answered for {ANSWER.days} days, nothing changes and `promote` is skipped. To go back, promote
the version of before: `./paylake rules show VERSION`.

**Fires** only when triggered by hand, or by `./paylake rules promote FILE`. One promotion at a time: another one waits
until this one was answered.
"""


def moment(title: str, empty: str) -> Param:
    """A parameter that is a moment, or empty."""
    return Param(None, type=["null", "string"], format="date-time", title=title, description=f"Empty: {empty}.")


PERIOD: dict[str, Any] = {
    "since": moment("Since", "everything that was scored"),
    "until": moment("Until", "now"),
}
COMMON: dict[str, Any] = {
    "default_args": defaults.BATCH,
    "tags": [assets.FRAUD],
    **defaults.ONE_AT_A_TIME,
}

with DAG(
    dag_id="rules_backtest",
    schedule=None,
    doc_md=BACKTEST,
    params={
        "rules": Param(
            None,
            type=["null", "string"],
            format="multiline",
            title="Rules",
            description="The whole rules file; empty: the rules in use.",
        ),
        **PERIOD,
    },
    **COMMON,
):
    BackTestOperator(task_id="back_test", execution_timeout=LONGEST)

with DAG(
    dag_id="rules_promotion",
    schedule=None,
    doc_md=PROMOTION,
    params={
        "rules": Param(
            "", type="string", format="multiline", minLength=1, title="Rules", description="The whole file."
        ),
        "note": Param(None, type=["null", "string"], maxLength=2000, title="Note", description="Why; it is kept."),
        **PERIOD,
    },
    **COMMON,
):
    chain(
        CheckRulesOperator(task_id="check"),
        BackTestOperator(task_id="back_test", execution_timeout=LONGEST),
        ApprovalOperator(
            task_id="approve",
            subject="Promote fraud rules {{ ti.xcom_pull(task_ids='check')['version'] }}?",
            body="{{ params.note or '' }}\n\n{{ ti.xcom_pull(task_ids='back_test', key='summary') }}\n\n"
            "{{ ti.xcom_pull(task_ids='check', key='difference') }}",
            defaults=ApprovalOperator.REJECT,
            response_timeout=ANSWER,
            # It waits without a process; that limit would be taken for one of the answer.
            execution_timeout=None,
        ),
        PromoteRulesOperator(task_id="promote", checked="check", approved="approve"),
    )
