"""The population is consistent whatever the seed and the counts, and its records keep their contracts."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.cleaning.countries import country_columns
from include.domains import ACCOUNTS, PROFILES
from include.generators.places import COUNTRIES, Place, distance_km, far_from
from include.generators.population import Population
from include.generators.records import encode, iso, iso_of, money, plain
from include.generators.reference import reference_records
from include.lake.records import BronzeRecord
from include.quality.classify import Valid, classify

BASE = datetime(2026, 1, 31, 12, tzinfo=UTC)
populations = st.builds(Population, st.integers(0, 2**31), st.integers(1, 60), st.integers(10, 60))


def wire(population: Population, base: datetime = BASE) -> list[bytes]:
    return [encode(record) for _, record in reference_records(population, base)]


@given(populations)
@settings(max_examples=30, deadline=None)
def test_everything_that_is_referred_to_exists(population: Population) -> None:
    users = {user.user_id for user in population.users}
    assert len(users) == population.user_count
    assert population.users[0].user_id == "U0001"
    assert [account.account_id for account in population.accounts] == [
        f"A{number:04d}" for number in range(1, len(population.accounts) + 1)
    ]
    assert {account.user_id for account in population.accounts} == users
    for user in population.users:
        assert 1 <= len(user.accounts) <= 2
        assert user.city in user.country.cities
        assert user.accounts[0].currency == user.country.currency
        assert 300 <= user.credit_score <= 850
        favourites = [population.merchants[index] for index in user.habits.merchants]
        assert favourites
        assert all(merchant.risk_level != "High" for merchant in favourites)
    assert any(merchant.risk_level == "High" for merchant in population.merchants)
    assert any(user.status == "active" for user in population.users)


@given(populations)
@settings(max_examples=15, deadline=None)
def test_each_record_keeps_its_contract(population: Population) -> None:
    for domain, record in reference_records(population, BASE):
        outcome = classify(domain, BronzeRecord("t", 0, 0, -1, int(BASE.timestamp() * 1000), encode(record)))
        assert isinstance(outcome, Valid), (record, outcome)
        assert outcome.row[domain.event_time] <= BASE
        if domain is PROFILES:
            country = next(c for c in COUNTRIES if c.name == record["country"])
            assert outcome.row["country_code"] == country.code
        if domain is ACCOUNTS:
            assert outcome.row["current_balance"] == record["current_balance"]


def test_the_same_seed_counts_and_base_give_the_same_bytes() -> None:
    assert wire(Population(7, 50, 20)) == wire(Population(7, 50, 20))
    assert wire(Population(7, 50, 20)) != wire(Population(8, 50, 20))


@given(st.datetimes(datetime(1970, 1, 1), datetime(2400, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - bounds have none
def test_a_time_in_milliseconds_is_written_as_any_other(moment: datetime) -> None:
    assert iso_of((moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)) == iso(moment)


def test_another_base_moves_the_times_and_nothing_else() -> None:
    for here, there in zip(
        wire(Population(7, 20, 20)), wire(Population(7, 20, 20), BASE.replace(year=2027)), strict=True
    ):
        changed = {name for name, value in json.loads(here).items() if json.loads(there)[name] != value}
        assert changed <= {"timestamp", "last_updated"}
        assert changed


def test_a_user_does_not_depend_on_how_many_users_there_are() -> None:
    assert Population(7, 50, 20).users[:10] == Population(7, 10, 20).users


@pytest.mark.parametrize(("users", "merchants"), [(0, 20), (1, 9), (-1, 10)])
def test_a_population_that_is_too_small_is_refused(users: int, merchants: int) -> None:
    with pytest.raises(ValueError, match="at least 1 user and 10 merchants"):
        Population(1, users, merchants)


def test_each_spelling_of_a_country_is_understood_as_that_country() -> None:
    for country in COUNTRIES:
        for spelling in (country.name, country.code, *country.spellings):
            assert country_columns(spelling)["country_code"] == country.code


def test_distances_are_those_of_the_globe() -> None:
    berlin, tokyo = Place("Berlin", 52.52, 13.40), Place("Tokyo", 35.68, 139.69)
    assert distance_km(berlin, tokyo) == pytest.approx(8918, rel=0.01)
    assert distance_km(berlin, berlin) == 0
    for country in COUNTRIES:
        for place in country.cities:
            assert all(distance_km(place, other) >= 3000 for other in far_from(place))
            assert far_from(place)


@given(
    st.dictionaries(
        st.text(min_size=1, max_size=5),
        st.one_of(
            st.none(),
            st.booleans(),
            st.integers(),
            st.text(st.characters(exclude_categories=["Cs"])),
            st.integers().map(money),
            st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=3), max_size=3),
        ),
        max_size=6,
    )
)
def test_what_is_encoded_is_json_on_one_line_with_every_digit(record: dict[str, object]) -> None:
    wire = encode(record)  # type: ignore[arg-type]
    assert b"\n" not in wire
    assert json.loads(wire, parse_float=Decimal) == record


@pytest.mark.parametrize(("cents", "text"), [(1250, "12.50"), (5, "0.05"), (-1250, "-12.50"), (10**17, f"{10**15}.00")])
def test_money_has_two_decimals(cents: int, text: str) -> None:
    assert encode({"amount": money(cents)}) == f'{{"amount": {text}}}'.encode()


def test_times_are_written_in_utc() -> None:
    moment = datetime(2026, 1, 31, 13, 45, 0, 250_999, tzinfo=UTC)
    assert iso(moment) == "2026-01-31T13:45:00.250Z"
    assert plain(moment) == "2026-01-31 13:45:00"
