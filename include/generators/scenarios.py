"""Frauds with known truth, as named scenarios.

Four are what today's rules look for; where the rules draw their lines is read from the rules themselves, so the two
cannot drift apart. Two, card testing and impossible travel, show only over several transactions of one user, and
today's rules miss them.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import NamedTuple

from include.fraud.rules import Rules
from include.generators.places import far_from
from include.generators.population import Population, User

NO_AGE = timedelta(0)
LEAST_CENTS = 50


class Draft(NamedTuple):
    """A transaction that has no id and no time yet; it happened ``age`` before it is sent.

    ``cents`` are hundredths of the book currency; ``scenario`` is None for a genuine one.
    """

    user: User
    cents: int
    merchant_id: str
    channel: str
    location: str
    scenario: str | None = None
    age: timedelta = NO_AGE


@dataclass(frozen=True)
class Targets:
    """What the rules look for, as far as frauds are aimed at it; limits in hundredths of the book currency."""

    online_limit: int
    huge_limit: int
    cities: tuple[str, ...]
    listed_merchants: tuple[str, ...]
    risky_merchants: tuple[str, ...]

    @classmethod
    def of(cls, rules: Rules, population: Population) -> Targets:
        """The targets that ``rules`` give within ``population``."""
        levels = rules.suspicious_merchant.risk_levels
        return cls(
            online_limit=_cents(rules.high_online_amount.above),
            huge_limit=_cents(rules.huge_amount.above),
            cities=rules.risky_location.names,
            listed_merchants=tuple(sorted(rules.suspicious_merchant.merchants)),
            risky_merchants=tuple(m.merchant_id for m in population.merchants if m.risk_level in levels),
        )

    @property
    def suspicious_merchants(self) -> tuple[str, ...]:
        """Merchants that make a transaction suspicious, those of the population and those only on the list."""
        return self.risky_merchants + self.listed_merchants


@dataclass(frozen=True, slots=True)
class Scenario:
    """A kind of fraud: how often it is chosen, how many frauds and genuine transactions one case has on average."""

    weight: int
    frauds: float
    genuine: float
    drafts: Callable[[random.Random, Population, Targets, User], list[Draft]]


def usual_cents(rng: random.Random, user: User) -> int:
    """An amount as the user usually spends."""
    habits = user.habits
    return max(LEAST_CENTS, round(habits.median_cents * math.exp(rng.gauss(0, habits.sigma))))


def usual_merchant(rng: random.Random, population: Population, user: User) -> str:
    """One of the user's favourites."""
    return population.merchants[rng.choice(user.habits.merchants)].merchant_id


def scenarios(targets: Targets) -> Mapping[str, Scenario]:
    """The scenarios that have something to aim at; with the rules as delivered, all of them."""
    found = dict(_SCENARIOS)
    if not targets.cities:
        del found["risky_location"]
    if not targets.suspicious_merchants:
        del found["suspicious_merchant"]
    return found


def _high_online_amount(rng: random.Random, population: Population, targets: Targets, user: User) -> list[Draft]:
    cents = rng.randint(targets.online_limit + 1, targets.huge_limit)
    merchant = usual_merchant(rng, population, user)
    return [Draft(user, cents, merchant, "Online", user.city.city, "high_online_amount")]


def _huge_amount(rng: random.Random, population: Population, targets: Targets, user: User) -> list[Draft]:
    cents = rng.randint(targets.huge_limit + 1, targets.huge_limit * 5)
    merchant = usual_merchant(rng, population, user)
    return [Draft(user, cents, merchant, rng.choice(("POS", "Online")), user.city.city, "huge_amount")]


def _suspicious_merchant(rng: random.Random, _population: Population, targets: Targets, user: User) -> list[Draft]:
    # Mostly merchants that the reference data describes: those on the list alone are a few, and often unknown.
    of_population = targets.risky_merchants and (not targets.listed_merchants or rng.random() < 0.8)
    merchant = rng.choice(targets.risky_merchants if of_population else targets.listed_merchants)
    channel = rng.choice(("POS", "Online"))
    return [Draft(user, 2 * usual_cents(rng, user), merchant, channel, user.city.city, "suspicious_merchant")]


def _risky_location(rng: random.Random, population: Population, targets: Targets, user: User) -> list[Draft]:
    merchant = usual_merchant(rng, population, user)
    cents = min(3 * usual_cents(rng, user), targets.online_limit)
    return [Draft(user, cents, merchant, rng.choice(("ATM", "POS")), rng.choice(targets.cities), "risky_location")]


def _card_testing(rng: random.Random, population: Population, _targets: Targets, user: User) -> list[Draft]:
    """A thief tries whether the card works: several tiny online amounts within seconds."""
    count = rng.randint(4, 8)
    return [
        Draft(
            user=user,
            cents=rng.randint(10, 200),
            merchant_id=usual_merchant(rng, population, user),
            channel="Online",
            location=user.city.city,
            scenario="card_testing",
            age=timedelta(seconds=3 * (count - number)),
        )
        for number in range(1, count + 1)
    ]


def _impossible_travel(rng: random.Random, population: Population, _targets: Targets, user: User) -> list[Draft]:
    """The owner pays at home; minutes later a copy of the card is used thousands of kilometres away."""
    at_home = Draft(
        user=user,
        cents=usual_cents(rng, user),
        merchant_id=usual_merchant(rng, population, user),
        channel="POS",
        location=user.city.city,
        age=timedelta(minutes=rng.randint(5, 15)),
    )
    far_away = Draft(
        user=user,
        cents=2 * usual_cents(rng, user),
        merchant_id=usual_merchant(rng, population, user),
        channel=rng.choice(("ATM", "POS")),
        location=rng.choice(far_from(user.city)).city,
        scenario="impossible_travel",
    )
    return [at_home, far_away]


_SCENARIOS: Mapping[str, Scenario] = {
    "high_online_amount": Scenario(4, 1, 0, _high_online_amount),
    "suspicious_merchant": Scenario(4, 1, 0, _suspicious_merchant),
    "risky_location": Scenario(4, 1, 0, _risky_location),
    "huge_amount": Scenario(4, 1, 0, _huge_amount),
    # One case is a burst of six on average, so it is chosen more rarely.
    "card_testing": Scenario(1, 6, 0, _card_testing),
    "impossible_travel": Scenario(3, 1, 1, _impossible_travel),
}


def _cents(amount: Decimal) -> int:
    return int(amount * 100)
