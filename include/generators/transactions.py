"""The endless stream of transactions of a population, with the truth about each."""

from __future__ import annotations

from bisect import bisect
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate

from include.fraud.rules import Rules
from include.generators.places import COUNTRIES
from include.generators.population import CHANNELS, Merchant, Population, User
from include.generators.records import JsonValue, iso, money, plain
from include.generators.scenarios import Draft, Scenario, Targets, scenarios, usual_cents, usual_merchant

MAX_FRAUD_SHARE = 0.5

# Honest people, too, do what looks like fraud. Shares of a user's days on which they are in another city of their
# country, abroad, in a city of high risk; and of the transactions at a merchant of high risk, or above the online
# limit.
_AWAY, _ABROAD, _IN_RISKY_CITY = 0.05, 0.02, 0.0015
_AT_RISKY_MERCHANT, _DEAR_ONLINE = 0.001, 0.0005


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction's record and its label.

    The label has ``txn_id``, ``scenario`` (null for a genuine one), ``is_fraud`` and ``timestamp``.
    """

    record: dict[str, JsonValue]
    label: dict[str, JsonValue]

    @property
    def scenario(self) -> str | None:
        """Name of the fraud; None for a genuine transaction."""
        scenario = self.label["scenario"]
        return None if scenario is None else str(scenario)


def now() -> datetime:
    """The wall clock, UTC."""
    return datetime.now(UTC)


class TransactionSource:
    """Makes transactions one by one, without end; the same arguments and clock give the same ones.

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
        self._users = [user for user in population.users if user.status == "active"]
        self._activity = list(accumulate(user.habits.activity for user in self._users))
        self._scenarios = scenarios(self._targets)
        self._case_share = _case_share(self._scenarios, fraud_share)
        self._whereabouts: dict[str, tuple[int, str]] = {}
        self._shops = _shops_by_city_country(population, frozenset(self._targets.suspicious_merchants))
        self._suspicious = frozenset(self._targets.suspicious_merchants)

    def __iter__(self) -> Iterator[Transaction]:
        queue: deque[Draft] = deque()
        while True:
            if not queue:
                queue.extend(self._drafts())
            yield self._finish(queue.popleft())

    def new_id(self) -> str:
        """An id that no other transaction of this run has."""
        self._numbers += 1
        return f"T{self._run_id}-{self._numbers:08d}"

    def _drafts(self) -> list[Draft]:
        rng = self._rng
        user = self._users[bisect(self._activity, rng.random() * self._activity[-1])]
        if rng.random() >= self._case_share:
            return [self._genuine(user)]
        (scenario,) = rng.choices(list(self._scenarios.values()), [s.weight for s in self._scenarios.values()])
        return scenario.drafts(rng, self._population, self._targets, user)

    def _genuine(self, user: User) -> Draft:
        rng, targets = self._rng, self._targets
        location = self._location(user)
        if rng.random() < _DEAR_ONLINE:
            cents = rng.randint(targets.online_limit + 1, min(2 * targets.online_limit, targets.huge_limit))
            return Draft(user, cents, self._merchant(user, "Online", location), "Online", location)
        (channel,) = rng.choices(CHANNELS, user.habits.channels)
        if targets.risky_merchants and rng.random() < _AT_RISKY_MERCHANT:
            return Draft(user, usual_cents(rng, user), rng.choice(targets.risky_merchants), channel, location)
        return Draft(user, usual_cents(rng, user), self._merchant(user, channel, location), channel, location)

    def _merchant(self, user: User, channel: str, location: str) -> str:
        """A favourite, or away from home a shop of that country; never one that the rules suspect, if there is any."""
        away = channel != "Online" and location != user.city.city
        shops = self._shops.get(location, ()) if away else ()
        if shops:
            return self._rng.choice(shops)
        for _ in user.habits.merchants:
            favourite = usual_merchant(self._rng, self._population, user)
            if favourite not in self._suspicious:
                break
        return favourite

    def _location(self, user: User) -> str:
        """Where the user is today (UTC): the same place all day, also after a restart."""
        day = self._clock().toordinal()
        known = self._whereabouts.get(user.user_id)
        if known is None or known[0] != day:
            known = day, self._whereabouts_on(user, day)
            self._whereabouts[user.user_id] = known
        return known[1]

    def _whereabouts_on(self, user: User, day: int) -> str:
        rng = self._population.random_for(f"day/{day}/{user.user_id}")
        chance = rng.random()
        if chance < _IN_RISKY_CITY and self._targets.cities:
            return rng.choice(self._targets.cities)
        if chance < _ABROAD:
            return rng.choice(rng.choice(COUNTRIES).cities).city
        if chance < _ABROAD + _AWAY:
            return rng.choice(user.country.cities).city
        return user.city.city

    def _finish(self, draft: Draft) -> Transaction:
        moment = self._clock() - draft.age
        # Cash machines are the older systems: their times have no fractions and no zone.
        timestamp = plain(moment) if draft.channel == "ATM" else iso(moment)
        txn_id = self.new_id()
        return Transaction(
            record={
                "txn_id": txn_id,
                "user_id": draft.user.user_id,
                "amount": money(draft.cents),
                "merchant_id": draft.merchant_id,
                "channel": draft.channel,
                "location": draft.location,
                "timestamp": timestamp,
            },
            label={
                "txn_id": txn_id,
                "scenario": draft.scenario,
                "is_fraud": draft.scenario is not None,
                "timestamp": iso(moment),
            },
        )


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
