"""An increment of silver beside a small and beside a large table."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import timedelta

from include.bench.figures import Figure, Peer
from include.bench.submit import JOBS, OWN_JOBS, BenchError, result_of
from include.bench.traffic import send_reference
from include.domains import MERCHANTS
from include.generators.records import Record, iso
from include.generators.transactions import now
from include.settings import Settings

FEW, MANY = 10_000, 5_000_000
"""Rows."""
NEW = REPLACING = 500
"""So many records of an increment have ids that the table has not, and so many have ids from all over the table."""
_MOST_RATIO = 3.0


def silver_increment(settings: Settings, rounds: int) -> list[Figure]:
    """Seconds for 1,000 records, from the submission of the job to its end."""
    send_reference(settings, MERCHANTS, [_merchant(0)])
    _run()
    numbers = iter(range(MANY + 1, MANY + 1 + 2 * rounds * NEW))
    _fill(1, FEW)
    few = tuple(_increment(settings, FEW, numbers) for _ in range(rounds))
    _fill(FEW, MANY)
    many = tuple(_increment(settings, MANY, numbers) for _ in range(rounds))
    peer = Peer(f"with {FEW:,} rows", few, most_ratio=_MOST_RATIO)
    name = f"a silver increment of {NEW + REPLACING:,} with {MANY:,} rows"
    return [Figure(name, "s", many, lower_is_better=True, peers=(peer,))]


def _fill(begin: int, end: int) -> None:
    """Have rows of the ids in [begin, end) in the table."""
    result_of(OWN_JOBS / "fill_silver.py", str(begin), str(end))


def _increment(settings: Settings, rows: int, numbers: Iterator[int]) -> float:
    new = [next(numbers) for _ in range(NEW)]
    replacing = range(1, rows, rows // REPLACING)[:REPLACING]
    send_reference(settings, MERCHANTS, [_merchant(number) for number in (*replacing, *new)])
    began = time.monotonic()
    changed = _run()
    if changed != NEW + REPLACING:
        raise BenchError(f"{changed} rows changed, not {NEW + REPLACING}")
    return time.monotonic() - began


def _run() -> int:
    return int(json.loads(result_of(JOBS / "silver.py", MERCHANTS.name))["changed"])


def _merchant(number: int) -> Record:
    return {
        "merchant_id": f"M{number:08}",
        "merchant_name": f"Shop {number}",
        "category": "Fuel",
        "risk_level": "Low",
        "country": "Portugal",
        # Newer than what the table was filled with.
        "timestamp": iso(now() - timedelta(seconds=1)),
    }
