"""When people pay: the hours of their day, and the sales days."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from include.generators.population import Population, User
from include.generators.whereabouts import DAY_MS, HOUR_MS

SALES_FACTOR = 2
"""On a sales day payments in shops and online are so many times as dear, and of a past day, as many."""

# One day of so many, by lot, is a sales day for everybody.
_SALES_EVERY = 15
# How much is paid in each hour of the user's own (solar) day.
_BY_HOUR = np.array([2, 1, 1, 1, 1, 2, 4, 6, 8, 9, 10, 11, 13, 12, 10, 9, 10, 12, 14, 13, 10, 8, 6, 4], dtype=float)


def is_sales_day(population: Population, moment: int) -> bool:
    """Whether the day (UTC) of a moment in milliseconds since 1970 is one of sales."""
    days, day = divmod(moment // DAY_MS, _SALES_EVERY)
    return day == population.random_for(f"sales/{days}").randrange(_SALES_EVERY)


class Rhythm:
    """How the payments of a past spread over its hours; each user keeps to an own share and to an own day."""

    def __init__(self, population: Population, users: Sequence[User]) -> None:
        self._population = population
        self._activity = np.array([user.habits.activity for user in users])
        self._hours_ahead = np.array([round(user.city.longitude / 15) for user in users])

    def hours(self, begin: int, end: int, total: int) -> Iterator[tuple[int, int, int, np.ndarray[Any, Any]]]:
        """The hours from ``begin`` to ``end`` (milliseconds since 1970), of which the outer ones may be cut.

        Yields each hour's begin, end, and count of payments, which add up to ``total``, and how much each user pays in
        it, relative to the others.
        """
        edges = [begin, *range((begin // HOUR_MS + 1) * HOUR_MS, end, HOUR_MS), end]
        by_hour = [self._weights(hour).sum() for hour in range(24)]
        expected = [
            by_hour[since // HOUR_MS % 24] * (until - since) * (SALES_FACTOR if self._sales(since) else 1)
            for since, until in pairwise(edges)
        ]
        # Rounding the running total, not each hour, keeps the whole exact.
        upto = np.rint(np.cumsum(expected) * (total / sum(expected))).astype(int)
        for (since, until), count in zip(pairwise(edges), np.diff(upto, prepend=0).tolist(), strict=True):
            yield since, until, count, self._weights(since // HOUR_MS % 24)

    def _weights(self, hour: int) -> np.ndarray[Any, Any]:
        weights: np.ndarray[Any, Any] = self._activity * _BY_HOUR[(hour + self._hours_ahead) % 24]
        return weights

    def _sales(self, moment: int) -> bool:
        return is_sales_day(self._population, moment)
