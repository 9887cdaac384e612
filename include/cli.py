"""The command line of the stack without Docker: every ``./paylake`` command."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from include.errors import StackError
from include.local.layout import Stack, locate
from include.local.secrets import Secrets, load_secrets
from include.local.servers import clients, postgres
from include.local.setup.environment import own_environment, without_foreign
from include.stack.cli import PASS_THROUGH, alone, hand_over, offer, run
from include.stack.commands import COMMANDS

if TYPE_CHECKING:
    from include.local.status import LocalStatus

app = typer.Typer(
    name="./paylake",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="rich",
    help="A payments data platform on this machine: Kafka, MinIO, Spark, PostgreSQL, run by Airflow.",
    epilog=(
        "PAYLAKE_HOME is the folder of a stack's state (default: .paylake in the clone). PAYLAKE_PORT_BASE=20000 makes "
        "a new stack use ports 20000 to 20005. PAYLAKE_CACHE is what all stacks share (default: ~/.cache/paylake). "
        "./paylake --docker --help lists the commands for the stack in Docker."
    ),
)


@app.command(help=COMMANDS["up"].help)
def up(
    traffic: Annotated[
        bool, typer.Option(help="Generate users, merchants, accounts and transactions, and wait for their first rows.")
    ] = True,
) -> None:
    """Start the stack."""
    from include.local.summary import print_summary
    from include.local.up import up as bring_up

    console = Console()
    start = bring_up(locate(starting=True), console, traffic=traffic)
    print_summary(start.stack, start.secrets, console)


@app.command(help=COMMANDS["down"].help)
def down() -> None:
    """Stop the stack."""
    from include.local.start import down as stop

    stack = locate()
    typer.echo("The stack is stopped; its data are kept." if stop(stack) else "The stack was not running.")


offer(app, "status", "logs")


@app.command()
def reset(yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Stop the stack and remove all its data, passwords and logs. The shared cache stays."""
    from include.local.reset import folders
    from include.local.reset import reset as remove

    stack = locate()
    targets = ", ".join(str(folder) for folder in folders(stack))
    if not targets:
        typer.echo("There is nothing to remove.")
        return
    if not yes:
        typer.confirm(f"Remove {targets} with all data in it?", abort=True)
    typer.echo("Removed " + ", ".join(str(folder) for folder in remove(stack)))


@app.command()
def doctor() -> None:
    """Check what the stack needs (Java, ports, disk, memory) and say how to mend what is missing."""
    from include.local.checks import examine
    from include.local.supervision.supervisor import Supervisor

    stack = locate()
    running = {name for name, condition in Supervisor(stack).conditions().items() if condition.running}
    findings = examine(stack, running)
    table = Table("", "what", "found", "how to mend", box=None)
    for finding in findings:
        mark = "[green]✓[/]" if finding.well else "[red]✗[/]" if finding.vital else "[yellow]![/]"
        table.add_row(mark, finding.subject, finding.found, finding.mend)
    Console().print(table)
    raise typer.Exit(0 if all(finding.well or not finding.vital for finding in findings) else 1)


@app.command(help=COMMANDS["env"].help)
def env() -> None:
    """Print shell exports."""
    typer.echo(clients.exports(clients.client_environment(*_existing())))


@app.command(help=COMMANDS["psql"].help, context_settings=PASS_THROUGH)
def psql(context: typer.Context) -> None:
    """Become psql."""
    stack, secrets = _existing()
    clients.require_listening(stack, "postgres")
    program = str(postgres.psql())
    environment = {**without_foreign(os.environ), **clients.psql_environment(stack, secrets)}
    os.execve(program, [program, *context.args], environment)  # noqa: S606 (argument list, no shell)


@app.command(help=COMMANDS["airflow"].help, context_settings=PASS_THROUGH)
def airflow(context: typer.Context) -> None:
    """Become Airflow's command line."""
    from include.local.servers.airflow import airflow_environment, program
    from include.local.setup.java import find_java

    stack, secrets = _existing()
    environment = own_environment(stack.stack_id) | airflow_environment(stack, secrets, find_java())
    # Only what supervisor keeps counts as a process of the stack.
    del environment["PAYLAKE_STACK_ID"]
    os.execve(program(), [program(), *context.args], environment)  # noqa: S606 (argument list, no shell)


@app.command("test", context_settings=PASS_THROUGH)
def run_tests(
    context: typer.Context,
    suite: Annotated[
        str,
        typer.Argument(help="all, lint, unit, integration, coverage, another folder of tests/, or servers: keeps them"),
    ] = "all",
) -> None:
    """Run lint, types, contracts and all tests, or one suite of them; further arguments are pytest's."""
    from include.local.testing.suites import run_suite

    raise typer.Exit(run_suite(suite, context.args))


offer(
    app,
    "generate",
    "verify",
    "quarantine",
    "checks",
    "cases",
    "lists",
    "rules",
    "evaluate",
    "backtest",
    "materialize",
    "backfill",
)


@app.command(context_settings=PASS_THROUGH)
def bench(context: typer.Context) -> None:
    """Measure the hot paths, each beside a limit or a peer, on servers of their own."""
    from include.bench.command import bench_command

    hand_over(context, alone(bench_command))


class Local:
    """How commands reach the stack that PAYLAKE_HOME names."""

    def use(self, *servers: str) -> None:
        """Let clients in this process find the stack's servers.

        Where no stack was started here, the variables of the environment count: the stores may be anywhere.

        Raises:
            StackError: one of these servers does not run, or nothing says where it is.
        """
        stack = locate()
        if stack.exists:
            clients.require_listening(stack, *servers)
            clients.use(stack, load_secrets(stack))
        elif missing := [name for each, name in clients.VARIABLES.items() if each in servers and not os.getenv(name)]:
            raise StackError(
                f"There is no stack in {stack.home}: ./paylake up starts one. PAYLAKE_HOME names the folder of another;"
                f" for servers that are none of a stack, set {', '.join(missing)}."
            )

    def status(self) -> LocalStatus:
        """Ask the processes, the stores and Airflow."""
        from include.local.status import status

        stack, secrets = _existing()
        clients.use(stack, secrets)
        return status(stack, secrets)

    def log_folders(self) -> Stack:
        """The stack keeps its logs itself."""
        return _existing()[0]


def _existing() -> tuple[Stack, Secrets]:
    stack = locate()
    return stack, load_secrets(stack)


def main() -> None:
    """Run the command line."""
    run(app, Local())


if __name__ == "__main__":
    main()
