"""The commands that every kind of stack offers alike. Kinds differ in how a command reaches its stack."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Annotated, NoReturn, Protocol

import typer
from rich.console import Console

from include.errors import StackError
from include.settings import MissingSettingError
from include.stack import logs as log_files
from include.stack.commands import COMMANDS

if TYPE_CHECKING:
    from include.stack.status import Status

INTERRUPTED = 130
PASS_THROUGH = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


class Reach(Protocol):
    """How commands reach the stack that they are for. Each method raises StackError when it cannot be reached."""

    def use(self, *servers: str) -> None:
        """Let clients in this process find the stack, of which these servers (kafka, minio, postgres) have to run."""

    def status(self) -> Status:
        """Ask every part how it is."""

    def log_folders(self) -> log_files.LogFolders:
        """Where its logs are."""


def status(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help=COMMANDS["status"].options["json"])] = False,
) -> None:
    """Show how the stack is."""
    found = _reach(context).status()
    if as_json:
        typer.echo(json.dumps(found.as_json(), indent=2))
    else:
        found.show(Console())
    raise typer.Exit(0 if found.well else 1)


def logs(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help=COMMANDS["logs"].options["name"])] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help=COMMANDS["logs"].options["follow"])] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help=COMMANDS["logs"].options["lines"])] = 50,
) -> None:
    """Show a log, or list their names."""
    folders = _reach(context).log_folders()
    if not name:
        typer.echo("\n".join(log_files.names(folders)))
    elif follow:
        log_files.follow(folders, name, lines=lines, write=_write_line)
    else:
        log_files.show(folders, name, lines=lines, write=_write_line)


def generate(context: typer.Context) -> None:
    """Run the command line of the generators."""
    if context.args and not any(argument.startswith("--bootstrap-servers") for argument in context.args):
        _use(context, "kafka")
    from include.generators.cli import app

    hand_over(context, app)


def verify(context: typer.Context) -> None:
    """Run the verification."""
    _use(context, "kafka", "minio", "postgres")
    from include.verify.cli import verify_command

    hand_over(context, alone(verify_command))


def quarantine(context: typer.Context) -> None:
    """Run the command line of quarantine."""
    if context.args:
        _use(context, "postgres")
    from include.redrive.cli import app

    hand_over(context, app)


def checks(context: typer.Context) -> None:
    """Show what checks found."""
    _use(context, "postgres")
    from include.checks.cli import checks_command

    hand_over(context, alone(checks_command))


def cases(context: typer.Context) -> None:
    """Run the command line of cases."""
    if context.args:
        _use(context, "postgres")
    from include.casework.cases import app

    hand_over(context, app)


def lists(context: typer.Context) -> None:
    """Run the command line of lists."""
    if context.args:
        _use(context, "postgres")
    from include.casework.lists import app

    hand_over(context, app)


def rules(context: typer.Context) -> None:
    """Run the command line of rules."""
    if context.args:
        _use(context, "postgres")
    from include.casework.rules import app

    hand_over(context, app)


def evaluate(context: typer.Context) -> None:
    """Run the evaluation."""
    if not any(argument.startswith("--transactions") for argument in context.args):
        _use(context, "kafka", "postgres")
    from include.evaluate.cli import evaluate_command

    hand_over(context, alone(evaluate_command))


def backtest(context: typer.Context) -> None:
    """Run the back-test."""
    _use(context, "kafka", "minio", "postgres")
    from include.backtest.cli import backtest_command

    hand_over(context, alone(backtest_command))


def materialize(context: typer.Context) -> None:
    """Have assets made anew."""
    _use(context)
    from include.materialize.cli import materialize_command

    hand_over(context, alone(materialize_command))


def backfill(context: typer.Context) -> None:
    """Have days of an asset made anew."""
    _use(context)
    from include.materialize.cli import backfill_command

    hand_over(context, alone(backfill_command))


HANDED_OVER = (
    *("generate", "verify", "quarantine", "checks", "cases", "lists", "rules", "evaluate", "backtest"),
    *("materialize", "backfill"),
)
"""Those that have a command line of their own."""
OFFERED: dict[str, Callable[..., None]] = {
    each.__name__: each
    for each in (
        *(status, logs, generate, verify, quarantine, checks, cases, lists, rules, evaluate, backtest),
        *(materialize, backfill),
    )
}


def offer(app: typer.Typer, *names: str) -> None:
    """Add some of ``OFFERED`` to a command line that ``run`` runs."""
    for name in names:
        settings = PASS_THROUGH if name in HANDED_OVER else None
        app.command(name, help=COMMANDS[name].help, context_settings=settings)(OFFERED[name])


def run(app: typer.Typer, reach: Reach) -> None:
    """Run the command line of a kind of stack; an error becomes one sentence and an exit code."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Not every terminal can show every character that somebody's error holds.
        sys.stdout.reconfigure(errors="replace")
    try:
        app(prog_name=app.info.name, obj=reach)
    except (StackError, MissingSettingError) as error:
        sys.exit(f"paylake: {error}")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        sys.exit(f"paylake: {error}")


def interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    """Have a signal end the command as Ctrl-C does."""
    raise KeyboardInterrupt


def alone(command: Callable[..., None]) -> typer.Typer:
    """A command line of one command, with its own options and help."""
    application = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    application.command()(command)
    return application


def hand_over(context: typer.Context, application: typer.Typer) -> None:
    """Let another command line read the arguments of a command that passes them through."""
    application(context.args, prog_name=context.command_path)


def _reach(context: typer.Context) -> Reach:
    reach: Reach = context.obj
    return reach


def _use(context: typer.Context, *servers: str) -> None:
    """Let a command find the servers it speaks to; its help needs none."""
    if "--help" not in context.args:
        _reach(context).use(*servers)


def _write_line(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
