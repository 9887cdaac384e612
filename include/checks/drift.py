"""Drift of row counts: how many rows there are, beside what there was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from datetime import date, timedelta
from statistics import median

from include.checks.declared import Check
from include.checks.result import Result
from include.checks.rows import MOST_DAYS

FEWEST_DAYS = 3
"""Of fewer days a median says nothing."""


def table_drift(check: Check, before: int, after: int) -> list[Result]:
    """What a check of a table's row count finds, which had so many rows before the run; nothing of an empty table."""
    return [_judged(check, after / before, rows=after)] if before else []


def day_drift(check: Check, counts: Mapping[date, int], touched: Set[date], today: date) -> Iterator[Result]:
    """What it finds of the days that a run ``touched``, and of the newest one that is over, in a table with so many
    rows by day. A day that is not over can only have too many; one with fewer than `FEWEST_DAYS` before it can not
    be judged."""
    over = max((day for day in counts if day < today), default=None)
    for day in sorted(touched | ({over} if over else set()), reverse=True)[:MOST_DAYS]:
        before = [counts[one] for ago in range(1, check.days + 1) if (one := day - timedelta(ago)) in counts]
        if len(before) >= FEWEST_DAYS:
            yield _judged(check, counts.get(day, 0) / median(before), rows=counts.get(day, 0), day=day, low=day < today)


def _judged(check: Check, value: float, *, rows: int, day: date | None = None, low: bool = True) -> Result:
    too_few = low and check.low is not None and value < check.low
    too_many = check.high is not None and value > check.high
    return Result(check, not (too_few or too_many), rows, value=round(value, 6), day=day)
