"""The population: users, their accounts, the merchants, and what is usual for whom.

Everything follows from a seed and two counts, without Kafka or a file, so the transactions of one process fit the
reference data that another one produced. A user does not depend on how many users there are.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from include.generators.places import COUNTRIES, Country, Place

DEFAULT_SEED = 42
DEFAULT_USERS = 500
DEFAULT_MERCHANTS = 100
MIN_MERCHANTS = 10

CATEGORIES = ("E-commerce", "Restaurant", "Fuel", "Travel", "Retail")
CHANNELS = ("ATM", "POS", "Online")
# One merchant in twenty is of high risk, at fixed places, so that even the smallest population has one.
_HIGH_RISK_EVERY, _HIGH_RISK_AT = 20, 7


@dataclass(frozen=True, slots=True)
class Merchant:
    """A merchant; ``risk_level`` is Low, Medium or High."""

    merchant_id: str
    country: Country
    city: Place
    category: str
    risk_level: str


@dataclass(frozen=True, slots=True)
class Account:
    """A user's account; the balance in hundredths of ``currency``."""

    account_id: str
    user_id: str
    currency: str
    balance_cents: int


@dataclass(frozen=True, slots=True)
class Habits:
    """What is usual for a user.

    Amounts are log-normal with a median of ``median_cents`` hundredths and the deviation ``sigma`` of their logarithm.
    ``channels`` are the weights of ``CHANNELS``. ``merchants`` are the favourites (indices), never of high risk.
    ``activity`` is the user's relative share of the traffic.
    """

    median_cents: int
    sigma: float
    channels: tuple[int, int, int]
    merchants: tuple[int, ...]
    activity: float


@dataclass(frozen=True, slots=True)
class User:
    """A customer of the bank."""

    user_id: str
    country: Country
    city: Place
    account_type: str
    credit_score: int
    status: str
    habits: Habits
    accounts: tuple[Account, ...]


@dataclass(frozen=True)
class Population:
    """All users and merchants of a seed; at least ``MIN_MERCHANTS`` merchants and one user.

    Raises:
        ValueError: a count is too small.
    """

    seed: int
    user_count: int
    merchant_count: int

    def __post_init__(self) -> None:
        if self.user_count < 1 or self.merchant_count < MIN_MERCHANTS:
            raise ValueError(
                f"a population needs at least 1 user and {MIN_MERCHANTS} merchants,"
                f" not {self.user_count} and {self.merchant_count}"
            )

    @cached_property
    def merchants(self) -> Sequence[Merchant]:
        """The merchants, M0001 first."""
        return [self._merchant(number) for number in range(1, self.merchant_count + 1)]

    @cached_property
    def users(self) -> Sequence[User]:
        """The users, U0001 first; account numbers count through them in this order."""
        users: list[User] = []
        next_account = 1
        for number in range(1, self.user_count + 1):
            users.append(self._user(number, next_account))
            next_account += len(users[-1].accounts)
        return users

    @property
    def accounts(self) -> list[Account]:
        """The accounts, A0001 first."""
        return [account for user in self.users for account in user.accounts]

    @cached_property
    def risky_merchants(self) -> Sequence[str]:
        """The ids of the merchants of high risk."""
        return [merchant.merchant_id for merchant in self.merchants if merchant.risk_level == "High"]

    @property
    def trusted_merchants(self) -> Sequence[int]:
        """The indices of the merchants that are not of high risk."""
        return self._trusted_merchants[""]

    @cached_property
    def _shops(self) -> dict[str, list[str]]:
        return {
            city.city: [self.merchants[index].merchant_id for index in self._trusted_merchants.get(country.code, ())]
            for country in COUNTRIES
            for city in country.cities
        }

    @cached_property
    def _trusted_merchants(self) -> dict[str, list[int]]:
        """Indices of the merchants that are not of high risk, by country, and of all of them under the empty key."""
        found: dict[str, list[int]] = {"": []}
        for index, merchant in enumerate(self.merchants):
            if merchant.risk_level != "High":
                found.setdefault(merchant.country.code, []).append(index)
                found[""].append(index)
        return found

    def shops_in(self, city: str) -> Sequence[str]:
        """The ids of the merchants that a traveller finds in a city: those of its country that are not of high risk."""
        return self._shops.get(city, ())

    def random_for(self, purpose: str) -> random.Random:
        """A generator of random numbers that depends on the seed and ``purpose`` alone."""
        return random.Random(f"{self.seed}/{purpose}")  # noqa: S311 - reproducible on purpose; nothing secret

    def _merchant(self, number: int) -> Merchant:
        merchant_id = f"M{number:04d}"
        rng = self.random_for(merchant_id)
        country = _country(rng)
        high = number % _HIGH_RISK_EVERY == _HIGH_RISK_AT
        return Merchant(
            merchant_id=merchant_id,
            country=country,
            city=rng.choice(country.cities),
            category=rng.choice(CATEGORIES),
            risk_level="High" if high else rng.choices(("Low", "Medium"), (4, 1))[0],
        )

    def _user(self, number: int, first_account: int) -> User:
        user_id = f"U{number:04d}"
        rng = self.random_for(user_id)
        country = _country(rng)
        credit_score = min(850, max(300, round(rng.gauss(680, 90))))
        habits = self._habits(rng, country, credit_score)
        # The first user is always active, so that there is traffic whatever the seed.
        status = "active" if number == 1 else rng.choices(("active", "suspended", "closed"), (94, 4, 2))[0]
        return User(
            user_id=user_id,
            country=country,
            city=rng.choice(country.cities),
            account_type=rng.choice(("Savings", "Current")),
            credit_score=credit_score,
            status=status,
            habits=habits,
            accounts=_accounts(rng, user_id, first_account, country.currency, habits.median_cents),
        )

    def _habits(self, rng: random.Random, country: Country, credit_score: int) -> Habits:
        trusted = self._trusted_merchants
        near = trusted.get(country.code, [])
        favourites = rng.sample(near, min(len(near), 6)) + rng.sample(trusted[""], min(len(trusted[""]), 4))
        wealth = 1 + (credit_score - 300) / 275
        return Habits(
            median_cents=round(rng.lognormvariate(7.3, 0.5) * wealth),
            sigma=rng.uniform(0.5, 0.9),
            channels=(rng.randint(1, 3), rng.randint(4, 12), rng.randint(2, 12)),
            merchants=tuple(dict.fromkeys(favourites)),
            activity=rng.lognormvariate(0, 0.6),
        )


def _country(rng: random.Random) -> Country:
    return rng.choices(COUNTRIES, [country.weight for country in COUNTRIES])[0]


def _accounts(rng: random.Random, user_id: str, first: int, currency: str, median_cents: int) -> tuple[Account, ...]:
    currencies = [currency]
    if rng.random() < 0.3:
        currencies.append("USD" if currency == "EUR" else "EUR")
    accounts = []
    for number, account_currency in enumerate(currencies, start=first):
        overdrawn = rng.random() < 0.04
        cents = round(median_cents * rng.lognormvariate(3, 1))
        account_id = f"A{number:04d}"
        accounts.append(Account(account_id, user_id, account_currency, -cents // 20 if overdrawn else cents))
    return tuple(accounts)
