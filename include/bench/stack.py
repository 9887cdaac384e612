"""The whole stack, as its user has it: its start, the processors and the memory it takes, the way into gold."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from tempfile import TemporaryDirectory

from include.bench.apart import apart, generate_at
from include.bench.figures import Figure
from include.bench.to_gold import to_gold
from include.bench.usage import cpu_seconds, memory_bytes, processes
from include.bench.whole import Whole, whole_stack
from include.generators.traffic import new_run_id

SETTLE_SECONDS = 120.0
"""After the first rows: what was loaded is compiled by then, and Airflow has caught up."""
CPU_SECONDS = 60.0
MEMORY_SECONDS = 600.0
MEMORY_RATE = 1_000.0
"""Transactions a second, beside the ten of the stack's own generator."""
_MEMORY_EVERY_SECONDS = 5.0
_FLAT = 1.05
"""Memory is flat when that of the last third is at most so many times that of the middle third, by their medians."""


def stack(rounds: int) -> list[Figure]:
    """A new home with a warm cache in each round; all else is measured on the last of them."""
    ups = [_start_and_stop() for _ in range(rounds - 1)]
    with whole_stack() as whole:
        ups.append((whole.healthy, whole.filled))
        time.sleep(SETTLE_SECONDS)
        cores = Figure(
            "processors of the whole stack at 10 transactions/s, settled",
            "cores",
            tuple(_cores(whole) for _ in range(rounds)),
            0.4,
            lower_is_better=True,
        )
        return [*_start_figures(ups), cores, *_memory(whole), *to_gold(whole, rounds)]


def cold_up(_rounds: int) -> list[Figure]:
    """One start with nothing in the cache; what pip and uv keep for all of the user's projects is left to them."""
    with TemporaryDirectory(prefix="paylake-bench-cache-") as cache, whole_stack({"PAYLAKE_CACHE": cache}) as whole:
        seconds = (whole.filled,)
    return [Figure("./paylake up, empty cache: five tables", "s", seconds, 330, lower_is_better=True)]


def _start_and_stop() -> tuple[float, float]:
    with whole_stack() as whole:
        return whole.healthy, whole.filled


def _start_figures(ups: list[tuple[float, float]]) -> list[Figure]:
    healthy, filled = zip(*ups, strict=True)
    return [
        Figure("./paylake up, warm cache, new home: healthy", "s", healthy, 30, lower_is_better=True),
        Figure("./paylake up, warm cache, new home: five tables", "s", filled, 90, lower_is_better=True),
    ]


def _cores(whole: Whole) -> float:
    began, before = time.monotonic(), cpu_seconds(processes(whole.stack))
    time.sleep(CPU_SECONDS)
    return (cpu_seconds(processes(whole.stack)) - before) / (time.monotonic() - began)


def _memory(whole: Whole) -> list[Figure]:
    with apart(generate_at, whole.settings, MEMORY_RATE, new_run_id()):
        samples = _sampled(lambda: memory_bytes(processes(whole.stack)) / 1e9)
    third = len(samples) // 3
    middle, last = (statistics.median(part) for part in (samples[third : 2 * third], samples[-third:]))
    most = "memory of the whole stack, 1,000/s for 10 minutes: most"
    growth = "the same: last third beside the middle one"
    return [
        Figure(most, "GB", (max(samples),), 5, lower_is_better=True),
        Figure(growth, "times", (last / middle,), _FLAT, lower_is_better=True),
    ]


def _sampled(look: Callable[[], float]) -> list[float]:
    samples = []
    deadline = time.monotonic() + MEMORY_SECONDS
    while time.monotonic() < deadline:
        samples.append(look())
        time.sleep(_MEMORY_EVERY_SECONDS)
    return samples
