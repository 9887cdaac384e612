"""``./paylake evaluate``: the evaluation for people and for scripts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, NoReturn

import psycopg
import typer
from confluent_kafka import KafkaException
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from include.evaluate.files import evaluate_files
from include.evaluate.result import IN_VERDICT, Evaluation, ratio
from include.evaluate.rows import FileError
from include.evaluate.warehouse import evaluate
from include.fraud.rulebook import RulesError, load_rules
from include.fraud.rulefile import Mode
from include.fraud.verdicts import SNOOZED
from include.kafka.topics import LABELS_TOPIC, TopicTimeoutError, UnknownTopicError
from include.settings import MissingSettingError, Settings

_REFUSALS_SHOWN = 20
_FIRED = {
    IN_VERDICT: "in fraud verdicts",
    Mode.ALERT: "with too little weight",
    Mode.SHADOW: "in shadow",
    SNOOZED: "asleep",
}
_NOT_EVALUATED = (MissingSettingError, UnknownTopicError, TopicTimeoutError, psycopg.Error, FileError, RulesError)


def evaluate_command(
    transactions: Annotated[
        Path | None,
        typer.Option(help="Judge this file instead (Parquet, CSV or JSON lines), by the rules as they are now."),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="The truth about it: txn_id, is_fraud and, where known, scenario, case_id.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the evaluation as one JSON object.")] = False,
) -> None:
    """Compare the fraud verdicts with the truth: how many frauds are caught, and how good the ranking by score is."""
    refused: list[str] = []
    try:
        if transactions and labels:
            evaluation, refused = evaluate_files(transactions, labels, load_rules())
        elif transactions or labels:
            raise typer.BadParameter("--transactions and --labels go together")
        else:
            evaluation = evaluate(Settings.from_environment())
    except _NOT_EVALUATED as error:
        _fail(str(error), error)
    except KafkaException as error:
        _fail(f"Kafka: {error.args[0].str()}", error)
    _tell_refused(refused)
    if as_json:
        typer.echo(json.dumps(evaluation.as_json() | {"refused_rows": len(refused)}))
    elif evaluation.labels:
        _print(evaluation, Console())
    else:
        typer.echo(f"No labels yet in {labels or LABELS_TOPIC}.")


def _tell_refused(refused: list[str]) -> None:
    for one in refused[:_REFUSALS_SHOWN]:
        typer.echo(one, err=True)
    if refused:
        typer.echo(f"{len(refused):,} rows refused; they do not count.", err=True)


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", show_footer=True, box=SIMPLE_HEAD, pad_edge=False)


def _print(evaluation: Evaluation, console: Console) -> None:
    console.print(_scenarios(evaluation))
    console.print(_ranking(evaluation))
    if evaluation.rules:
        console.print(_rules(evaluation))
    console.print(
        f"Genuine transactions: {evaluation.genuine_passed:,} passed, {evaluation.genuine_alarmed:,} called fraud.\n"
        f"Not counted: {evaluation.labels_without_verdict:,} labels without a verdict,"
        f" {evaluation.verdicts_without_label:,} verdicts without a label (other producers),"
        f" {evaluation.unreadable_labels:,} unreadable labels.\n"
        "[dim]A scenario's precision is that of the rule with its name; - where no such rule fired.[/]",
        highlight=False,
    )


def _scenarios(evaluation: Evaluation) -> Table:
    table = _table("Fraud verdicts against the truth")
    table.add_column("scenario", "total", no_wrap=True)
    totals = (
        f"{sum(score.labels for score in evaluation.scenarios):,}",
        f"{evaluation.frauds_caught:,}",
        f"{evaluation.frauds_missed:,}",
        f"{sum(score.without_verdict for score in evaluation.scenarios):,}",
        _percent(evaluation.recall),
        _percent(evaluation.precision),
    )
    for heading, total in zip(("frauds", "caught", "missed", "no verdict", "recall", "precision"), totals, strict=True):
        table.add_column(heading, total, justify="right")
    for score in evaluation.scenarios:
        table.add_row(
            score.scenario,
            f"{score.labels:,}",
            f"{score.caught:,}",
            f"{score.missed:,}",
            f"{score.without_verdict:,}",
            _percent(score.recall),
            _percent(evaluation.precision_of(score.scenario)),
        )
    return table


def _ranking(evaluation: Evaluation) -> Table:
    """Average precision by scenario and in all, by score and by amount; and cases."""
    table = _table("The ranking by score, and fraud cases")
    by_score, by_amount = evaluation.by_score, evaluation.by_amount
    table.add_column("scenario", "total\nof the 100 first a day", no_wrap=True)
    for heading, ranking in (("average precision", by_score), ("by amount alone", by_amount)):
        footer = f"{_percent(ranking.average_precision)}\n{_percent(ranking.precision_at_100)}"
        table.add_column(heading, footer, justify="right")
    table.add_column("cases", f"{sum(one.cases for one in evaluation.cases):,}", justify="right")
    table.add_column("caught at first", _percent(evaluation.cases_caught_at_first), justify="right")
    for one in evaluation.cases:
        table.add_row(
            one.scenario,
            _percent(by_score.scenarios.get(one.scenario)),
            _percent(by_amount.scenarios.get(one.scenario)),
            f"{one.cases:,}",
            _percent(ratio(one.caught_at_first, one.cases)),
        )
    return table


def _rules(evaluation: Evaluation) -> Table:
    table = Table(title="Rules", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("rule", no_wrap=True)
    table.add_column("fired")
    for heading in ("times", "on fraud", "precision", "share of frauds"):
        table.add_column(heading, justify="right")
    for rule in evaluation.rules:
        share = _percent(evaluation.recall_of(rule))
        table.add_row(
            rule.rule, _FIRED[rule.mode], f"{rule.fired:,}", f"{rule.on_fraud:,}", _percent(rule.precision), share
        )
    return table


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _fail(message: str, cause: Exception) -> NoReturn:
    Console(stderr=True).print(f"[red]error:[/] {message}", highlight=False)
    raise typer.Exit(1) from cause
