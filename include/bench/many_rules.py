"""How long a verdict takes with few rules and with many."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from include.bench.figures import Figure
from include.bench.latency import Wanted, waited
from include.bench.rulebooks import rulebook
from include.bench.submit import in_environment
from include.fraud.rulebook import RULES_VARIABLE
from include.local.testing.stores import store_servers
from include.settings import Settings

RULES = (4, 50, 250, 1_000)
RATE = 1_000
SECONDS = 60.0
WANTED: Wanted = {"p50": None, "p95": None, "p99": 1.0}


def many_rules(_rounds: int) -> list[Figure]:
    """The latency at 1,000/s by the number of rules, each on servers of its own; one round of a minute."""
    figures: list[Figure] = []
    with TemporaryDirectory(prefix="paylake-bench-") as folder:
        for count in RULES:
            path = Path(folder) / f"{count}.yaml"
            path.write_text(rulebook(count), encoding="utf-8")
            with store_servers() as environment, in_environment({**environment, RULES_VARIABLE: str(path)}):
                (found,) = waited(Settings.from_environment(), {RATE: WANTED}, SECONDS)
            figures += [replace(one, name=f"{count:,} rules: {one.name}") for one in found]
    return figures
