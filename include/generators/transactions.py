"""The endless stream of transactions of a population, with the truth about each."""

from __future__ import annotations

from bisect import bisect
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import accumulate
from typing import Any, NamedTuple

from include.domains import TRANSACTIONS
from include.fraud.rules import Rules
from include.generators.places import COUNTRIES
from include.generators.population import CHANNELS, Merchant, Population, User
from include.generators.records import Message, decode, iso, plain, quoted
from include.generators.scenarios import Draft, Scenario, Targets, scenarios, usual_cents
from include.kafka.topics import LABELS_TOPIC

MAX_FRAUD_SHARE = 0.5

# Honest people, too, do what looks like fraud. Shares of a user's days on which they are in another city of their
# country, abroad, in a city of high risk; and of the transactions at a merchant of high risk, or above the online
# limit.
_AWAY, _ABROAD, _IN_RISKY_CITY = 0.05, 0.02, 0.0015
_AT_RISKY_MERCHANT, _DEAR_ONLINE = 0.001, 0.0005


class Transaction(NamedTuple):
    """A transaction and its label as they are sent; ``scenario`` names the fraud, None for a genuine transaction."""

    message: Message
    label_message: Message
    scenario: str | None

    @property
    def record(self) -> dict[str, Any]:
        """The transaction's fields."""
        return decode(self.message.value)

    @property
    def label(self) -> dict[str, Any]:
        """The label: ``txn_id``, ``scenario`` (null for a genuine one), ``is_fraud`` and ``timestamp``."""
        return decode(self.label_message.value)


class _Payer(NamedTuple):
    """An active user, and what would cost too much to work out anew for each of their transactions."""

    user: User
    channels: tuple[int, ...]  # the weights of CHANNELS, summed up
    favourites: Sequence[str]


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
        self._payers = [_payer(population, user, suspicious) for user in population.users if user.status == "active"]
        self._activity = list(accumulate(payer.user.habits.activity for payer in self._payers))
        self._scenarios = scenarios(self._targets)
        self._case_share = _case_share(self._scenarios, fraud_share)
        self._day = 0
        self._whereabouts: dict[str, str] = {}
        self._shops = _shops_by_city_country(population, suspicious)
        self._drafts: deque[Draft] = deque()

    def take(self, count: int) -> list[Transaction]:
        """The next ``count`` transactions, all made at this moment."""
        moment = self._clock()
        if self._day != moment.toordinal():
            self._day = moment.toordinal()
            self._whereabouts.clear()
        while len(self._drafts) < count:
            self._drafts.extend(self._next_drafts())
        times = iso(moment), plain(moment)
        return [self._finish(self._drafts.popleft(), moment, *times) for _ in range(count)]

    def new_id(self) -> str:
        """An id that no other transaction of this run has."""
        self._numbers += 1
        return f"T{self._run_id}-{self._numbers:08d}"

    def _next_drafts(self) -> Sequence[Draft]:
        rng = self._rng
        payer = self._payers[bisect(self._activity, rng.random() * self._activity[-1])]
        if rng.random() >= self._case_share:
            return (self._genuine(payer),)
        (scenario,) = rng.choices(list(self._scenarios.values()), [s.weight for s in self._scenarios.values()])
        return scenario.drafts(rng, self._population, self._targets, payer.user)

    def _genuine(self, payer: _Payer) -> Draft:
        rng, targets, user = self._rng, self._targets, payer.user
        location = self._location(user)
        chance = rng.random()
        if chance < _DEAR_ONLINE:
            cents = rng.randint(targets.online_limit + 1, min(2 * targets.online_limit, targets.huge_limit))
            return Draft(user, cents, self._merchant(payer, "Online", location), "Online", location)
        channel = CHANNELS[bisect(payer.channels, rng.random() * payer.channels[-1])]
        if chance < _DEAR_ONLINE + _AT_RISKY_MERCHANT and targets.risky_merchants:
            merchant = rng.choice(targets.risky_merchants)
        else:
            merchant = self._merchant(payer, channel, location)
        return Draft(user, usual_cents(rng, user), merchant, channel, location)

    def _merchant(self, payer: _Payer, channel: str, location: str) -> str:
        """A favourite, or away from home a shop of that country."""
        away = channel != "Online" and location != payer.user.city.city
        shops = (self._shops.get(location) if away else None) or payer.favourites
        return shops[int(self._rng.random() * len(shops))]

    def _location(self, user: User) -> str:
        """Where the user is today (UTC): the same place all day, also after a restart."""
        place = self._whereabouts.get(user.user_id)
        if place is None:
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

    def _finish(self, draft: Draft, moment: datetime, with_zone: str, without_zone: str) -> Transaction:
        """The transaction of a draft; the two times are those of ``moment``, for a draft without age."""
        user, cents, merchant_id, channel, location, scenario, age = draft
        if age:
            with_zone, without_zone = iso(moment - age), plain(moment - age)
        # Cash machines are the older systems: their times have no fractions and no zone.
        timestamp = without_zone if channel == "ATM" else with_zone
        txn_id = self.new_id()
        quoted_id = quoted(txn_id)
        record = (
            f'{{"txn_id": {quoted_id}, "user_id": {quoted(user.user_id)}, "amount": {cents // 100}.{cents % 100:02d},'
            f' "merchant_id": {quoted(merchant_id)}, "channel": {quoted(channel)}, "location": {quoted(location)},'
            f' "timestamp": "{timestamp}"}}'
        )
        truth = f'{quoted(scenario)}, "is_fraud": true' if scenario else 'null, "is_fraud": false'
        label = f'{{"txn_id": {quoted_id}, "scenario": {truth}, "timestamp": "{with_zone}"}}'
        return Transaction(
            Message(TRANSACTIONS.topic, user.user_id.encode(), record.encode()),
            Message(LABELS_TOPIC, txn_id.encode(), label.encode()),
            scenario,
        )


def _payer(population: Population, user: User, suspicious: frozenset[str]) -> _Payer:
    favourites = [population.merchants[index].merchant_id for index in user.habits.merchants]
    trusted = [merchant_id for merchant_id in favourites if merchant_id not in suspicious]
    return _Payer(user, tuple(accumulate(user.habits.channels)), trusted or favourites)


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
