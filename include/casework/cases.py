"""``./paylake cases``: what an analyst works on."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from include.cases import reporting, work
from include.cases.work import LIVE, Mark, State
from include.casework.options import ENDS, TIMES, AsJson, By, Reason, text, utc, warehouse
from include.casework.render import as_json, change_line, print_case, print_cases
from include.fraud.console import printable
from include.fraud.list_changes import change_list
from include.fraud.lists import Entity, snooze_of
from include.fraud.promotion import rules_in_use

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help=(
        "Work on the alerts: those of one user that belong together are a case. Look at cases, take one, say what it "
        "was, and let a rule sleep for a user or a merchant."
    ),
)

Number = Annotated[int, typer.Argument(metavar="CASE", min=1, max=2**63 - 1, help="Number of the case.")]


@app.command("list")
def list_cases(
    state: Annotated[
        State | None, typer.Option("--state", help="Only cases in this state. Without it: open and taken ones.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Cases in whatever state.")] = False,
    user: Annotated[str | None, typer.Option("--user", metavar="USER", help="Only cases of this user.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many cases to show.")] = 20,
    as_object: AsJson = False,
) -> None:
    """Show the cases that wait for somebody, newest alert first."""
    if state and every:
        raise typer.BadParameter("--state and --all exclude one another")
    states = None if every else LIVE if state is None else (state,)
    with warehouse() as conn:
        found = work.find_cases(conn, states=states, user_id=user, limit=limit)
    if as_object:
        typer.echo(json.dumps({"cases": [as_json(case) for case in found]}))
    else:
        print_cases(found, Console(highlight=False))


@app.command()
def show(case: Number, as_object: AsJson = False) -> None:
    """Show a case with its user, its transactions, why each was an alert, and who did what with it."""
    with warehouse() as conn:
        found, alerts, history = work.find_case(conn, case), work.alerts_of(conn, case), work.history_of(conn, case)
    if as_object:
        of_case = {"transactions": list(map(as_json, alerts)), "history": list(map(as_json, history))}
        typer.echo(json.dumps(as_json(found) | of_case))
    else:
        print_case(found, alerts, history, Console(highlight=False))


@app.command()
def take(case: Number, by: By) -> None:
    """Say that you work on a case, also on one that somebody else has taken."""
    with warehouse() as conn:
        work.take(conn, case, by)
    _say(f"case {case} is taken by {by}")


@app.command()
def mark(
    case: Number,
    what: Annotated[Mark, typer.Argument(metavar="WHAT", help="What the case was.")],
    by: By,
    note: Annotated[str | None, typer.Option("--note", parser=text, metavar="TEXT", help="Why you think so.")] = None,
) -> None:
    """Say what a case was: that closes it, and counts for all its transactions when rules are measured.

    A mark that was wrong is replaced by the other one; a later alert of the user opens a new case.
    """
    with warehouse() as conn:
        work.mark(conn, case, what, by, note)
    _say(f"case {case} is marked as {what} by {by}")


@app.command()
def report(
    by: By,
    transactions: Annotated[
        list[str] | None, typer.Argument(metavar="TXN_ID...", help="Transactions that no rule called fraud.")
    ] = None,
    file: Annotated[
        typer.FileText | None, typer.Option("--file", metavar="FILE", help="A file with one txn_id a line; - is stdin.")
    ] = None,
    note: Annotated[str | None, typer.Option("--note", parser=text, metavar="TEXT", help="How you know.")] = None,
) -> None:
    """Say that transactions without an alert were fraud, as when their owners dispute them.

    Those of one user become a case that is confirmed; they count as frauds when rules are measured, and for features
    over marks from now on.
    """
    txn_ids = [*(transactions or ()), *(line.strip() for line in file or () if line.strip())]
    if not txn_ids:
        raise typer.BadParameter("name transactions, or a --file of them")
    with warehouse() as conn:
        cases = reporting.report(conn, txn_ids, by, note)
    for user, case in cases.items():
        _say(f"case {case} of user {user} is confirmed by {by}")


@app.command()
def note(
    case: Number, words: Annotated[str, typer.Argument(metavar="TEXT", parser=text, help="What to remember.")], by: By
) -> None:
    """Write something down in the history of a case. Nobody can change it later."""
    with warehouse() as conn:
        work.add_note(conn, case, by, words)
    _say(f"noted on case {case} by {by}")


@app.command()
def snooze(
    rule: Annotated[str, typer.Argument(metavar="RULE", help="Id of the rule.")],
    until: Annotated[datetime, typer.Option("--until", formats=TIMES, metavar="TIME", help=ENDS)],
    reason: Reason,
    by: By,
    user: Annotated[str | None, typer.Option("--user", metavar="USER", help="For this user.")] = None,
    merchant: Annotated[str | None, typer.Option("--merchant", metavar="MERCHANT", help="For this merchant.")] = None,
) -> None:
    """Let a rule sleep for one user or one merchant: there it counts for no verdict until then.

    `./paylake lists remove snooze:RULE:user USER` wakes it before.
    """
    if (user is None) == (merchant is None):
        raise typer.BadParameter("name either --user or --merchant")
    entity: Entity = "merchant" if user is None else "user"
    with warehouse() as conn:
        name, value = snooze_of(rule, entity), user or merchant or ""
        stored = change_list(
            conn, rules_in_use(conn).all_lists, name, "add", value, reason=reason, by=by, until=utc(until)
        )
    _say(f"{rule} sleeps for the {entity} {stored.value}: {change_line(stored)}")


def _say(words: str) -> None:
    Console(highlight=False).print(Text(printable(words)), soft_wrap=True)
