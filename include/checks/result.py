"""What checks found: kept in the warehouse, told in the event, and, where one blocks, the end of a run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import psycopg

from include.checks.declared import Check
from include.sql import load_sql

EXAMPLES = 5
"""So many failing rows are kept of a check."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a check found: of ``rows`` rows ``failing`` fail it, and that is all right or not.

    ``day`` is the partition that the rows are of; None: all, or, where there are others with a day, those of older
    ones. ``value`` is what the limits are of: the share of failing rows, or rows for each one there was. Of
    `EXAMPLES` failing rows ``examples`` have the key, the coordinates and, unless it is personal data, the value.
    """

    check: Check
    passed: bool
    rows: int | None = None
    failing: int | None = None
    value: float | None = None
    day: date | None = None
    examples: tuple[dict[str, Any], ...] = ()

    def __str__(self) -> str:
        text = self.check.name + (f" of {self.day}" if self.day else "")
        if self.failing is not None:
            text += f": {self.failing:,} of {self.rows:,} rows"
        elif self.value is not None:
            text += f": {self.value:g}"
        limits = self.check.limits()
        text += f" (allowed: {json.dumps(limits, ensure_ascii=False)})" if limits else ""
        return text + (f", such as {json.dumps(self.examples[0], ensure_ascii=False)}" if self.examples else "")


class CheckFailedError(RuntimeError):
    """A check that blocks has failed, so nothing was published.

    ``results`` are all that the run's checks found in the data of ``snapshot_id``, silver's.
    """

    def __init__(self, asset: str, results: Sequence[Result], advice: str, snapshot_id: int) -> None:
        self.results = tuple(results)
        self.snapshot_id = snapshot_id
        told = "; ".join(map(str, blocking(results)))
        super().__init__(f"{asset}: nothing was published, for a check that blocks has failed: {told}{advice}")


@dataclass(frozen=True, slots=True)
class Stored:
    """A result as the warehouse holds it."""

    asset: str
    check: str
    kind: str
    severity: str
    day: date | None
    passed: bool
    rows: int | None
    failing: int | None
    value: float | None
    limits: dict[str, Any]
    examples: list[dict[str, Any]]
    snapshot_id: str | None
    run: str
    at: datetime

    @property
    def blocks(self) -> bool:
        """Whether nothing is published while it fails."""
        return self.severity == "block"


def row_result(
    check: Check, rows: int, failing: int, examples: Iterable[dict[str, Any]] = (), day: date | None = None
) -> Result:
    """What a check of single rows found, judged by the share that may fail."""
    share = failing / rows if rows else 0.0
    return Result(check, share <= check.max_share, rows, failing, share, day, tuple(examples))


def blocking(results: Iterable[Result]) -> list[Result]:
    """Those for which nothing may be published."""
    return [one for one in results if one.check.blocks and not one.passed]


def store(conn: psycopg.Connection, run: str, snapshot_id: int | None, results: Iterable[Result]) -> None:
    """Keep what the checks of ``run`` found in the data of that snapshot of silver.

    Raises:
        psycopg.Error: the warehouse does not answer; nothing was kept.
    """
    rows = [
        {
            "asset": one.check.asset,
            "check": one.check.name,
            "kind": one.check.kind.value,
            "severity": one.check.severity.value,
            "day": one.day and one.day.isoformat(),
            "passed": one.passed,
            "rows": one.rows,
            "failing": one.failing,
            "value": one.value,
            "limits": one.check.limits(),
            "examples": one.examples,
        }
        for one in results
    ]
    if rows:
        written = json.dumps(rows, ensure_ascii=False).replace("\\u0000", "\N{REPLACEMENT CHARACTER}")
        conn.execute(load_sql("checks/store"), {"results": written, "run": run, "snapshot_id": snapshot_id})


def newest(conn: psycopg.Connection, asset: str | None = None) -> list[Stored]:
    """What each check of the asset, or of all, found when it last looked, by asset and name."""
    return [Stored(*row) for row in conn.execute(load_sql("checks/newest"), {"asset": asset})]


def forget(conn: psycopg.Connection, days: int) -> int:
    """Delete results of more than ``days`` ago, but what each check found last; return how many."""
    return conn.execute(load_sql("checks/forget"), {"days": days}).rowcount
