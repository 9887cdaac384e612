"""The period that a question is about: at most a month of verdicts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import Depends, HTTPException, Query

LONGEST = timedelta(days=31)


@dataclass(frozen=True, slots=True)
class Period:
    """From ``since`` until before ``until``, in UTC."""

    since: datetime
    until: datetime


def utc(moment: datetime) -> datetime:
    """The moment in UTC, which is meant where no zone is said."""
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError as error:
        raise HTTPException(400, "There is no such moment in UTC.") from error


def _period(
    since: Annotated[datetime | None, Query(description="Verdicts from then on; by default of the last day.")] = None,
    until: Annotated[datetime | None, Query(description="Verdicts before then; by default up to now.")] = None,
) -> Period:
    end = utc(until) if until else datetime.now(UTC)
    try:
        start = utc(since) if since else end - timedelta(days=1)
    except OverflowError as error:
        raise HTTPException(400, "There is no day before that.") from error
    if not timedelta() < end - start <= LONGEST:
        raise HTTPException(400, f"A period begins before it ends, and has {LONGEST.days} days at most.")
    return Period(start, end)


Within = Annotated[Period, Depends(_period)]
