"""Clean reference records of a population: profiles, merchants, accounts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cache
from random import Random

from faker import Faker

from include.domains import ACCOUNTS, MERCHANTS, PROFILES, Domain
from include.generators.population import Account, Merchant, Population, User
from include.generators.records import JsonValue, iso, money

_YEAR_SECONDS = 365 * 24 * 60 * 60


def reference_records(population: Population, base: datetime) -> Iterator[tuple[Domain, dict[str, JsonValue]]]:
    """Each user, merchant and account once, with its domain; no event lies after ``base`` (UTC).

    The same population and base give the same records.
    """
    for merchant in population.merchants:
        yield MERCHANTS, _merchant_record(population, merchant, base)
    for user in population.users:
        yield PROFILES, _profile_record(population, user, base)
    for account in population.accounts:
        yield ACCOUNTS, _account_record(population, account, base)


def _profile_record(population: Population, user: User, base: datetime) -> dict[str, JsonValue]:
    rng = population.random_for(f"profile/{user.user_id}")
    fake = _faker(user.country.locale, rng)
    record: dict[str, JsonValue] = {
        "user_id": user.user_id,
        # Faker's Japanese names put the family name first, which no splitter of names could tell.
        "name": fake.romanized_name() if user.country.locale == "ja_JP" else fake.name(),
        "country": user.country.name,
        "account_type": user.account_type,
        "credit_score": user.credit_score,
        "status": user.status,
        "timestamp": iso(_past(rng, base, _YEAR_SECONDS)),
    }
    if rng.random() < 0.8:
        record["email"] = fake.ascii_safe_email()
    if rng.random() < 0.9:
        record["city"] = user.city.city
    return record


def _merchant_record(population: Population, merchant: Merchant, base: datetime) -> dict[str, JsonValue]:
    rng = population.random_for(f"record/{merchant.merchant_id}")
    return {
        "merchant_id": merchant.merchant_id,
        "merchant_name": _faker(merchant.country.locale, rng).company(),
        "category": merchant.category,
        "risk_level": merchant.risk_level,
        "country": merchant.country.name,
        "timestamp": iso(_past(rng, base, _YEAR_SECONDS)),
        "city": merchant.city.city,
    }


def _account_record(population: Population, account: Account, base: datetime) -> dict[str, JsonValue]:
    rng = population.random_for(f"record/{account.account_id}")
    return {
        "account_id": account.account_id,
        "user_id": account.user_id,
        "current_balance": money(account.balance_cents),
        "currency": account.currency,
        "last_updated": iso(_past(rng, base, _YEAR_SECONDS // 12)),
    }


def _past(rng: Random, base: datetime, seconds: int) -> datetime:
    return base - timedelta(milliseconds=rng.randrange(seconds * 1000))


def _faker(locale: str, rng: Random) -> Faker:
    fake = _faker_of(locale)
    fake.seed_instance(rng.getrandbits(64))
    return fake


@cache
def _faker_of(locale: str) -> Faker:
    return Faker(locale)
