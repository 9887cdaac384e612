"""What the commands of ``./paylake quarantine`` may be told, and what is meant by it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import psycopg
import typer

from include.domains import DOMAINS
from include.lake.coordinates import Coordinates, InvalidCoordinatesError
from include.quarantine import rows as quarantine
from include.quarantine.rows import Selection

# A topic's id may begin with a hyphen. A mistyped option is then taken for coordinates, and refused as such.
ANY_TOPIC_ID = {"ignore_unknown_options": True}
TIMES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S.%f%z"]

InDomain = Annotated[str | None, typer.Option("--domain", help=f"Only records of this domain: {', '.join(DOMAINS)}.")]
ForReason = Annotated[
    str | None, typer.Option("--reason", metavar="CODE", help="Only records with this reason, such as `pattern`.")
]
AtField = Annotated[
    str | None, typer.Option("--field", help="Only records with a reason at this field; with --reason: that one.")
]
Since = Annotated[
    datetime | None,
    typer.Option("--since", formats=TIMES, metavar="TIME", help="Only records refused at this time (UTC) or later."),
]
Until = Annotated[
    datetime | None,
    typer.Option("--until", formats=TIMES, metavar="TIME", help="Only records refused before this time (UTC)."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def selection_of(
    domain: str | None,
    reason: str | None,
    field: str | None,
    since: datetime | None,
    until: datetime | None,
    *,
    done: bool | None,
) -> Selection:
    """The records that the options choose; times without a zone are in UTC."""
    return Selection(domain, reason, field, _utc(since), _utc(until), done)


def check_domain(conn: psycopg.Connection, domain: str | None) -> None:
    """Refuse what is no domain; one that has left the registry is one as long as quarantine knows it.

    Raises:
        typer.BadParameter: there is no such domain.
    """
    if domain is not None and domain not in DOMAINS and not quarantine.knows(conn, domain):
        raise typer.BadParameter(f"there is no domain {domain!r}; there are {', '.join(DOMAINS)}")


def coordinates_of(text: str) -> Coordinates:
    """Read ``<topic id>/<partition>/<offset>``.

    Raises:
        typer.BadParameter: the text is something else.
    """
    try:
        return Coordinates.parse(text)
    except InvalidCoordinatesError as error:
        raise typer.BadParameter(str(error)) from error


def _utc(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment
