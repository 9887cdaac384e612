"""The commands that ``./paylake`` and ``./paylake --docker`` have in common, and how they reach their stack."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from include import cli
from include.errors import StackError
from include.stack.cli import OFFERED
from include.stack.commands import COMMANDS
from paylake_airflow.__main__ import app as container

CLONE = Path(__file__).parents[2]
WIDE = {"COLUMNS": "200", "TERMINAL_WIDTH": "200"}


class ToldError(StackError):
    """Ends a command when it has said which servers it needs."""


class Nowhere:
    """A stack that only listens to what commands want of it."""

    def use(self, *servers: str) -> None:
        raise ToldError(" ".join(servers))


def _unlisted(names: Iterable[str], said: str) -> list[str]:
    """The commands that a list of commands lacks, or says something else of than the table does."""
    words = " ".join(said.replace("│", " ").split())
    return [name for name in names if f" {name} {COMMANDS[name].help.partition(chr(10))[0]} " not in words]


def test_docker_lists_the_commands_and_needs_no_python_environment() -> None:
    command = [sys.executable, "-S", "-P", "-m", "include.docker.cli", "--help"]
    answer = subprocess.run(command, env={"PYTHONPATH": str(CLONE), **WIDE}, capture_output=True, text=True, check=True)
    assert _unlisted(COMMANDS, answer.stdout.replace("./paylake --docker env", "./paylake env")) == []


@pytest.mark.parametrize(("app", "names"), [(cli.app, COMMANDS), (container, OFFERED)], ids=["local", "container"])
def test_other_command_lines_say_the_same_of_them(app: typer.Typer, names: Iterable[str]) -> None:
    assert _unlisted(names, CliRunner().invoke(app, ["--help"], env=WIDE).output) == []


@pytest.mark.parametrize("app", [cli.app, container], ids=["local", "container"])
@pytest.mark.parametrize(
    ("arguments", "servers"),
    [
        (["verify", "--json"], "kafka minio postgres"),
        (["evaluate"], "kafka postgres"),
        (["quarantine", "list"], "postgres"),
        (["cases", "list"], "postgres"),
        (["lists", "list"], "postgres"),
        (["generate", "reference"], "kafka"),
    ],
)
def test_a_command_reaches_the_servers_that_it_speaks_to(app: typer.Typer, arguments: list[str], servers: str) -> None:
    outcome = CliRunner().invoke(app, arguments, obj=Nowhere())
    assert isinstance(outcome.exception, ToldError)
    assert str(outcome.exception) == servers


@pytest.mark.parametrize("app", [cli.app, container], ids=["local", "container"])
@pytest.mark.parametrize(
    "arguments",
    [
        ["verify", "--help"],
        ["quarantine"],
        ["quarantine", "list", "--help"],
        ["cases"],
        ["lists", "add", "--help"],
        ["generate", "--help"],
    ],
)
def test_help_needs_no_server(app: typer.Typer, arguments: list[str]) -> None:
    outcome = CliRunner().invoke(app, arguments, obj=Nowhere(), prog_name="./paylake")
    assert not isinstance(outcome.exception, ToldError)
    assert f"Usage: ./paylake {arguments[0]}" in outcome.output


@pytest.mark.parametrize("app", [cli.app, container], ids=["local", "container"])
def test_files_are_evaluated_without_a_server(app: typer.Typer, tmp_path: Path) -> None:
    files = ["--transactions", str(tmp_path / "t.csv"), "--labels", str(tmp_path / "l.csv")]
    outcome = CliRunner().invoke(app, ["evaluate", *files], obj=Nowhere())
    assert not isinstance(outcome.exception, ToldError)
    assert outcome.exit_code == 1
    assert "No such file" in outcome.stderr
