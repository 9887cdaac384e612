"""``./paylake backtest``: rules tried on what is in bronze, before they go live."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NoReturn

import psycopg
import typer
from confluent_kafka import KafkaException
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from include.backtest.export import Export
from include.backtest.picture import draw
from include.backtest.replay import Replay
from include.backtest.report import BEGINNING, Alerts, BackTest, Comparison
from include.backtest.scored import bronze_reader
from include.evaluate.warehouse import unite_labels
from include.fraud.console import printable
from include.fraud.promotion import rules_in_use
from include.fraud.rulebook import RulesError, load_rules
from include.fraud.rules import Rules
from include.kafka.topics import TopicTimeoutError, UnknownTopicError
from include.postgres import connect
from include.settings import MissingSettingError, Settings
from include.sql import load_sql

_NAME = "paylake-backtest"


def backtest_command(
    rules: Annotated[
        Path | None,
        typer.Argument(help="The rules' file to try; - is standard input.", show_default="the rules in use"),
    ] = None,
    since: Annotated[
        datetime | None, typer.Option(help="Verdicts given from this moment on (UTC).", show_default="all")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(help="Verdicts given before this moment (UTC).", show_default="now")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
    picture: Annotated[Path | None, typer.Option(help="Draw the result into this file (.svg, .png or .pdf).")] = None,
    export: Annotated[
        Path | None,
        typer.Option(help="Write each transaction with its features at that time and its label to this Parquet file."),
    ] = None,
) -> None:
    """Ask a rules' file of every transaction again, with what was known when it was scored, and compare the verdicts.

    Nothing is changed. The rules in use must give the very verdicts that are stored: that is checked for each verdict
    of their version. The exit code is 1 if they do not.
    """
    try:
        settings = Settings.from_environment()
        if rules is None:
            with connect(settings.warehouse_dsn, _NAME) as conn:
                tried = rules_in_use(conn)
        else:
            tried = load_rules(rules)
        period = (_utc(since) or BEGINNING, _utc(until) or datetime.now(UTC))
        result = back_test(settings, tried, *period, export=export, quiet=as_json)
        if picture is not None:
            draw(result, picture)
    except (MissingSettingError, RulesError, TopicTimeoutError, psycopg.Error, OSError, ValueError) as error:
        _fail(str(error), error)
    except KafkaException as error:
        _fail(f"Kafka: {error.args[0].str()}", error)
    if as_json:
        typer.echo(json.dumps(result.as_json(), default=str))
    else:
        show(result, Console())
    if result.different:
        raise typer.Exit(1)


def back_test(
    settings: Settings,
    rules: Rules,
    since: datetime,
    until: datetime,
    *,
    export: Path | None = None,
    quiet: bool = True,
) -> BackTest:
    """Try rules on the verdicts given from ``since`` until before ``until`` (UTC).

    Raises:
        psycopg.Error: the warehouse cannot be read; KafkaException, TopicTimeoutError: nor can Kafka's labels.
    """
    with ExitStack() as stack:
        reader = stack.enter_context(bronze_reader(settings))
        reading = stack.enter_context(connect(settings.warehouse_dsn, _NAME))
        conn = stack.enter_context(connect(settings.warehouse_dsn, _NAME))
        try:
            unite_labels(conn, settings.kafka_config)
        except UnknownTopicError:
            conn.execute(load_sql("evaluate/unite_labels"))
        conn.execute("CREATE INDEX ON label (txn_id)")
        file = None if export is None else stack.enter_context(Export(export, conn, rules))
        comparison = Comparison(rules, since, until)
        advance = stack.enter_context(_progress(conn, since, until, quiet))
        for judged in Replay(reader, reading, conn, rules).judged(since, until):
            comparison.add(judged)
            if file is not None:
                file.add(judged)
            advance(len(judged.chunk.stored))
        return comparison.finished(conn)


@contextmanager
def _progress(
    conn: psycopg.Connection, since: datetime, until: datetime, quiet: bool
) -> Iterator[Callable[[int], None]]:
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield lambda _count: None
        return
    (total,) = conn.execute(load_sql("backtest/count_scored"), {"since": since, "until": until}).fetchone() or (0,)
    columns = (TextColumn("back-test"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("back-test", total=total)
        yield lambda count: progress.advance(task, count)


def show(result: BackTest, console: Console) -> None:
    """Print the result for people."""
    table = Table(
        title=f"Rules {printable(result.rules_version)} on {result.transactions:,} transactions",
        title_justify="left",
        show_footer=True,
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column("rule", "all alerts", no_wrap=True)
    for heading, total in zip(_HEADINGS, _counts(result.alerts), strict=True):
        table.add_column(heading, total, justify="right")
    for rule, alerts in result.rules.items():
        table.add_row(printable(rule), *_counts(alerts))
    console.print(table)
    for example in result.examples:
        console.print(
            f"  {example.change} by {example.rule}: {printable(example.txn_id)}"
            f"{'' if example.message is None else f' ({printable(example.message)})'}",
            markup=False,
            highlight=False,
        )
    a_day = "-" if result.alerts_a_day is None else f"{result.alerts_a_day:,.1f}"
    console.print(
        f"{a_day} alerts a day. Of {result.frauds:,} known frauds {result.caught:,} get an alert"
        f" ({_percent(result.recall)}), {result.caught_before:,} got one.\n"
        f"{result.same_version:,} verdicts are of this version of the rules;"
        f" {result.different:,} of them it does not give again.",
        highlight=False,
    )
    if result.unread:
        console.print(f"{result.unread:,} records are refused by today's contract and were left out.", highlight=False)


_HEADINGS = ("alerts", "stored", "new", "vanished", "on fraud", "on genuine", "precision")


def _counts(alerts: Alerts) -> tuple[str, ...]:
    counts = (alerts.fired, alerts.stored, alerts.new, alerts.vanished, alerts.on_fraud, alerts.on_genuine)
    return (*(f"{count:,}" for count in counts), _percent(alerts.precision))


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _utc(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment else None


def _fail(message: str, cause: Exception) -> NoReturn:
    Console(stderr=True).print(f"[red]error:[/] {message}", highlight=False)
    raise typer.Exit(1) from cause
