"""``./paylake generate``: synthetic traffic from the command line."""

from __future__ import annotations

import json
import re
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated, NoReturn

import typer
from confluent_kafka import KafkaException
from rich.console import Console
from rich.live import Live
from rich.table import Table

from include.generators import traffic
from include.generators.dirt import BREAKAGES
from include.generators.population import DEFAULT_MERCHANTS, DEFAULT_SEED, DEFAULT_USERS, MIN_MERCHANTS
from include.generators.producer import DeliveryError
from include.generators.traffic import ProduceReport, produce_reference, produce_transactions
from include.generators.transactions import MAX_FRAUD_SHARE
from include.kafka.topics import TopicTimeoutError
from include.settings import MissingSettingError, json_object


def _length(text: str) -> timedelta:
    found = re.fullmatch(r"([1-9][0-9]{0,3})([dh])", text)
    if not found:
        raise typer.BadParameter(f"{text!r} is no number of days or hours, such as 30d or 12h")
    return timedelta(days=int(found[1])) if found[2] == "d" else timedelta(hours=int(found[1]))


app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Produce synthetic users, merchants, accounts and transactions to Kafka.",
)

Servers = Annotated[
    str,
    typer.Option(
        "--bootstrap-servers",
        envvar="KAFKA_BOOTSTRAP_SERVERS",
        help="Kafka's address, host:port; `./paylake` takes that of its stack.",
    ),
]
Options = Annotated[
    str,
    typer.Option(
        "--kafka-options",
        envvar="KAFKA_OPTIONS",
        help="What else Kafka's client has to know, as a JSON object of librdkafka's options.",
    ),
]
Seed = Annotated[int, typer.Option(help="The same seed and counts give the same population.")]
Users = Annotated[int, typer.Option(min=1, help="How many users there are.")]
Merchants = Annotated[int, typer.Option(min=MIN_MERCHANTS, help="How many merchants there are.")]
Dirt = Annotated[
    float, typer.Option(min=0, max=1, help="Share of records with dirt: spaces, spellings, broken JSON, …")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the report as one JSON object.")]


@app.command()
def reference(
    bootstrap_servers: Servers,
    options: Options = "{}",
    seed: Seed = DEFAULT_SEED,
    users: Users = DEFAULT_USERS,
    merchants: Merchants = DEFAULT_MERCHANTS,
    dirt_share: Dirt = traffic.DEFAULT_REFERENCE_DIRT,
    base: Annotated[
        datetime | None,
        typer.Option(
            help="UTC time of the newest event; with the same base, each run sends the same bytes.", show_default="now"
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Produce every user, merchant and account once, and end."""
    with _clear_errors():
        report = produce_reference(
            {"bootstrap.servers": bootstrap_servers, **json_object("KAFKA_OPTIONS", options)},
            seed=seed,
            users=users,
            merchants=merchants,
            dirt_share=dirt_share,
            base=base.replace(tzinfo=UTC) if base else None,
        )
    _print(report, as_json)


@app.command()
def transactions(
    bootstrap_servers: Servers,
    options: Options = "{}",
    seed: Seed = DEFAULT_SEED,
    users: Users = DEFAULT_USERS,
    merchants: Merchants = DEFAULT_MERCHANTS,
    rate: Annotated[
        float, typer.Option(min=0, help="Transactions per second; 0 is as fast as possible.")
    ] = traffic.DEFAULT_RATE,
    duration: Annotated[
        float | None,
        typer.Option(
            min=0, help="Seconds after which to end; 0 with --history: no live traffic.", show_default="until Ctrl-C"
        ),
    ] = None,
    history: Annotated[
        timedelta | None,
        typer.Option(
            parser=_length,
            metavar="LENGTH",
            help="First make a past of so many days or hours (30d, 12h), as fast as possible, with times of its own and"
            " --rate transactions a second on average; then go on live.",
            show_default="none",
        ),
    ] = None,
    fraud_share: Annotated[
        float, typer.Option(min=0, max=MAX_FRAUD_SHARE, help="Share of frauds among the transactions.")
    ] = traffic.DEFAULT_FRAUD_SHARE,
    dirt_share: Dirt = traffic.DEFAULT_TRANSACTION_DIRT,
    as_json: AsJson = False,
) -> None:
    """Produce transactions, and the truth about each to the topic `transaction_labels`.

    Take the **seed and the counts of the reference data**, so that users and merchants are the same. Ctrl-C ends it
    after all that was sent has been delivered.
    """
    with _clear_errors(), _stop_on_signal() as stop, _live_view(rate, quiet=as_json) as progress:
        report = produce_transactions(
            {"bootstrap.servers": bootstrap_servers, **json_object("KAFKA_OPTIONS", options)},
            seed=seed,
            users=users,
            merchants=merchants,
            rate=rate or None,
            duration=duration,
            history=history,
            fraud_share=fraud_share,
            dirt_share=dirt_share,
            stop=stop,
            progress=progress,
        )
    _print(report, as_json)


@contextmanager
def _clear_errors() -> Iterator[None]:
    try:
        yield
    except (DeliveryError, TopicTimeoutError, MissingSettingError, ValueError) as error:
        _fail(str(error), error)
    except KafkaException as error:
        _fail(f"Kafka: {error.args[0].str()}", error)


def _fail(message: str, cause: Exception) -> NoReturn:
    Console(stderr=True).print(f"[red]error:[/] {message}", highlight=False)
    raise typer.Exit(1) from cause


@contextmanager
def _stop_on_signal() -> Iterator[Callable[[], bool]]:
    """A function that tells whether Ctrl-C was pressed or the process was asked to end."""
    stopped = threading.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, lambda *_: stopped.set())
    try:
        yield stopped.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _live_view(rate: float, *, quiet: bool) -> Iterator[Callable[[ProduceReport], None]]:
    """A line that counts while transactions are produced; nothing where the output is no terminal."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield lambda _: None
        return
    latest = ProduceReport()

    def line() -> str:
        frauds = latest.truth.total() - latest.truth[traffic.GENUINE]
        at = f"at {rate:g}/s" if rate else "as fast as possible"
        return f"{latest.truth.total():,} transactions {at}, {frauds:,} of them frauds · Ctrl-C ends"

    def progress(report: ProduceReport) -> None:
        nonlocal latest
        latest = report

    with Live(get_renderable=line, console=console, refresh_per_second=4, transient=True):
        yield progress


def _print(report: ProduceReport, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(report.as_json()))
        return
    console = Console()
    table = Table("", "records", title="Produced", title_justify="left")
    table.columns[1].justify = "right"
    for topic, count in sorted(report.records.items()):
        table.add_row(topic, f"{count:,}")
    for scenario, count in sorted(report.truth.items()):
        table.add_row(f"  {scenario}", f"{count:,}", style="dim")
    for kind, count in sorted(report.dirt.items()):
        broken = " (to quarantine)" if kind in BREAKAGES else ""
        table.add_row(f"  dirt: {kind}{broken}", f"{count:,}", style="dim")
    console.print(table)
    console.print(f"{report.records.total():,} records in {report.seconds:.1f} s, every one acknowledged")
