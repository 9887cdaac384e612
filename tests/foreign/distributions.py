"""How a labelled log spreads: what each kind of fraud does to a card, beside what its owner does."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from statistics import fmean, pstdev
from typing import NamedTuple

HOUR, DAY = 3_600.0, 86_400.0
_APART = 7 * DAY
"""Frauds of one card that are further apart are those of two cases."""


class Payment(NamedTuple):
    """``seconds`` since any moment; ``scenario`` is None of a genuine one; those of one ``source`` belong together."""

    user: str
    seconds: float
    amount: float
    source: str
    scenario: str | None


class Usual(NamedTuple):
    """A card: its owner's genuine payments a second, their mean amount, and the times of all payments."""

    rate: float
    amount: float
    times: list[float]


class Spread(NamedTuple):
    """A kind of fraud: of all payments, of a case (what one card suffers), and of a source.

    Rates are relative to the same cards' genuine payments: ``day_burst`` is the most frauds within 24 hours as a
    multiple of a usual day, ``hour_burst`` the same of an hour. ``cards`` and ``source_days`` are how many cards the
    frauds of one source touch, and how long.
    """

    share: float
    payments: float
    days: float
    amount_ratio: float
    of_card: float
    day_burst: float
    hour_burst: float
    cards: float
    source_days: float


class Distributions(NamedTuple):
    """Of a whole log: what is genuine, by card, and each kind of fraud by its scenario.

    ``amount_spread`` is the standard deviation of a card's genuine amounts, relative to their mean.
    """

    payments_a_day: float
    amount_spread: float
    kinds: Mapping[str, Spread]


def distributions(log: Iterable[Payment]) -> Distributions:
    """Measure a log, in whatever order it is."""
    payments = sorted(log, key=lambda one: one.seconds)
    length = payments[-1].seconds - payments[0].seconds
    genuine: defaultdict[str, list[float]] = defaultdict(list)
    times: defaultdict[str, list[float]] = defaultdict(list)
    frauds: defaultdict[str, list[Payment]] = defaultdict(list)
    for one in payments:
        times[one.user].append(one.seconds)
        if one.scenario is None:
            genuine[one.user].append(one.amount)
        else:
            frauds[one.scenario].append(one)
    usual = {who: Usual(len(paid) / length, fmean(paid), times[who]) for who, paid in genuine.items()}
    kinds = {
        scenario: _spread([one for one in some if one.user in usual], usual, len(payments))
        for scenario, some in frauds.items()
    }
    spreads = [pstdev(paid) / usual[who].amount for who, paid in genuine.items()]
    return Distributions(DAY * fmean(one.rate for one in usual.values()), fmean(spreads), kinds)


def _spread(frauds: list[Payment], usual: Mapping[str, Usual], payments: int) -> Spread:
    cases = _cases(frauds, lambda one: one.user)
    sources = _cases(frauds, lambda one: one.source)
    spans = [(usual[case[0].user].times, [one.seconds for one in case]) for case in cases]
    meanwhile = sum(bisect_right(times, case[-1]) - bisect_left(times, case[0]) for times, case in spans)
    rate = fmean(usual[case[0].user].rate for case in cases)
    return Spread(
        share=len(frauds) / payments,
        payments=len(frauds) / len(cases),
        days=fmean(case[-1] - case[0] for _, case in spans) / DAY,
        amount_ratio=fmean(one.amount / usual[one.user].amount for one in frauds),
        of_card=len(frauds) / meanwhile,
        day_burst=fmean(_most_within(DAY, case) for _, case in spans) / (rate * DAY),
        hour_burst=fmean(_most_within(HOUR, case) for _, case in spans) / (rate * HOUR),
        cards=fmean(len({one.user for one in of_source}) for of_source in sources),
        source_days=fmean(of_source[-1].seconds - of_source[0].seconds for of_source in sources) / DAY,
    )


def _cases(frauds: Iterable[Payment], of: Callable[[Payment], str]) -> list[list[Payment]]:
    """The frauds of each card, or source, cut where none happens for a week."""
    cases: list[list[Payment]] = []
    open_cases: dict[str, list[Payment]] = {}
    for one in frauds:
        case = open_cases.get(of(one))
        if case is None or one.seconds - case[-1].seconds > _APART:
            case = open_cases[of(one)] = []
            cases.append(case)
        case.append(one)
    return cases


def _most_within(seconds: float, times: list[float]) -> int:
    """The most of the times, which are in order, that a span of so many seconds holds."""
    return max(bisect_right(times, begin + seconds) - number for number, begin in enumerate(times))
