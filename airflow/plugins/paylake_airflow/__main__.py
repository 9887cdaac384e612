"""Paylake's commands where the stores are known by Airflow's connections, as in a container.

python -m paylake_airflow verify
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from airflow.sdk.exceptions import AirflowNotFoundException
from rich.console import Console

from include.airflow_api import AirflowApi
from include.errors import StackError
from include.evaluate import evaluate_command
from include.generators.cli import app as generators
from include.local import logs as log_files
from include.local.display import shown
from include.local.first_data import await_read, follow
from include.local.steps import Runner, Step
from include.local.summary import print_data
from include.quarantine.cli import app as quarantine
from include.settings import MissingSettingError, Settings
from include.status.flow import flow
from include.status.render import render
from include.verify.cli import verify_command
from paylake_airflow import hooks

AIRFLOW_SECONDS = 600.0
AIRFLOW_ANSWER_SECONDS = 10.0
DAGS = Path(__file__).parents[2] / "dags"

app = typer.Typer(
    name="./paylake --docker",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Paylake's commands inside the stack that Docker runs.",
)
app.command("verify")(verify_command)
app.command("evaluate")(evaluate_command)
app.add_typer(
    quarantine, name="quarantine", help="List, show and redrive the records that broke their contract, or accept it."
)
app.add_typer(generators, name="generate", help="Produce synthetic traffic.")


@dataclass(frozen=True, slots=True)
class ContainerLogs:
    """The logs of tasks; those of servers are Docker's."""

    logs: Path
    task_logs: Path

    @classmethod
    def of_airflow(cls) -> ContainerLogs:
        """Where this Airflow keeps them."""
        from airflow.configuration import conf

        folder = Path(conf.get_mandatory_value("logging", "base_log_folder"))
        return cls(folder / "servers", folder)


@app.command("status")
def show_status(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
) -> None:
    """Show each layer, how far it is behind, and what is wrong. The exit code is 0 when all that should flow does."""
    found = flow(
        Settings.from_environment(),
        # Under the Astro CLI the commands run in Airflow's own containers, which are not told its user.
        airflow=AirflowApi.from_environment(seconds=AIRFLOW_ANSWER_SECONDS) if "AIRFLOW_URL" in os.environ else None,
        task_logs=ContainerLogs.of_airflow().task_logs,
    )
    if as_json:
        typer.echo(json.dumps(found.as_json()))
    else:
        render(found, Console())
    raise typer.Exit(1 if found.problems else 0)


@app.command("logs")
def show_logs(
    name: Annotated[str, typer.Argument(help="'fraud' for the fraud events, or the id of a DAG.")] = "",
    follow_on: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is added, until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of the last lines to show.")] = 50,
) -> None:
    """Show the log of a DAG's newest task, or the fraud events; without a name, list the names."""
    folders = ContainerLogs.of_airflow()
    if not name:
        typer.echo("\n".join(log_files.names(folders)))
    elif follow_on:
        log_files.follow(folders, name, lines=lines, write=typer.echo)
    else:
        log_files.show(folders, name, lines=lines, write=typer.echo)


@app.command("first-data")
def first_data() -> None:
    """Follow the first data until all five tables of the warehouse have rows, and show what there is."""
    settings, api, console = Settings.from_environment(), AirflowApi.from_environment(), Console()
    runner = Runner(
        [
            Step(
                "airflow",
                "Airflow",
                lambda task: task.wait_until(
                    lambda: _why_not_ready(api), seconds=AIRFLOW_SECONDS, what="The start of Airflow", every=1.0
                ),
            ),
            Step("dags", "DAGs", lambda task: await_read(api, DAGS, task), after=("airflow",)),
            Step("data", "First data", lambda task: follow(api, settings, task), after=("dags",)),
        ]
    )
    with shown(runner.tasks, console) as tick:
        runner.run(tick)
    print_data(settings, console)


def _why_not_ready(api: AirflowApi) -> str | None:
    try:
        report = api.health()
    except StackError as error:
        return str(error)
    ill = [name for name in ("scheduler", "dag_processor", "triggerer") if report[name]["status"] != "healthy"]
    return f"{', '.join(ill)} not healthy yet" if ill else None


def main() -> None:
    """Run a command with the stores of the connections; an error becomes one sentence and an exit code."""
    try:
        environment = hooks.stack_environment()
    except (AirflowNotFoundException, ValueError) as error:
        sys.exit(f"paylake: Airflow's connections do not say where the stores are: {error}")
    os.environ.update(environment)
    try:
        app()
    except (AirflowNotFoundException, StackError, MissingSettingError) as error:
        sys.exit(f"paylake: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
