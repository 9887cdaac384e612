"""A simulated month: the frauds that need memory, and the honest people who look like them."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from math import exp
from statistics import mean, median
from typing import NamedTuple

import pytest

from include.evaluate import Label, parse_label
from include.generators.places import CITIES, RISKY_CITIES, distance_km
from include.generators.population import Population, User
from include.generators.transactions import Transaction, TransactionSource

BEGIN = datetime(2026, 9, 1, tzinfo=UTC)
DAYS = 30
PLACES = {place.city: place for place in (*CITIES, *RISKY_CITIES)}
POPULATION = Population(11, 1_000, 100)
USERS = {user.user_id: user for user in POPULATION.users}


class Payment(NamedTuple):
    user: User
    when: datetime
    amount: float
    merchant: str
    channel: str
    location: str
    scenario: str | None
    case: str | None


def payment(transaction: Transaction) -> Payment:
    record, label = transaction.record, transaction.label
    return Payment(
        USERS[record["user_id"]],
        datetime.fromisoformat(label["timestamp"]),
        float(record["amount"]),
        record["merchant_id"],
        record["channel"],
        record["location"],
        label["scenario"],
        label.get("case"),
    )


@cache
def month(users: int = 1_000) -> list[Payment]:
    """A month in the order of time; a bank of 1,000 is paid with four times a day by each on average."""
    source = TransactionSource(Population(11, users, 100), run_id="month", fraud_share=0.02)
    turns = source.past(BEGIN, BEGIN + timedelta(days=DAYS), 0.05)
    return [payment(transaction) for turn in turns for transaction in turn]


def frauds(scenario: str) -> dict[str, list[Payment]]:
    """The month's frauds of a scenario, by user."""
    found = defaultdict(list)
    for one in month():
        if one.scenario == scenario:
            found[one.user.user_id].append(one)
    assert found
    return found


def favourites(user: User) -> set[str]:
    return {POPULATION.merchants[index].merchant_id for index in user.habits.merchants}


def ratios(found: dict[str, list[Payment]]) -> list[float]:
    """How dear each payment is, relative to what its user pays on average."""
    return [
        one.amount * 100 / (one.user.habits.median_cents * exp(one.user.habits.sigma**2 / 2))
        for paid in found.values()
        for one in paid
    ]


def test_the_share_of_frauds_is_the_one_asked_for_also_over_a_month() -> None:
    for share in (0.0, 0.02, 0.2):
        source = TransactionSource(POPULATION, run_id="month", fraud_share=share)
        turns = source.past(BEGIN, BEGIN + timedelta(days=DAYS), 0.05)
        made = [transaction.scenario for turn in turns for transaction in turn]
        assert 1 - made.count(None) / len(made) == pytest.approx(share, rel=0.15)


def test_a_compromised_card_pays_a_third_of_two_weeks_at_five_times_the_usual() -> None:
    frauds_of, payments_of = 0, 0
    for cases in frauds("compromised_card").values():
        user = cases[0].user
        assert all(one.channel == "Online" and one.location == user.city.city for one in cases)
        assert all(one.merchant not in favourites(user) for one in cases)
        assert cases[-1].when - cases[0].when <= timedelta(days=14)
        first, last = cases[0].when, cases[-1].when
        if last - first > timedelta(days=7):
            frauds_of += len(cases)
            payments_of += sum(one.user.user_id == user.user_id and first <= one.when <= last for one in month())
    assert 0.25 < frauds_of / payments_of < 0.45
    assert mean(ratios(frauds("compromised_card"))) == pytest.approx(5, rel=0.15)
    assert mean(map(len, frauds("compromised_card").values())) > 8  # the handbook's: 9 payments a case


def test_a_compromised_merchant_gives_away_many_cards_of_its_customers_which_are_used_elsewhere_and_dearer() -> None:
    robbed = frauds("compromised_merchant")
    assert len(robbed) > 30
    victims_of = defaultdict(set)
    for user_id, paid in robbed.items():
        assert paid[-1].when - paid[0].when <= timedelta(days=3)
        for one in paid:
            assert one.location != one.user.city.city
            assert one.channel in ("ATM", "POS")
            victims_of[one.location].add(user_id)
    for victims in victims_of.values():
        shops = Counter(shop for user_id in victims for shop in favourites(USERS[user_id]))
        ((shop, customers),) = shops.most_common(1)
        assert customers > len(victims) * 0.75
        paid_there = {one.user.user_id for one in month() if one.merchant == shop and not one.scenario}
        assert len(victims & paid_there) > len(victims) * 0.6
    assert mean(ratios(robbed)) == pytest.approx(4, rel=0.15)


def test_an_account_takeover_is_several_dear_online_payments_within_an_hour_at_a_new_place_and_merchant() -> None:
    counts = Counter[int]()
    for cases in frauds("account_takeover").values():
        bursts = [[cases[0]]]
        for before, one in pairwise(cases):
            if one.when - before.when > timedelta(minutes=15):
                bursts.append([])
            bursts[-1].append(one)
        for burst in bursts:
            counts[len(burst)] += 1
            assert burst[-1].when - burst[0].when < timedelta(hours=1)
            assert len({(one.merchant, one.location) for one in burst}) == 1
            assert burst[0].merchant not in favourites(burst[0].user)
            assert burst[0].location != burst[0].user.city.city
            for one in burst:
                assert one.channel == "Online"
                assert one.amount * 100 > 3.9 * one.user.habits.median_cents
    assert set(counts) == {3, 4, 5, 6}


def test_cases_of_days_go_on_in_another_call_and_in_another_run() -> None:
    def stolen(run: str) -> Counter[str]:
        source = TransactionSource(POPULATION, run_id=run, fraud_share=0.02, clock=lambda: BEGIN)
        made = [payment(one) for _ in range(40) for one in source.take(1_000)]
        return Counter(one.user.user_id for one in made if one.scenario == "compromised_card")

    first, second = stolen("first"), stolen("second")
    assert set(first) == set(second)
    assert 2 <= len(first) <= 15
    assert first.total() / 40_000 > 0.001  # live traffic is quick, and so are the thieves


def test_nobody_honest_is_anywhere_faster_than_a_plane() -> None:
    seen: dict[str, Payment] = {}
    moved = Counter[str | None]()
    for one in month(users=200):
        if one.scenario:
            continue
        before = seen.get(one.user.user_id)
        seen[one.user.user_id] = one
        if before and before.location != one.location:
            hours = (one.when - before.when) / timedelta(hours=1)
            assert distance_km(PLACES[before.location], PLACES[one.location]) / hours < 850
            moved[one.case] += 1
    assert moved["traveller"] > 200
    assert moved["shared_card"] > 50
    assert moved[None] + moved["sales_day"] < moved["traveller"] / 10


def test_a_shared_card_pays_in_two_cities_of_one_country() -> None:
    places = defaultdict(set)
    for one in month():
        if one.case == "shared_card":
            places[one.user.user_id].add(one.location)
    assert len(places) / len(USERS) < 0.06
    assert Counter(map(len, places.values()))[2] > 10
    for user_id, cities in places.items():
        assert cities <= {city.city for city in USERS[user_id].country.cities}


def test_on_a_sales_day_everybody_pays_more_often_and_dearer() -> None:
    by_day: dict[int, list[float]] = defaultdict(list)
    sales = set()
    for one in month():
        if one.channel != "ATM" and not one.scenario:
            by_day[one.when.day].append(one.amount)
            if one.case == "sales_day":
                sales.add(one.when.day)
    assert 1 <= len(sales) <= 4
    plain = [amounts for day, amounts in by_day.items() if day not in sales]
    for day in sales:
        assert len(by_day[day]) > 1.6 * mean(map(len, plain))
        assert median(by_day[day]) > 1.6 * mean(map(median, plain))


def test_a_first_big_purchase_is_the_users_only_one_and_at_a_new_merchant() -> None:
    big = [one for one in month(users=200) if one.case == "first_big_purchase"]
    assert len(big) > 20
    assert len({one.user.user_id for one in big}) == len(big)
    for one in big:
        assert one.merchant not in favourites(one.user)
        assert one.amount * 100 >= 19.9 * one.user.habits.median_cents


def test_the_label_of_a_genuine_payment_stays_one_for_every_reader() -> None:
    source = TransactionSource(POPULATION, run_id="r", fraud_share=0.02)
    turns = source.past(BEGIN, BEGIN + timedelta(days=2), 0.2)
    made = [one for turn in turns for one in turn]
    assert any("case" in one.label for one in made)
    for one in made:
        assert parse_label(one.label_sent[1]) == Label(one.label["txn_id"], one.scenario)
        assert "case" not in one.label or not one.label["is_fraud"]


def test_a_bank_of_one_customer_goes_on_for_ever() -> None:
    source = TransactionSource(Population(1, 1, 10), run_id="r", fraud_share=0.1)
    turns = source.past(BEGIN, BEGIN + timedelta(days=DAYS), 0.01)
    assert len([one for turn in turns for one in turn]) == DAYS * 864
