"""Frauds that last for days: compromised cards and compromised merchants.

Which card is in whose hands at a moment follows from the seed and the time alone, so a case goes on across calls and
runs, live and in a past that is made afterwards. A thief pays at the pace of the card's owner: while a card is stolen,
``THIEFS_SHARE`` of its payments are the thief's.

The Fraud Detection Handbook calls all payments at a compromised terminal fraudulent for 28 days, as dear as ever. A
bank sees something else: the merchant's terminal copies cards, its own payments are genuine, and within the four weeks
after, the copies are used elsewhere, each for a few days, until the card is blocked. So it is here: up to
``MOST_COPIES`` of the regular customers of one merchant are robbed by one crew, in one city abroad, by payments dearer
than usual.

A compromised card is the handbook's: for two weeks, a third of the card's payments are five times as dear as usual. The
number was stolen, not the card, so they are made online, at merchants that are none of the user's favourites.

Half a year of 5,000 users who pay twice a day, and the handbook's own simulator with as many:

==================================  =====================  ========================
                                    here, of 2 % frauds    handbook, of 0.84 %
==================================  =====================  ========================
compromised card: share of all      0.23 %                 0.26 %
payments a case, times the usual    9, 4.9                 9, 5.1
compromised merchant: share of all  0.23 %                 0.52 %
cards, payments a case              25, 76                 18, 28
times the usual amount              4.0                    1.0
==================================  =====================  ========================
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from include.generators.places import CITIES, Place
from include.generators.population import Population, User
from include.generators.scenarios import Draft, strange_merchant
from include.generators.whereabouts import DAY_MS

CARD_SHARE = MERCHANT_SHARE = 0.12
"""Shares of all frauds."""
THIEFS_SHARE = 1 / 3

CARD_DAYS, CARD_FACTOR = 14, 5
MERCHANT_DAYS, COPY_DAYS, MOST_COPIES = 28, 3, 40
_COPY_FACTORS = 2.0, 6.0


class Theft(NamedTuple):
    """A stolen card; ``crew`` is where copies of it are used, None when but the number was stolen."""

    crew: Place | None


class _Case(NamedTuple):
    """The cards of one case: whose they are (indices), and when each is stolen and given up, in milliseconds."""

    theft: Theft
    users: np.ndarray[Any, Any]
    begins: np.ndarray[Any, Any]
    ends: np.ndarray[Any, Any]


# Its name, how long a case lasts, how many are open at a time, and what makes one that begins at a moment.
_Kind: TypeAlias = tuple[str, int, float, Callable[[random.Random, int], _Case]]


class Thefts:
    """The cards that are stolen at a moment.

    ``users`` are those who pay. ``cards`` is the share of all cards that is compromised by a stolen number at any time,
    ``copies`` the share of the traffic that comes from customers whose cards a crew uses at that time.
    """

    def __init__(self, population: Population, users: Sequence[User], cards: float, copies: float) -> None:
        self._population = population
        self._users = users
        customers: list[list[int]] = [[] for _ in population.merchants]
        for number, user in enumerate(users):
            for merchant in user.habits.merchants:
                customers[merchant].append(number)
        self._customers = {merchant: np.array(who) for merchant, who in enumerate(customers) if who}
        # How much of the traffic comes from the cards that one case copies, on average.
        activity = np.array([user.habits.activity for user in users])
        copied = [activity[who].mean() * min(len(who), MOST_COPIES) for who in self._customers.values()]
        reach = float(np.mean(copied) / activity.sum())
        robbed = copies / reach * MERCHANT_DAYS / COPY_DAYS
        self._kinds: tuple[_Kind, ...] = (
            ("compromised_card", CARD_DAYS * DAY_MS, cards * len(users), self._card),
            ("compromised_merchant", MERCHANT_DAYS * DAY_MS, robbed, self._merchant),
        )
        self._cases: dict[tuple[str, int], _Case] = {}

    def at(self, moment: int) -> Mapping[int, Theft]:
        """The theft of each card that is stolen at a moment in milliseconds since 1970, by the number of its user."""
        known, self._cases = self._cases, {}
        found: dict[int, Theft] = {}
        for name, length, open_at_a_time, make in self._kinds:
            # Cases begin at even distances, so nearly the same number of them is open at any time. The least is none.
            every = max(1, round(length / max(open_at_a_time, 1e-9)))
            for number in range((moment - length) // every + 1, moment // every + 1):
                case = known.get((name, number))
                if case is None:
                    case = make(self._population.random_for(f"{name}/{number}"), number * every)
                self._cases[name, number] = case
                stolen = case.users[(case.begins <= moment) & (moment < case.ends)]
                found.update(dict.fromkeys(stolen.tolist(), case.theft))
        return found

    def draft(self, rng: random.Random, theft: Theft, user: User, cents: int) -> Draft:
        """A thief's payment where the owner would have paid ``cents``."""
        if theft.crew is None:
            merchant = strange_merchant(rng, self._population, user)
            return Draft(user, CARD_FACTOR * cents, merchant, "Online", user.city.city, "compromised_card")
        dearer = round(cents * rng.uniform(*_COPY_FACTORS))
        shops = self._population.shops_in(theft.crew.city)
        merchant = rng.choice(shops) if shops else strange_merchant(rng, self._population, user)
        return Draft(user, dearer, merchant, rng.choice(("ATM", "POS")), theft.crew.city, "compromised_merchant")

    def _card(self, rng: random.Random, begin: int) -> _Case:
        victim = np.array([rng.randrange(len(self._users))])
        return _Case(Theft(None), victim, np.array([begin]), np.array([begin + CARD_DAYS * DAY_MS]))

    def _merchant(self, rng: random.Random, begin: int) -> _Case:
        merchant = rng.choice(list(self._customers))
        home = self._population.merchants[merchant].country
        crew = rng.choice([city for city in CITIES if city not in home.cities])
        customers = self._customers[merchant].tolist()
        copied = rng.sample(customers, min(len(customers), MOST_COPIES))
        victims = np.array([who for who in copied if crew not in self._users[who].country.cities], dtype=int)
        first = np.random.default_rng(rng.getrandbits(64)).integers(
            begin, begin + (MERCHANT_DAYS - COPY_DAYS) * DAY_MS, len(victims)
        )
        return _Case(Theft(crew), victims, first, first + COPY_DAYS * DAY_MS)
