"""Fraud rules: tried on what was scored, and promoted after somebody has approved it."""

from __future__ import annotations

import difflib
import json
import os
import re
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from paylake_airflow import hooks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow.sdk import Context

MOST_OF_DIFFERENCE = 20_000
"""Characters of a difference that are shown."""


class CheckRulesOperator(BaseOperator):
    """Check the file in the run's parameter ``rules``; skip the run if it is in use already.

    Returns its ``version``, and with ``after`` the number of the promotion that is in use. Leaves the ``difference``
    to the file in use, as Markdown.
    """

    def execute(self, context: Context) -> dict[str, Any]:
        """Check, without another try for what a person has to mend."""
        from include.fraud.promotion import check_new, promotions, says_the_same, text_in_use
        from include.postgres import connect

        text = _parameters(context)["rules"] or ""
        with _refused(), connect(hooks.warehouse_dsn(), "paylake rules") as conn:
            made = promotions(conn)
            rules = check_new(made, text, "rules")
            before = text_in_use(conn)
        if made and says_the_same(before, text):
            raise AirflowSkipException(f"the rules {rules.version} are in use already")
        context["ti"].xcom_push(key="difference", value=difference(before, text))
        return {"version": rules.version, "after": made[0].number if made else 0}


class BackTestOperator(BaseOperator):
    """Try the rules in the run's parameter ``rules`` (none: those in use) on what was scored.

    The parameters ``since`` and ``until`` bound the moments of scoring. Returns the result without its examples, which
    are in the log, with ``picture``, where the picture is in the lake; leaves a ``summary`` as Markdown.
    """

    def execute(self, context: Context) -> dict[str, Any]:
        """Try them, in a process of its own; nothing is changed."""
        from include.backtest.report import BEGINNING
        from include.fraud.promotion import text_in_use
        from include.fraud.rulebook import parse_rules
        from include.postgres import connect

        parameters = _parameters(context)
        with _refused(), connect(hooks.warehouse_dsn(), "paylake rules") as conn:
            text = parameters["rules"] or text_in_use(conn)
            parse_rules(text, "rules")
        asked = {
            "rules": text,
            "since": (_moment(parameters["since"]) or BEGINNING).isoformat(),
            "until": (_moment(parameters["until"]) or datetime.now(UTC)).isoformat(),
            "name": f"{self.dag_id}-{context['run_id']}",
        }
        done = subprocess.run(
            [sys.executable, "-m", "include.backtest.job"],
            input=json.dumps(asked),
            env=os.environ | hooks.stack_environment(),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        answer = json.loads(done.stdout)
        self.log.info("%s", answer["table"])
        self.log.info("The picture is %s", answer["picture"])
        context["ti"].xcom_push(key="summary", value=answer["summary"])
        return {**answer["result"], "picture": answer["picture"]}


class PromoteRulesOperator(BaseOperator):
    """Put the rules in the run's parameter ``rules`` into use, in the name of who has approved it.

    :param checked: the id of the task that checked them
    :param approved: the id of the task that asked for approval
    """

    def __init__(self, *, checked: str, approved: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.checked = checked
        self.approved = approved

    def execute(self, context: Context) -> None:
        """Promote; a task that was marked as successful by hand is no approval."""
        from airflow.providers.standard.operators.hitl import ApprovalOperator

        from include.fraud.promotion import Approval, promote
        from include.postgres import connect

        instance, parameters = context["ti"], _parameters(context)
        answer = instance.xcom_pull(task_ids=self.approved) or {}
        checked = instance.xcom_pull(task_ids=self.checked)
        who = answer.get("responded_by_user")
        if not who or not checked or answer["chosen_options"] != [ApprovalOperator.APPROVE]:
            raise AirflowFailException("Nobody has approved these rules, nothing was changed.")
        approval = Approval(who["name"], context["run_id"], answer["responded_at"])
        with _refused(), connect(hooks.warehouse_dsn(), "paylake rules") as conn:
            done = promote(conn, parameters["rules"], approval, after=checked["after"], note=parameters["note"] or None)
        self.log.info("rules %s are in use from the next batch on, approved by %s", done.version, done.promoted_by)


def _parameters(context: Context) -> dict[str, Any]:
    """The run's parameters; one that its DAG does not have is a mistake."""
    if unknown := set(context["dag_run"].conf or {}) - set(context["dag"].params):
        known = ", ".join(context["dag"].params)
        raise AirflowFailException(f"There is no parameter {', '.join(sorted(unknown))}; there are {known}.")
    return dict(context["params"])


@contextmanager
def _refused() -> Iterator[None]:
    """Let rules that make no sense fail the task without another try."""
    from include.fraud.rulebook import RulesError

    try:
        yield
    except RulesError as error:
        raise AirflowFailException(str(error)) from error


def _moment(text: str | None) -> datetime | None:
    if not text:
        return None
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def difference(before: str, after: str) -> str:
    """What is another in a rules file, as a block of Markdown."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), "in use", "to promote", lineterm="")
    text = "\n".join(lines) or "comments and line ends alone"
    if len(text) > MOST_OF_DIFFERENCE:
        text = f"{text[:MOST_OF_DIFFERENCE]}\n... and {len(text) - MOST_OF_DIFFERENCE:,} characters more"
    # Longer than any in the text, which could otherwise end the block and go on as it likes.
    fence = "`" * max([3, *(len(ticks) + 1 for ticks in re.findall("`+", text))])
    return f"{fence}diff\n{text}\n{fence}"
