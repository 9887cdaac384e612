"""``./paylake materialize`` and ``./paylake backfill``."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated

import typer

from include.airflow_api import AirflowApi
from include.assets.registry import ASSETS
from include.assets.selection import SelectionError, select
from include.materialize.backfill import NoDaysError, make_days_anew
from include.materialize.runs import left_alone, materialize, order

SECONDS = 3600.0
"""So long a command waits for Airflow, which goes on if it takes longer."""

Timeout = Annotated[
    float, typer.Option("--timeout", min=1, metavar="SECONDS", help="How long to wait; Airflow goes on if need be.")
]


def _day(text: str) -> date:
    """A day of a command line.

    Raises:
        typer.BadParameter: it is none.
    """
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no day such as 2026-01-31") from error


def materialize_command(
    selection: Annotated[
        list[str],
        typer.Argument(
            metavar="SELECTION...",
            help="An asset (gold/USERS, silver/profiles), also with what it is made of (+x) and what comes of it (x+);"
            " or a group (group:silver).",
        ),
    ],
    timeout: Timeout = SECONDS,
) -> None:
    """Have Airflow make the selected assets anew, each after those that it is made of.

    What comes of producers and of tasks without end is left alone. Ends with the first failure. Exit code: 0 when all
    is done, 1 when something failed or took too long, 2 when the command makes no sense.
    """
    try:
        chosen = select(selection, ASSETS)
    except SelectionError as error:
        raise typer.BadParameter(str(error)) from error
    dags = order(chosen, ASSETS)
    for spec in left_alone(chosen):
        typer.echo(f"{spec.name}: comes of itself, nothing to run")
    materialize(AirflowApi.from_environment(), dags, timeout, typer.echo)
    typer.echo(f"done: {len(dags)} of {len(dags)} DAGs")


def backfill_command(
    asset: Annotated[str, typer.Argument(metavar="ASSET", help="One that is by days: gold/DAILY_FRAUD.")],
    first: Annotated[date, typer.Option("--from", parser=_day, metavar="DAY", help="The first day, UTC.")],
    last: Annotated[date, typer.Option("--to", parser=_day, metavar="DAY", help="The last day, UTC; it counts.")],
    parallel: Annotated[int, typer.Option(min=1, max=16, help="So many days at once.")] = 2,
    timeout: Timeout = SECONDS,
) -> None:
    """Have Airflow make days of an asset anew; doing it twice changes nothing.

    Exit code: 0 when all is done, 1 when something failed or took too long, 2 when the command makes no sense.
    """
    try:
        chosen = select([asset], ASSETS)
    except SelectionError as error:
        raise typer.BadParameter(str(error)) from error
    if first > last:
        raise typer.BadParameter(f"--from {first} is after --to {last}")
    if first > datetime.now(UTC).date():
        raise typer.BadParameter(f"{first} is yet to come")
    try:
        make_days_anew(AirflowApi.from_environment(), chosen, first, last, parallel, timeout, typer.echo)
    except NoDaysError as error:
        raise typer.BadParameter(str(error)) from error
