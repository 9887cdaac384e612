"""The stream of transactions: honest traffic within habits, frauds with their labels, and when each is due."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.domains import TRANSACTIONS
from include.generators.pace import MAX_BACKLOG_SECONDS, MAX_TURN, turns
from include.generators.places import CITIES, RISKY_CITIES, distance_km
from include.generators.population import Population
from include.generators.records import encode
from include.generators.scenarios import UNDESCRIBED_MERCHANTS
from include.generators.transactions import Transaction, TransactionSource
from include.lake.records import BronzeRecord
from include.quality.classify import Valid, classify
from tests.support.four_rules import fired as fired_of

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
CAUGHT = {"high_online_amount", "suspicious_merchant", "risky_location", "huge_amount"}
MISSED = {"card_testing", "impossible_travel", "account_takeover", "compromised_card", "compromised_merchant"}
PLACES = {place.city: place for place in (*CITIES, *RISKY_CITIES)}


class Clock:
    """A clock that goes on a fixed step each time it is read."""

    def __init__(self, step: timedelta) -> None:
        self.now, self.step = NOON, step

    def __call__(self) -> datetime:
        self.now += self.step
        return self.now


def source(
    population: Population, fraud_share: float = 0.02, run_id: str = "run", step: float = 0.1
) -> TransactionSource:
    clock = Clock(timedelta(seconds=step))
    return TransactionSource(population, run_id=run_id, fraud_share=fraud_share, clock=clock)


def stream(transactions: TransactionSource) -> Iterator[Transaction]:
    """One after the other, each at a moment of its own."""
    while True:
        yield from transactions.take(1)


def take(count: int, fraud_share: float = 0.02, run_id: str = "run", step: float = 0.1) -> list[Transaction]:
    return list(islice(stream(source(Population(5, 300, 100), fraud_share, run_id, step)), count))


def fired(population: Population, transaction: Transaction) -> set[str]:
    record = transaction.record
    number = int(str(record["merchant_id"])[1:])
    risk = population.merchants[number - 1].risk_level if number <= population.merchant_count else None
    return set(fired_of(record, risk))


@given(st.integers(0, 2**31), st.integers(1, 40), st.integers(10, 40), st.floats(0, 0.5))
@settings(max_examples=30, deadline=None)
def test_each_transaction_fits_the_population_and_its_contract(
    seed: int, users: int, merchants: int, fraud_share: float
) -> None:
    population = Population(seed, users, merchants)
    active = {user.user_id for user in population.users if user.status == "active"}
    known = {merchant.merchant_id for merchant in population.merchants} | set(UNDESCRIBED_MERCHANTS)
    for transaction in islice(stream(source(population, fraud_share)), 60):
        record = transaction.record
        assert transaction.sent == (record["user_id"].encode(), encode(record))
        label = transaction.label
        assert transaction.label_sent == (label["txn_id"].encode(), encode(label))
        assert label["txn_id"] == record["txn_id"]
        assert label["scenario"] == transaction.scenario
        assert label["is_fraud"] is (transaction.scenario is not None)
        assert record["user_id"] in active
        assert record["merchant_id"] in known
        assert record["location"] in PLACES
        assert isinstance(record["amount"], Decimal)
        stamp = int((NOON + timedelta(hours=1)).timestamp() * 1000)
        assert isinstance(classify(TRANSACTIONS, BronzeRecord("t", 0, 0, stamp, stamp, encode(record))), Valid)


def test_the_share_of_frauds_is_the_one_asked_for() -> None:
    for share in (0.0, 0.02, 0.3):
        frauds = sum(transaction.scenario is not None for transaction in take(20_000, share))
        # Half an hour sees few cards that are stolen for days: that a month is closer, test_generators_cases tells.
        assert frauds / 20_000 == pytest.approx(share, rel=0.3)


def test_todays_rules_catch_most_of_four_scenarios_and_miss_those_that_need_memory() -> None:
    population = Population(5, 300, 100)
    caught: dict[str, Counter[bool]] = defaultdict(Counter)
    for transaction in take(20_000, 0.3):
        if transaction.scenario in CAUGHT:
            caught[transaction.scenario][transaction.scenario in fired(population, transaction)] += 1
        elif transaction.scenario:
            caught[transaction.scenario][bool(fired(population, transaction))] += 1
    assert set(caught) == CAUGHT | MISSED
    # A thief does not know the rules: some of the four stay below them.
    assert all(0.8 < caught[scenario][True] / caught[scenario].total() < 1 for scenario in CAUGHT)
    assert all(caught[scenario][True] == 0 for scenario in MISSED)


def test_honest_people_look_like_frauds_rarely_but_do() -> None:
    population = Population(5, 2_000, 100)
    days = stream(source(population, fraud_share=0, step=60))
    alarms = Counter(rule for transaction in islice(days, 40_000) for rule in fired(population, transaction))
    assert 0.001 < alarms.total() / 40_000 < 0.006
    assert set(alarms) >= {"high_online_amount", "suspicious_merchant", "risky_location"}


def test_amounts_and_places_are_those_of_the_users_habits() -> None:
    population = Population(5, 300, 100)
    users = {user.user_id: user for user in population.users}
    at_home, near_median, count = 0, 0, 0
    for transaction in islice(stream(source(population, fraud_share=0, step=60)), 20_000):
        user = users[str(transaction.record["user_id"])]
        at_home += transaction.record["location"] == user.city.city
        near_median += transaction.record["amount"] < Decimal(user.habits.median_cents).scaleb(-2) * 10
        count += 1
    assert at_home / count > 0.9
    assert near_median / count > 0.98


def test_card_testing_is_a_burst_of_tiny_online_amounts_of_one_user() -> None:
    bursts = defaultdict(list)
    for transaction in take(20_000, 0.3):
        if transaction.scenario == "card_testing":
            assert transaction.record["channel"] == "Online"
            assert transaction.record["amount"] <= 2
            bursts[transaction.record["user_id"]].append(transaction)
    assert bursts
    assert all(len(burst) >= 4 for burst in bursts.values())


def test_impossible_travel_is_far_from_a_payment_at_home_minutes_before() -> None:
    at_home: dict[str, list[tuple[datetime, str]]] = defaultdict(list)
    cases = 0
    for transaction in take(20_000, 0.3):
        record, moment = transaction.record, datetime.fromisoformat(transaction.label["timestamp"])
        if transaction.scenario is None:
            at_home[record["user_id"]].append((moment, record["location"]))
        elif transaction.scenario == "impossible_travel":
            cases += 1
            there = PLACES[record["location"]]
            assert any(
                timedelta(minutes=4) < moment - before < timedelta(minutes=16)
                and distance_km(PLACES[here], there) >= 3000
                for before, here in at_home[record["user_id"]]
            )
    assert cases > 100


def test_a_run_can_be_repeated_and_another_run_has_other_ids() -> None:
    assert take(500) == take(500)
    ids = [transaction.record["txn_id"] for run in ("run", "other") for transaction in take(500, run_id=run)]
    assert len(set(ids)) == 1000


def test_a_run_id_of_any_letters_is_still_json() -> None:
    wild = 'a"b\\é\n'
    (made,) = source(Population(5, 300, 100), run_id=wild).take(1)
    assert made.record["txn_id"] == made.label["txn_id"] == made.label_sent[0].decode() == f"T{wild}-00000001"


def test_how_many_are_taken_at_once_changes_nothing_else() -> None:
    population = Population(5, 300, 100)
    bit_by_bit = source(population, 0.3, step=0)
    at_once = source(population, 0.3, step=0).take(500)
    assert at_once == [made for count in (1, 3, 96, 400) for made in bit_by_bit.take(count)]


def test_a_user_stays_at_a_place_for_the_day_also_after_a_restart() -> None:
    places = defaultdict(set)
    for run in ("run", "other"):
        for transaction in take(3_000, 0, run_id=run, step=0.01):
            places[transaction.record["user_id"]].add(transaction.record["location"])
    assert all(len(cities) == 1 for cities in places.values())


def test_a_share_beyond_reason_is_refused() -> None:
    for share in (-0.1, 0.6):
        with pytest.raises(ValueError, match="fraud_share"):
            source(Population(1, 1, 10), share)


class Time:
    """A clock that moves only while somebody waits, or is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def clock(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds


def test_records_are_due_by_plan_so_the_rate_does_not_drift() -> None:
    time = Time()
    seen: list[float] = []
    for count in turns(7, 60, stop=lambda: False, wait=time.wait, clock=time.clock):
        seen += [time.now] * count
        time.now += 0.05 + 0.001 * (len(seen) % 3)  # each record costs something
    assert len(seen) == 420
    assert seen[-1] - seen[0] == pytest.approx(419 / 7, abs=0.06)


@pytest.mark.parametrize("rate", [700, 10_000, 49_999.9])
def test_records_that_are_due_together_come_together_and_none_comes_early(rate: float) -> None:
    time = Time()
    total = 0
    for count in turns(rate, 3, stop=lambda: False, wait=time.wait, clock=time.clock):
        assert 1 <= count <= MAX_TURN
        total += count
        assert (total - 1) / rate <= time.now - 100 + 1e-9
        assert total / rate > time.now - 100 - 0.005  # and none waits for more than the turn before took
        time.now += 0.005
    assert total == math.ceil(3 * rate)


def test_a_short_delay_is_made_up_for_and_a_long_one_is_left_out() -> None:
    time = Time()
    seen: list[float] = []
    delays = [(100, 1.5), (300, 30.0)]
    for count in turns(10, 100, stop=lambda: False, wait=time.wait, clock=time.clock):
        seen += [time.now] * count
        if delays and len(seen) > delays[0][0]:
            time.now += delays.pop(0)[1]
    assert len(seen) == pytest.approx(1000 - (30 - MAX_BACKLOG_SECONDS) * 10, abs=2)
    assert seen[-1] < 200


def test_it_stops_when_told_and_never_waits_long_for_it() -> None:
    time = Time()
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        time.wait(seconds)

    assert list(turns(0.01, None, stop=lambda: time.now >= 105, wait=wait, clock=time.clock)) == [1]
    assert time.now < 105.2
    assert max(waits) <= 0.1


def test_without_a_rate_it_never_waits_and_ends_in_time() -> None:
    time = Time()
    total = 0
    for count in turns(None, 5, stop=lambda: False, wait=lambda _: pytest.fail("waited"), clock=time.clock):
        total += count
        time.now += 0.01 * count
    assert total == pytest.approx(500, abs=MAX_TURN)


@pytest.mark.parametrize(("rate", "duration"), [(0, None), (-1, None), (1, 0), (None, -5)])
def test_a_rate_or_duration_of_nothing_is_refused(rate: float | None, duration: float | None) -> None:
    with pytest.raises(ValueError, match="must be above zero"):
        next(turns(rate, duration, stop=lambda: False, wait=lambda _: None))
