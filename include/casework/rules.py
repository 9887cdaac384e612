"""``./paylake rules``: which rules are in use, who promoted them and when, and asking for others."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer
from rich.console import Console
from rich.text import Text

from include.airflow_api import AirflowApi
from include.casework.options import AsJson, text, warehouse
from include.casework.render import as_json, print_promotions
from include.fraud.console import printable
from include.fraud.promotion import check_new, promotions, says_the_same
from include.fraud.rulebook import rules_text

PROMOTION = "rules_promotion"
"""The DAG that promotes rules."""

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help=(
        "Show which fraud rules are in use, who promoted them and when, and ask for others. Who may answer in Airflow "
        "approves or rejects that; approved rules count from the next batch of transactions on."
    ),
)


@app.command("list")
def list_rules(as_object: AsJson = False) -> None:
    """Show every promotion, the newest first: that one is in use."""
    with warehouse() as conn:
        made = promotions(conn)
    if as_object:
        shown = [{name: value for name, value in as_json(one).items() if name != "content"} for one in made]
        typer.echo(json.dumps({"promotions": shown}))
    else:
        print_promotions(made, Console(highlight=False))


@app.command()
def show(
    version: Annotated[
        str | None, typer.Argument(metavar="VERSION", help="Which version.", show_default="the one in use")
    ] = None,
) -> None:
    """Print a rules file that was promoted, as it was."""
    with warehouse() as conn:
        made = promotions(conn)
    found = next((one for one in made if version in (None, one.version)), None)
    if found is None and not made:
        raise typer.BadParameter("the warehouse has no rules yet: the fraud stream puts its file in when it starts")
    if found is None:
        known = ", ".join(dict.fromkeys(one.version for one in made))
        raise typer.BadParameter(f"the warehouse has no version {version!r}; there are {known}")
    typer.echo(found.content, nl=False)


@app.command()
def promote(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The rules file; - is standard input.")],
    note: Annotated[str | None, typer.Option("--note", parser=text, metavar="TEXT", help="Why; it is kept.")] = None,
) -> None:
    """Check a rules file, have it tried on all that was scored, and ask for approval in Airflow."""
    with warehouse() as conn:
        content = rules_text(file)
        made = promotions(conn)
        version = check_new(made, content, str(file)).version
    say = Console(highlight=False)
    if made and says_the_same(made[0].content, content):
        say.print(Text(printable(f"The rules {version} are in use already.")))
        return
    api = AirflowApi.from_environment()
    run = api.trigger(PROMOTION, {"rules": content, "note": note})
    paused = any(dag["dag_id"] == PROMOTION and dag["is_paused"] for dag in api.dags())
    # In a container Airflow has another address than in a browser.
    address = os.environ.get("AIRFLOW__API__BASE_URL") or os.environ["AIRFLOW_URL"]
    say.print(
        Text(
            f"The rules {printable(version)} are being tried; then they wait for approval:\n"
            f"{address.rstrip('/')}/dags/{PROMOTION}/runs/{quote(run, safe='')}/required_actions"
            + (f"\n{PROMOTION} is paused: unpause it first." if paused else "")
        ),
        soft_wrap=True,
    )
