"""The endless stream of transactions of a population, with the truth about each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, TypeAlias

import msgspec
import numpy as np

from include.fraud.rules import Rules
from include.generators.places import COUNTRIES
from include.generators.population import CHANNELS, Merchant, Population, User
from include.generators.records import decode, iso, plain, quoted
from include.generators.scenarios import LEAST_CENTS, NO_AGE, Draft, Scenario, Targets, scenarios

MAX_FRAUD_SHARE = 0.5

# Honest people, too, do what looks like fraud. Shares of a user's days on which they are in another city of their
# country, abroad, in a city of high risk; and of the transactions at a merchant of high risk, or above the online
# limit.
_AWAY, _ABROAD, _IN_RISKY_CITY = 0.05, 0.02, 0.0015
_AT_RISKY_MERCHANT, _DEAR_ONLINE = 0.001, 0.0005

# A genuine transaction's lot is odd from here on.
_DEAR_FROM = 1 - _DEAR_ONLINE
_RISKY_FROM = _DEAR_FROM - _AT_RISKY_MERCHANT

# Random numbers are drawn for so many transactions at once.
_DRAWN_AT_ONCE = 4096

# Formats with a width cost more than the rest of a transaction's text.
_HUNDREDTHS = [f"{number:02d}" for number in range(100)]

KeyAndValue: TypeAlias = tuple[bytes, bytes]

DraftFields: TypeAlias = tuple[User, int, str, str, str, str | None, timedelta]
"""The fields of a ``Draft``. Most are not made one, which would take as long as all of their JSON."""


class Transaction(msgspec.Struct, frozen=True):
    """A transaction and its label as they are sent; ``scenario`` names the fraud, None for a genuine transaction."""

    sent: KeyAndValue
    label_sent: KeyAndValue
    scenario: str | None

    @property
    def record(self) -> dict[str, Any]:
        """The transaction's fields."""
        return decode(self.sent[1])

    @property
    def label(self) -> dict[str, Any]:
        """The label: ``txn_id``, ``scenario`` (null for a genuine one), ``is_fraud`` and ``timestamp``."""
        return decode(self.label_sent[1])


def now() -> datetime:
    """The wall clock, UTC."""
    return datetime.now(UTC)


class TransactionSource:
    """Makes transactions without end; the same arguments and clock give the same ones.

    Ids are ``T<run_id>-<number>``: unique for ever as long as no two runs share a ``run_id``. ``fraud_share`` is the
    share of frauds among all transactions, on average. Only active users pay.

    Raises:
        ValueError: ``fraud_share`` is not within 0 and ``MAX_FRAUD_SHARE``.
    """

    def __init__(
        self,
        population: Population,
        rules: Rules,
        *,
        run_id: str,
        fraud_share: float,
        clock: Callable[[], datetime] = now,
    ) -> None:
        if not 0 <= fraud_share <= MAX_FRAUD_SHARE:
            raise ValueError(f"fraud_share must be within 0 and {MAX_FRAUD_SHARE}, not {fraud_share}")
        self._population = population
        self._targets = Targets.of(rules, population)
        self._run_id = run_id
        self._clock = clock
        self._numbers = 0
        self._rng = population.random_for(f"transactions/{run_id}")
        suspicious = frozenset(self._targets.suspicious_merchants)
        self._users = [user for user in population.users if user.status == "active"]
        self._favourites = [_favourites(population, user, suspicious) for user in self._users]
        self._scenarios = scenarios(self._targets)
        self._case_share = _case_share(self._scenarios, fraud_share)
        self._day = 0
        self._whereabouts: dict[str, str] = {}
        self._shops = _shops_by_city_country(population, suspicious)
        self._drafts = self._drafted()

    def take(self, count: int) -> list[Transaction]:
        """The next ``count`` transactions, all made at this moment."""
        moment = self._clock()
        if self._day != moment.toordinal():
            self._day = moment.toordinal()
            self._whereabouts.clear()
        iso_now, plain_now = iso(moment), plain(moment)
        made = []
        for user, cents, merchant_id, channel, location, scenario, age in islice(self._drafts, count):
            with_zone, without_zone = (iso(moment - age), plain(moment - age)) if age else (iso_now, plain_now)
            # Cash machines are the older systems: their times have no fractions and no zone.
            timestamp = without_zone if channel == "ATM" else with_zone
            txn_id = self.new_id()
            quoted_id = quoted(txn_id)
            record = (
                f'{{"txn_id": {quoted_id}, "user_id": "{user.user_id}",'
                f' "amount": {cents // 100}.{_HUNDREDTHS[cents % 100]}, "merchant_id": {quoted(merchant_id)},'
                f' "channel": "{channel}", "location": {quoted(location)}, "timestamp": "{timestamp}"}}'
            )
            truth = f'"{scenario}", "is_fraud": true' if scenario else 'null, "is_fraud": false'
            label = f'{{"txn_id": {quoted_id}, "scenario": {truth}, "timestamp": "{with_zone}"}}'
            sent, label_sent = (user.user_id.encode(), record.encode()), (txn_id.encode(), label.encode())
            made.append(Transaction(sent, label_sent, scenario))
        return made

    def new_id(self) -> str:
        """An id that no other transaction of this run has."""
        self._numbers += 1
        return f"T{self._run_id}-{str(self._numbers).zfill(8)}"

    def _drafted(self) -> Iterator[DraftFields]:
        """One draft after the other, without end. Each is made when it is asked for: only then the day is known."""
        users, favourites, case_share = self._users, self._favourites, self._case_share
        for who, kind, cents, channel_number, which in self._drawn():
            user = users[who]
            if kind < case_share:
                yield from self._case(user)
                continue
            location = self._whereabouts.get(user.user_id) or self._locate(user)
            channel = CHANNELS[channel_number]
            if kind >= _DEAR_FROM:
                channel, cents = "Online", self._dear_cents()
            # Away from home it is a shop of that country; never one that the rules suspect, if there is any other.
            away = channel != "Online" and location != user.city.city
            shops = (self._shops.get(location) if away else None) or favourites[who]
            if _RISKY_FROM <= kind < _DEAR_FROM:
                shops = self._targets.risky_merchants or shops
            yield user, cents, shops[int(which * len(shops))], channel, location, None, NO_AGE

    def _drawn(self) -> Iterator[tuple[int, float, int, int, float]]:
        """For one transaction after the other: its user, its kind, usual cents, usual channel, and which merchant.

        User and channel are indices; kind and merchant are lots from 0 to 1. One by one, drawing costs as much as all
        the rest.
        """
        habits = [user.habits for user in self._users]
        activity = np.cumsum([one.activity for one in habits])
        medians, sigmas = np.array([one.median_cents for one in habits]), np.array([one.sigma for one in habits])
        channels = np.cumsum([one.channels for one in habits], axis=1)
        rng = np.random.default_rng(self._rng.getrandbits(64))
        while True:
            lots = rng.random((4, _DRAWN_AT_ONCE))
            who = np.searchsorted(activity, lots[0] * activity[-1], side="right")
            cents = medians[who] * np.exp(sigmas[who] * rng.standard_normal(_DRAWN_AT_ONCE))
            channel = (channels[who] <= (lots[1] * channels[who, -1])[:, None]).sum(axis=1)
            columns = who, lots[2], np.maximum(LEAST_CENTS, np.rint(cents)).astype(int), channel, lots[3]
            yield from zip(*(column.tolist() for column in columns), strict=True)

    def _case(self, user: User) -> list[Draft]:
        (scenario,) = self._rng.choices(list(self._scenarios.values()), [s.weight for s in self._scenarios.values()])
        return scenario.drafts(self._rng, self._population, self._targets, user)

    def _dear_cents(self) -> int:
        targets = self._targets
        return self._rng.randint(targets.online_limit + 1, min(2 * targets.online_limit, targets.huge_limit))

    def _locate(self, user: User) -> str:
        """Where the user is today (UTC): the same place all day, also after a restart."""
        place = self._whereabouts[user.user_id] = self._whereabouts_today(user)
        return place

    def _whereabouts_today(self, user: User) -> str:
        rng = self._population.random_for(f"day/{self._day}/{user.user_id}")
        chance = rng.random()
        if chance < _IN_RISKY_CITY and self._targets.cities:
            return rng.choice(self._targets.cities)
        if chance < _ABROAD:
            return rng.choice(rng.choice(COUNTRIES).cities).city
        if chance < _ABROAD + _AWAY:
            return rng.choice(user.country.cities).city
        return user.city.city


def _favourites(population: Population, user: User, avoided: frozenset[str]) -> Sequence[str]:
    """The user's favourite merchants without those to avoid, unless these are all."""
    favourites = [population.merchants[index].merchant_id for index in user.habits.merchants]
    return [merchant_id for merchant_id in favourites if merchant_id not in avoided] or favourites


def _case_share(found: Mapping[str, Scenario], fraud_share: float) -> float:
    """How often a draft must be a case of fraud, so that this share of the *transactions* is fraud on average."""
    weights = sum(scenario.weight for scenario in found.values())
    frauds = sum(s.weight * s.frauds for s in found.values()) / weights
    genuine = sum(s.weight * s.genuine for s in found.values()) / weights
    return fraud_share / (frauds - fraud_share * (frauds + genuine - 1))


def _shops_by_city_country(population: Population, avoided: frozenset[str]) -> dict[str, tuple[str, ...]]:
    """For each city of the catalogue, the merchants of its country that a traveller finds there."""

    def shops(merchants: list[Merchant]) -> tuple[str, ...]:
        return tuple(merchant.merchant_id for merchant in merchants if merchant.merchant_id not in avoided)

    return {
        place.city: shops([m for m in population.merchants if m.country.code == country.code])
        for country in COUNTRIES
        for place in country.cities
    }
