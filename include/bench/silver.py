"""A small silver run, beside the start of a session."""

from __future__ import annotations

import json
import time
from pathlib import Path

from include.bench.figures import Figure, Peer, by_turns
from include.bench.submit import JOBS, OWN_JOBS, BenchError, result_of
from include.bench.traffic import send_reference
from include.domains import MERCHANTS
from include.generators.population import DEFAULT_SEED, DEFAULT_USERS, Population
from include.generators.reference import reference_records
from include.generators.transactions import now
from include.settings import Settings

_HELD, _NEW = 500, 40


def silver(settings: Settings, rounds: int) -> list[Figure]:
    """Seconds for 40 new records beside a table of 500 rows and more, from the submission of the job to its end."""
    population = Population(DEFAULT_SEED, DEFAULT_USERS, _HELD + rounds * _NEW)
    merchants = [record for domain, record in reference_records(population, now()) if domain == MERCHANTS]
    send_reference(settings, MERCHANTS, merchants[:_HELD])
    _run()
    starts = iter(range(_HELD, len(merchants), _NEW))

    def run() -> float:
        start = next(starts)
        send_reference(settings, MERCHANTS, merchants[start : start + _NEW])
        began = time.monotonic()
        changed = _run()
        if changed != _NEW:
            raise BenchError(f"{changed} rows changed, not {_NEW}")
        return time.monotonic() - began

    measured = by_turns(
        rounds,
        {
            "silver": run,
            "bare": lambda: _seconds(OWN_JOBS / "bare_session.py"),
            "notebook": lambda: _seconds(OWN_JOBS / "notebook_silver.py"),
        },
    )
    peers = (
        Peer("a session, and one job that does nothing", measured["bare"]),
        Peer("a notebook's way: read everything, clean, append", measured["notebook"]),
    )
    figure = Figure("a silver run for 40 new records", "s", measured["silver"], 8.0, lower_is_better=True, peers=peers)
    return [figure]


def _run() -> int:
    report = json.loads(result_of(JOBS / "silver.py", MERCHANTS.name))
    return int(report["changed"])


def _seconds(application: Path) -> float:
    began = time.monotonic()
    result_of(application)
    return time.monotonic() - began
