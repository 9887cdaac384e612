"""Frauds with known truth that are over within the hour, as named scenarios.

A thief does not know where the bank draws its lines: amounts, merchants and cities are this module's own, most of them
such as the simplest rules look for (a dear payment, a suspicious merchant, a city of high risk), some just below. Card
testing, impossible travel and account takeover show only over several transactions of one user.

Frauds that last for days are in ``thefts``.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

from include.generators.places import CITIES, RISKY_CITIES, far_from
from include.generators.population import Population, User

LEAST_CENTS = 50
UNDESCRIBED_MERCHANTS = ("M0666", "M7777", "M9999")
"""Merchants of ill fame, which a small population's reference data does not describe."""

_AT_ONCE = timedelta(0)


class Draft(NamedTuple):
    """A transaction of a case that has no id and no time yet; it happens ``after`` the case began.

    ``cents`` are hundredths of the book currency; ``scenario`` is None for a genuine one.
    """

    user: User
    cents: int
    merchant_id: str
    channel: str
    location: str
    scenario: str | None
    after: timedelta = _AT_ONCE


@dataclass(frozen=True, slots=True)
class Scenario:
    """A kind of fraud: its share of all frauds, and how many frauds and genuine transactions a case has on average.

    A case of one that is ``recent`` lies in the last minutes when it is made live, so that even a stack that has run
    for a minute shows whole cases. Drafts are in the order of time; a case begins with a user who is at home.
    """

    share: float
    frauds: float
    genuine: float
    recent: bool
    drafts: Callable[[random.Random, Population, User], list[Draft]]


def usual_cents(rng: random.Random, user: User) -> int:
    """An amount as the user usually spends."""
    habits = user.habits
    return max(LEAST_CENTS, round(habits.median_cents * math.exp(rng.gauss(0, habits.sigma))))


def usual_merchant(rng: random.Random, population: Population, user: User) -> str:
    """One of the user's favourites."""
    return population.merchants[rng.choice(user.habits.merchants)].merchant_id


def strange_merchant(rng: random.Random, population: Population, user: User) -> str:
    """A merchant that is not of high risk and none of the user's favourites, if there is any such."""
    favourites, trusted = user.habits.merchants, population.trusted_merchants
    # One more than there are favourites: they cannot be all of them.
    some = rng.sample(trusted, min(len(trusted), len(favourites) + 1))
    return population.merchants[next((index for index in some if index not in favourites), some[0])].merchant_id


def _high_online_amount(rng: random.Random, population: Population, user: User) -> list[Draft]:
    cents = round(5_000_000 * math.exp(rng.gauss(0, 0.35)))
    merchant = usual_merchant(rng, population, user)
    return [Draft(user, cents, merchant, "Online", user.city.city, "high_online_amount")]


def _huge_amount(rng: random.Random, population: Population, user: User) -> list[Draft]:
    cents = round(20_000_000 * math.exp(rng.gauss(0, 0.4)))
    merchant = usual_merchant(rng, population, user)
    return [Draft(user, cents, merchant, rng.choice(("POS", "Online")), user.city.city, "huge_amount")]


def _suspicious_merchant(rng: random.Random, population: Population, user: User) -> list[Draft]:
    # Mostly merchants that the reference data describes.
    merchant = rng.choice(population.risky_merchants if rng.random() < 0.8 else UNDESCRIBED_MERCHANTS)
    channel = rng.choice(("POS", "Online"))
    return [Draft(user, 2 * usual_cents(rng, user), merchant, channel, user.city.city, "suspicious_merchant")]


def _risky_location(rng: random.Random, population: Population, user: User) -> list[Draft]:
    merchant, city = usual_merchant(rng, population, user), rng.choice(RISKY_CITIES).city
    return [Draft(user, 3 * usual_cents(rng, user), merchant, rng.choice(("ATM", "POS")), city, "risky_location")]


def _card_testing(rng: random.Random, population: Population, user: User) -> list[Draft]:
    """A thief tries whether the card works: several tiny online amounts within seconds."""
    return [
        Draft(
            user=user,
            cents=rng.randint(10, 200),
            merchant_id=usual_merchant(rng, population, user),
            channel="Online",
            location=user.city.city,
            scenario="card_testing",
            after=timedelta(seconds=3 * number),
        )
        for number in range(rng.randint(4, 8))
    ]


def _impossible_travel(rng: random.Random, population: Population, user: User) -> list[Draft]:
    """The owner pays at home; minutes later a copy of the card is used thousands of kilometres away."""
    at_home = Draft(
        user=user,
        cents=usual_cents(rng, user),
        merchant_id=usual_merchant(rng, population, user),
        channel="POS",
        location=user.city.city,
        scenario=None,
    )
    far_away = Draft(
        user=user,
        cents=2 * usual_cents(rng, user),
        merchant_id=usual_merchant(rng, population, user),
        channel=rng.choice(("ATM", "POS")),
        location=rng.choice(far_from(user.city)).city,
        scenario="impossible_travel",
        after=timedelta(minutes=rng.randint(5, 15)),
    )
    return [at_home, far_away]


def _account_takeover(rng: random.Random, population: Population, user: User) -> list[Draft]:
    """A thief logs in from another city and spends online, at a merchant new to the user, until somebody notices."""
    city = rng.choice([place for place in CITIES if place != user.city]).city
    merchant = strange_merchant(rng, population, user)
    minutes = 0.0
    drafts = []
    for _ in range(rng.randint(3, 6)):
        cents = round(user.habits.median_cents * rng.uniform(4, 12))
        drafts.append(Draft(user, cents, merchant, "Online", city, "account_takeover", timedelta(minutes=minutes)))
        minutes += rng.uniform(2, 11)
    return drafts


SCENARIOS: Mapping[str, Scenario] = {
    "high_online_amount": Scenario(0.07, 1, 0, True, _high_online_amount),
    "suspicious_merchant": Scenario(0.07, 1, 0, True, _suspicious_merchant),
    "risky_location": Scenario(0.07, 1, 0, True, _risky_location),
    "huge_amount": Scenario(0.07, 1, 0, True, _huge_amount),
    "card_testing": Scenario(0.24, 6, 0, True, _card_testing),
    "impossible_travel": Scenario(0.12, 1, 1, True, _impossible_travel),
    "account_takeover": Scenario(0.12, 4.5, 0, False, _account_takeover),
}
"""The scenarios; the rest of the frauds are those of ``thefts``."""
