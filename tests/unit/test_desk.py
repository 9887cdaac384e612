"""What the page makes of values: cells that no spreadsheet runs, steps of a time axis."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from include.desk.frauds import BARS, step_of
from include.desk.spreadsheet import harmless


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n1", "  =1", "\uff1d1", "\uff0b1"])
def test_what_a_spreadsheet_would_run_is_text(text: str) -> None:
    assert harmless(text) == f"'{text}"


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (None, ""),
        ("Porto", "Porto"),
        ("a=b", "a=b"),
        ("", ""),
        (-5, "-5"),
        (Decimal("-1.50"), "-1.50"),
        (datetime(2026, 1, 31, tzinfo=UTC), "2026-01-31T00:00:00+00:00"),
    ],
)
def test_all_else_stays_as_it_is(value: object, cell: str) -> None:
    assert harmless(value) == cell


@pytest.mark.parametrize("seconds", [1, 60, 3600, 86_400, 604_800, 2_678_400])
def test_a_period_has_not_too_many_steps(seconds: int) -> None:
    since = datetime(2026, 1, 1, tzinfo=UTC)
    step = step_of(since, since + timedelta(seconds=seconds))
    assert step.total_seconds() >= 1
    assert seconds / step.total_seconds() <= BARS
