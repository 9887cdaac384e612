"""The command line: every ``./paylake`` command."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from include.errors import StackError
from include.local import clients, postgres
from include.local.layout import Stack, locate
from include.local.processes import own_environment, without_foreign
from include.local.secrets import Secrets, load_secrets
from include.settings import MissingSettingError

INTERRUPTED = 130
PASS_THROUGH = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}

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


@app.command()
def up(
    traffic: Annotated[
        bool, typer.Option(help="Generate users, merchants, accounts and transactions, and wait for their first rows.")
    ] = True,
) -> None:
    """Start the stack; everything it needs is made the first time. Running it again is harmless and quick."""
    from include.local.summary import print_summary
    from include.local.up import up as bring_up

    console = Console()
    start = bring_up(locate(starting=True), console, traffic=traffic)
    print_summary(start.stack, start.secrets, console)


@app.command()
def down() -> None:
    """Stop the stack. Its data stay."""
    from include.local.start import down as stop

    stack = locate()
    typer.echo("The stack is stopped; its data are kept." if stop(stack) else "The stack was not running.")


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
) -> None:
    """Show each process, each layer and how far it is behind the one before it, what waits, and what is wrong.

    The exit code is 1 when something that should flow does not, or could not be asked; otherwise 0.
    """
    from include.local.status import render
    from include.local.status import status as ask

    stack, secrets = _existing()
    clients.use(stack, secrets)
    found = ask(stack, secrets)
    if as_json:
        typer.echo(json.dumps(found.as_json(), indent=2))
    else:
        render(found, Console())
    raise typer.Exit(0 if found.well else 1)


@app.command()
def logs(
    name: Annotated[str, typer.Argument(help="A server, 'fraud' for the fraud events, or the id of a DAG.")] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is added, until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of the last lines to show.")] = 50,
) -> None:
    """Show the log of a server, of a DAG's newest task, or the fraud events; without a name, list the names."""
    from include.local import logs as log_files

    stack, _ = _existing()
    if not name:
        typer.echo("\n".join(log_files.names(stack)))
    elif follow:
        log_files.follow(stack, name, lines=lines, write=_write_line)
    else:
        log_files.show(stack, name, lines=lines, write=_write_line)


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
    from include.local.supervisor import Supervisor

    stack = locate()
    running = {name for name, condition in Supervisor(stack).conditions().items() if condition.running}
    findings = examine(stack, running)
    table = Table("", "what", "found", "how to mend", box=None)
    for finding in findings:
        mark = "[green]✓[/]" if finding.well else "[red]✗[/]" if finding.vital else "[yellow]![/]"
        table.add_row(mark, finding.subject, finding.found, finding.mend)
    Console().print(table)
    raise typer.Exit(0 if all(finding.well or not finding.vital for finding in findings) else 1)


@app.command()
def env() -> None:
    """Print shell exports for your own clients: eval "$(./paylake env)"."""
    typer.echo(clients.exports(clients.client_environment(*_existing())))


@app.command(context_settings=PASS_THROUGH)
def psql(context: typer.Context) -> None:
    """Open the warehouse in psql; further arguments are psql's own."""
    stack, secrets = _existing()
    clients.require_listening(stack, "postgres")
    program = str(postgres.psql())
    environment = {**without_foreign(os.environ), **clients.psql_environment(stack, secrets)}
    os.execve(program, [program, *context.args], environment)  # noqa: S606 (argument list, no shell)


@app.command(context_settings=PASS_THROUGH)
def airflow(context: typer.Context) -> None:
    """Run Airflow's own command line with this stack's configuration; all arguments are Airflow's."""
    from include.local.airflow import airflow_environment, program
    from include.local.java import find_java

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
        typer.Argument(
            help="all, lint, unit, integration, foreign, faults, another folder of tests/, or servers: keeps them"
        ),
    ] = "all",
) -> None:
    """Run lint, types, contracts and all tests, or one suite of them; further arguments are pytest's."""
    from include.local.suites import run_suite

    raise typer.Exit(run_suite(suite, context.args))


@app.command(context_settings=PASS_THROUGH)
def generate(context: typer.Context) -> None:
    """Produce synthetic traffic: reference data, or transactions at a rate of your choice."""
    from include.generators.cli import app as generators

    if context.args and not any(argument.startswith("--bootstrap-servers") for argument in context.args):
        _use_stack(context, "kafka")
    generators(context.args, prog_name="./paylake generate")


@app.command(context_settings=PASS_THROUGH)
def verify(context: typer.Context) -> None:
    """Prove from Kafka, MinIO and PostgreSQL themselves that every record is in exactly one place."""
    from include.verify.cli import verify_command

    _use_stack(context, "kafka", "minio", "postgres")
    _run_alone(verify_command, context, "verify")


@app.command("quarantine", context_settings=PASS_THROUGH)
def look_into_quarantine(context: typer.Context) -> None:
    """List and show the records that broke their contract, and drive them through again, or accept that many did."""
    from include.quarantine.cli import app as quarantine

    if context.args:
        _use_stack(context, "postgres")
    quarantine(context.args, prog_name="./paylake quarantine")


@app.command(context_settings=PASS_THROUGH)
def evaluate(context: typer.Context) -> None:
    """Print precision and recall of the fraud rules against the generators' ground truth."""
    from include.evaluate import evaluate_command

    _use_stack(context, "kafka", "postgres")
    _run_alone(evaluate_command, context, "evaluate")


@app.command(context_settings=PASS_THROUGH)
def bench(context: typer.Context) -> None:
    """Measure the hot paths, each beside a limit or a peer, on servers of their own."""
    from include.bench.command import bench_command

    _run_alone(bench_command, context, "bench")


def _run_alone(command: Callable[..., None], context: typer.Context, name: str) -> None:
    """Run a command that is defined elsewhere, with its own options and help."""
    application = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    application.command()(command)
    application(context.args, prog_name=f"./paylake {name}")


def _existing() -> tuple[Stack, Secrets]:
    stack = locate()
    return stack, load_secrets(stack)


def _use_stack(context: typer.Context, *servers: str) -> None:
    """Let a command that speaks to ``servers`` find those of this stack; its help needs none.

    Where no stack was started here, the variables of the environment count: the stores may be anywhere.
    """
    if "--help" in context.args:
        return
    stack = locate()
    if stack.exists:
        clients.require_listening(stack, *servers)
        clients.use(stack, load_secrets(stack))
    elif missing := [name for server, name in clients.VARIABLES.items() if server in servers and not os.getenv(name)]:
        raise StackError(
            f"There is no stack in {stack.home}: ./paylake up starts one. PAYLAKE_HOME names the folder of another;"
            f" for servers that are none of a stack, set {', '.join(missing)}."
        )


def _write_line(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def main() -> None:
    """Run the command line; an error becomes one sentence and an exit code."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Not every terminal can show every character that somebody's error holds.
        sys.stdout.reconfigure(errors="replace")
    try:
        app(prog_name="./paylake")
    except (StackError, MissingSettingError) as error:
        sys.exit(f"paylake: {error}")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        sys.exit(f"paylake: {error}")


if __name__ == "__main__":
    main()
