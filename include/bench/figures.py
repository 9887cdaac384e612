"""A figure of the bench: a median beside what it has to reach, and beside peers that were measured by turns with it."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Peer:
    """Something else that was measured, round by round, beside the figure.

    ``least_ratio`` and ``most_ratio`` are what the figure is to be at least and at most, as multiples of the peer's;
    None where the peer is there to be looked at.
    """

    name: str
    rounds: tuple[float, ...]
    least_ratio: float | None = None
    most_ratio: float | None = None

    @property
    def median(self) -> float:
        """Of its rounds."""
        return statistics.median(self.rounds)


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured in ``rounds``, in ``unit``.

    ``wanted`` is a limit for the median, a lower one unless ``lower_is_better``; None where only peers tell.
    """

    name: str
    unit: str
    rounds: tuple[float, ...]
    wanted: float | None = None
    lower_is_better: bool = False
    peers: tuple[Peer, ...] = field(default=())

    @property
    def median(self) -> float:
        """Of the rounds."""
        return statistics.median(self.rounds)

    def ratio(self, peer: Peer) -> float:
        """The median as a multiple of the peer's."""
        return self.median / peer.median

    @property
    def within(self) -> bool:
        """Whether the median keeps its limit."""
        sign = -1 if self.lower_is_better else 1
        return self.wanted is None or sign * self.median >= sign * self.wanted

    def reaches(self, peer: Peer) -> bool:
        """Whether it has the ratio that the peer asks for."""
        ratio = self.ratio(peer)
        return (peer.least_ratio is None or ratio >= peer.least_ratio) and (
            peer.most_ratio is None or ratio <= peer.most_ratio
        )

    @property
    def met(self) -> bool:
        """Whether the median keeps its limit, and each of the ratios that has one."""
        return self.within and all(map(self.reaches, self.peers))

    def as_json(self) -> dict[str, Any]:
        """All of it, with what was reckoned."""
        peers = [{**asdict(peer), "median": peer.median, "ratio": self.ratio(peer)} for peer in self.peers]
        return {**asdict(self), "median": self.median, "met": self.met, "peers": peers}


def by_turns(count: int, runs: Mapping[str, Callable[[], float]]) -> dict[str, tuple[float, ...]]:
    """What each of the runs measured in each of ``count`` rounds; they take turns, so that all see the same machine."""
    rounds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(count):
        for name, run in runs.items():
            rounds[name].append(run())
    return {name: tuple(values) for name, values in rounds.items()}


def machine() -> dict[str, Any]:
    """Where it was measured, and how busy that machine was before."""
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        models = {line.partition(":")[2].strip() for line in lines if line.startswith("model name")}
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "processors": len(os.sched_getaffinity(0)),
        "model": ", ".join(sorted(models)) or platform.machine(),
        "memory_gib": round(pages / 2**30, 1),
        "load": [round(value, 2) for value in os.getloadavg()],
    }
