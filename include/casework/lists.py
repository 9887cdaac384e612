"""``./paylake lists``: what the lists of the fraud rules hold, and every change of them."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from include.casework.options import ENDS, TIMES, AsJson, By, Reason, utc, warehouse
from include.casework.render import as_json, change_line, print_changes, print_entries, print_lists
from include.fraud.console import printable
from include.fraud.list_changes import all_entries, change_list, changes_of, entries_of, find_list, version
from include.fraud.lists import Verb
from include.fraud.promotion import rules_in_use

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help=(
        "Show and change the lists that the fraud rules ask. The rules file names them and begins them; a change is "
        "kept with reason, name and end, and counts from the next batch of transactions on."
    ),
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the list.")]
Value = Annotated[str, typer.Argument(metavar="VALUE", help="A merchant's or a user's id, or a city.")]


@app.command("list")
def list_lists(as_object: AsJson = False) -> None:
    """Show each list with the number of its entries, and the snoozes that are on."""
    with warehouse() as conn:
        lists, now = rules_in_use(conn).all_lists, version(conn)
        entries = all_entries(conn, lists)
    shown = {
        name: (declared, len(entries[name]))
        for name, declared in lists.items()
        if entries[name] or not declared.is_snooze
    }
    if as_object:
        of_list = {name: {"of": declared.kind, "entries": count} for name, (declared, count) in shown.items()}
        typer.echo(json.dumps({"version": now, "lists": of_list}))
    else:
        print_lists(shown, now, Console(highlight=False))


@app.command()
def show(
    name: Name,
    history: Annotated[bool, typer.Option("--history", help="Every change instead of what is on it now.")] = False,
    as_object: AsJson = False,
) -> None:
    """Show what is on a list now."""
    console = Console(highlight=False)
    with warehouse() as conn:
        lists = rules_in_use(conn).all_lists
        declared = find_list(lists, name)
        if history:
            changes = changes_of(conn, {name: declared})
        else:
            entries = entries_of(conn, lists, name)
    if as_object and history:
        typer.echo(json.dumps({"list": name, "changes": list(map(as_json, changes))}))
    elif as_object:
        listed = [{"value": one.value, "added": as_json(one.added) if one.added else None} for one in entries]
        typer.echo(json.dumps({"list": name, "entries": listed}))
    elif history:
        print_changes(changes, console)
    else:
        print_entries(name, entries, console)


@app.command()
def add(
    name: Name,
    value: Value,
    reason: Reason,
    by: By,
    until: Annotated[datetime | None, typer.Option("--until", formats=TIMES, metavar="TIME", help=ENDS)] = None,
) -> None:
    """Put a value on a list, for good or until some moment."""
    _change(name, "add", value, reason, by, until)


@app.command()
def remove(name: Name, value: Value, reason: Reason, by: By) -> None:
    """Take a value off a list, also one that the rules file has put there."""
    _change(name, "remove", value, reason, by, None)


def _change(name: str, verb: Verb, value: str, reason: str, by: str, until: datetime | None) -> None:
    with warehouse() as conn:
        end = None if until is None else utc(until)
        stored = change_list(conn, rules_in_use(conn).all_lists, name, verb, value, reason=reason, by=by, until=end)
    Console(highlight=False).print(Text(printable(f"{name}: {change_line(stored)}")), soft_wrap=True)
