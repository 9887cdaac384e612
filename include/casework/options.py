"""What the commands of analysts have in common: who does it, in which words, until when, and how it fails."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, NoReturn

import psycopg
import typer
from rich.console import Console
from rich.text import Text

from include.cases.work import CaseError
from include.cleaning.text import composed, forbidden_character, tidy
from include.fraud.console import printable
from include.fraud.list_changes import ListError
from include.fraud.rulebook import RulesError
from include.postgres import connect
from include.settings import MissingSettingError, Settings

LONGEST_TEXT = 2_000
TIMES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"]


def text(value: str) -> str:
    """A person's words, on one line.

    Raises:
        typer.BadParameter: there are none, they are too long, or hold what no column takes.
    """
    if len(value) > LONGEST_TEXT:
        raise typer.BadParameter(f"has more than {LONGEST_TEXT} characters")
    words = composed(tidy(value))
    if not words:
        raise typer.BadParameter("says nothing")
    if forbidden := forbidden_character(words):
        raise typer.BadParameter(f"holds the character {forbidden}")
    return words


def login() -> str:
    """The login name of the operating system's user.

    Raises:
        typer.BadParameter: it knows none.
    """
    try:
        return getpass.getuser()
    except (KeyError, OSError) as error:  # the first before Python 3.13
        raise typer.BadParameter("the system does not know who you are: say --by NAME") from error


def utc(moment: datetime) -> datetime:
    """The moment; one without a zone is in UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


By = Annotated[
    str,
    typer.Option(
        "--by",
        metavar="NAME",
        parser=text,
        default_factory=login,
        show_default="your login name on this machine",
        help="Who does this.",
    ),
]
Reason = Annotated[str, typer.Option("--reason", parser=text, metavar="TEXT", help="Why; it stays in the history.")]
ENDS = "When it ends: the moment, or the beginning of the day, in UTC."
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@contextmanager
def warehouse() -> Iterator[psycopg.Connection]:
    """The warehouse; what goes wrong becomes one sentence and exit code 1."""
    try:
        with connect(Settings.from_environment().warehouse_dsn, "paylake casework") as conn:
            yield conn
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as error:
        _fail("the warehouse has no cases of this version; `./paylake up` makes them", error)
    except (CaseError, ListError, MissingSettingError, RulesError, psycopg.Error) as error:
        _fail(str(error), error)


def _fail(message: str, cause: Exception) -> NoReturn:
    Console(stderr=True).print(Text.assemble(("error: ", "red"), printable(message)), soft_wrap=True)
    raise typer.Exit(1) from cause
