"""Paylake's commands where the stores are known by Airflow's connections, as in a container.

python -m paylake_airflow verify
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import typer
from airflow.sdk.exceptions import AirflowNotFoundException
from rich.console import Console

from include.airflow_api import AirflowApi
from include.errors import StackError
from include.settings import Settings
from include.stack.cli import OFFERED, offer, run
from include.stack.display import shown
from include.stack.first_data import await_read, follow
from include.stack.status import Status
from include.stack.steps import Runner, Step
from include.stack.summary import print_data
from include.status.flow import flow
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
offer(app, *OFFERED)


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


class Container:
    """How commands reach the stack whose stores Airflow's connections name."""

    def use(self, *_servers: str) -> None:
        """Let clients in this process find the stores.

        Raises:
            StackError: the connections do not say where they are.
        """
        try:
            os.environ.update(hooks.stack_environment())
        except (AirflowNotFoundException, ValueError) as error:
            raise StackError(f"Airflow's connections do not say where the stores are: {error}") from error

    def status(self) -> Status:
        """Ask the stores and Airflow; of processes Docker knows."""
        self.use()
        # Under the Astro CLI the commands run in Airflow's own containers, which are not told its user.
        known = "AIRFLOW_URL" in os.environ
        airflow = AirflowApi.from_environment(seconds=AIRFLOW_ANSWER_SECONDS) if known else None
        task_logs = self.log_folders().task_logs
        return Status(flow(Settings.from_environment(), airflow=airflow, task_logs=task_logs))

    def log_folders(self) -> ContainerLogs:
        """Airflow's folder of logs."""
        return ContainerLogs.of_airflow()


@app.command("first-data")
def first_data() -> None:
    """Follow the first data until all five tables of the warehouse have rows, and show what there is."""
    Container().use()
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
    """Run a command with the stores of the connections."""
    run(app, Container())


if __name__ == "__main__":
    main()
