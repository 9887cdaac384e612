"""``./paylake checks``: what each check found when it last looked."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import groupby
from typing import Annotated, Any

import psycopg
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from include.checks.declared import CHECKS
from include.checks.result import Stored, newest
from include.postgres import connect
from include.settings import Settings


def checks_command(
    asset: Annotated[
        str | None, typer.Argument(metavar="[ASSET]", help="Only this asset's, such as gold/USERS.")
    ] = None,
    as_object: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
) -> None:
    """Show what each check found when it last looked.

    The exit code is 1 when one that blocks has failed, 2 when the warehouse does not answer; otherwise 0.
    """
    try:
        with connect(Settings.from_environment().warehouse_dsn, "paylake checks") as connection:
            found = newest(connection, asset)
    except psycopg.Error as error:
        Console(stderr=True).print(Text(f"paylake: the warehouse: {error}".strip()), soft_wrap=True)
        raise typer.Exit(2) from error
    if asset is not None and asset not in CHECKS and not found:
        raise typer.BadParameter(f"there is no asset {asset} with checks; there are {', '.join(CHECKS)}")
    if as_object:
        typer.echo(json.dumps({"checks": [_as_json(one) for one in found]}, ensure_ascii=False))
    else:
        _print(found, Console(highlight=False))
    raise typer.Exit(1 if any(one.blocks and not one.passed for one in found) else 0)


def _as_json(one: Stored) -> dict[str, Any]:
    day = one.day and one.day.isoformat()
    return asdict(one) | {"day": day, "at": one.at.isoformat()}


def _print(found: list[Stored], console: Console) -> None:
    """A line for each check, and what failed with an example."""
    if not found:
        console.print("No check has looked yet.")
        return
    table = Table("", "asset", "check", "found", box=SIMPLE_HEAD)
    for _, results in groupby(found, key=lambda one: (one.asset, one.check)):
        days = list(results)
        failed = [one for one in days if not one.passed]
        shown = failed[-1] if failed else days[-1]
        mark = "[green]✓[/]" if not failed else "[red]✗[/]" if shown.blocks else "[yellow]![/]"
        table.add_row(mark, Text(shown.asset), Text(shown.check), Text(_told(shown, len(failed))))
    console.print(table)


def _told(one: Stored, failed: int) -> str:
    of_day = "" if one.day is None else f" on {one.day}"
    if one.failing is not None and one.rows is not None:
        text = f"{one.failing:,} of {one.rows:,} rows{of_day}"
    else:
        text = "" if one.value is None else f"{one.value:g}{of_day}"
    text += f", and {failed - 1:,} more days" if failed > 1 else ""
    return text + (f", such as {json.dumps(one.examples[0], ensure_ascii=False)}" if failed and one.examples else "")
