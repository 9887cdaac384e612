"""``./paylake verify``: the verification for people and for scripts."""

from __future__ import annotations

import json
from typing import Annotated, Any

import psycopg
import typer
from botocore.exceptions import BotoCoreError, ClientError
from confluent_kafka import KafkaException
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from include.domains import DOMAINS
from include.settings import Settings
from include.verify.books import WAIT_SECONDS, verify
from include.verify.kafka_log import TopicChangedError
from include.verify.report import DomainReport, Report

WRONG = 1
NOT_VERIFIED = 2
INTERRUPTED = 130

_STORE_ERRORS = (KafkaException, BotoCoreError, ClientError, psycopg.Error, OSError, TopicChangedError)
_COLUMNS = ("produced", "bronze", "valid", "duplicates", "quarantined", "tombstones")
_LAYERS = ("silver", "gold", "fraud", "genuine")


def verify_command(
    domain: Annotated[
        list[str] | None, typer.Option(help=f"Only this domain ({', '.join(DOMAINS)}); may be given several times.")
    ] = None,
    wait: Annotated[
        float, typer.Option(min=0, help="Seconds that the layers may take to get to where the topics end now.")
    ] = WAIT_SECONDS,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
) -> None:
    """Prove from Kafka, MinIO and PostgreSQL themselves that every record is in exactly one place.

    Whether each verdict is the one that the rules give is what backtest, without a file, proves beside it.

    Exit code 0: the books balance. 1: they do not; what is wrong is listed. 2: a store does not answer.
    130: it was interrupted.
    """
    if unknown := [name for name in domain or () if name not in DOMAINS]:
        raise typer.BadParameter(f"{unknown[0]!r} is no domain; there are {', '.join(DOMAINS)}", param_hint="--domain")
    chosen = [DOMAINS[name] for name in domain or DOMAINS]
    try:
        report = verify(Settings.from_environment(), domains=chosen, wait_seconds=wait)
    except _STORE_ERRORS as error:
        typer.echo(f"paylake: the books could not be verified: {' '.join(str(error).split())}", err=True)
        raise typer.Exit(NOT_VERIFIED) from error
    except KeyboardInterrupt as error:
        typer.echo("paylake: the books were not verified: interrupted", err=True)
        raise typer.Exit(INTERRUPTED) from error
    if as_json:
        typer.echo(json.dumps(report.as_json(), indent=2))
    else:
        render(report, Console())
    raise typer.Exit(0 if report.balanced else WRONG)


def render(report: Report, console: Console) -> None:
    """Show the books by domain, and then all that is wrong."""
    table = Table("", box=SIMPLE_HEAD)
    for domain in report.domains:
        table.add_column(domain.domain, justify="right")
    for row in (*_COLUMNS, *_LAYERS):
        counts = [_count(domain, row) for domain in report.domains]
        table.add_row(row, *("" if count is None else f"{count:,}" for count in counts))
    console.print(table)
    for domain in report.domains:
        if domain.conflicts:
            console.print(
                f"{domain.domain}: {domain.conflicts:,} duplicates say something else than the record that has their"
                " id; the view transaction_conflicts lists them"
            )
        if domain.redriven:
            console.print(f"{domain.domain}: {domain.redriven:,} records were in quarantine before")
        for waiting in domain.waiting:
            console.print(escape(f"{domain.domain}: {waiting.sentence}"), soft_wrap=True)
    for finding in report.findings:
        console.print(f"[red]✗[/] {escape(finding.message)} [dim]({finding.check})[/]", soft_wrap=True)
    verdict = "[green]The books balance[/]" if report.balanced else "[red]The books do not balance[/]"
    console.print(f"{verdict}: {report.records:,} records in {report.seconds:.1f} s", soft_wrap=True)


def _count(domain: DomainReport, row: str) -> int | None:
    """A number of the table; None where the domain has no such layer."""
    match row:
        case "silver":
            return domain.silver
        case "gold":
            return domain.gold
        case "fraud":
            return domain.total("fraud") if domain.judged else None
        case "genuine":
            return domain.total("valid") - domain.total("fraud") if domain.judged else None
    return domain.total(row)


def summary(report: Report) -> dict[str, Any]:
    """The report as the metadata of an asset event: totals by domain, and what is wrong."""
    return {
        "balanced": report.balanced,
        "records": report.records,
        "seconds": round(report.seconds, 3),
        "domains": {
            domain.domain: {
                **{name: domain.total(name) for name in (*_COLUMNS, "fraud")},
                "silver": domain.silver,
                "gold": domain.gold,
                "conflicts": domain.conflicts,
                "redriven": domain.redriven,
            }
            for domain in report.domains
        },
        "waiting": [one.as_json() for domain in report.domains for one in domain.waiting],
        "findings": [finding.as_json() for finding in report.findings],
    }
