"""Rules files for the bench: as many rules as are asked for, of the kinds that banks have, of which few ever fire."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import yaml

from include.generators.places import CITIES, COUNTRIES
from include.generators.population import CATEGORIES

_ONLINE = "channel = 'Online'"
FEATURES: Mapping[str, Mapping[str, str]] = {
    "tiny_online_10m": {
        "entity": "user",
        "function": "count",
        "window": "10 minutes",
        "filter": f"{_ONLINE} and amount < 5",
    },
    "count_1h": {"entity": "user", "function": "count", "window": "1 hour"},
    "sum_1d": {"entity": "user", "function": "sum", "window": "1 day"},
    "mean_30d": {"entity": "user", "function": "mean", "window": "30 days"},
    "stddev_30d": {"entity": "user", "function": "stddev", "window": "30 days"},
    "ratio_30d": {"entity": "user", "function": "ratio_to_mean", "window": "30 days"},
    "merchants_1d": {"entity": "user", "function": "distinct", "of": "merchant", "window": "1 day"},
    "new_place": {"entity": "user", "function": "first_time", "of": "location", "window": "30 days"},
    "speed_1d": {"entity": "user", "function": "speed_kmh", "window": "1 day", "filter": "channel <> 'Online'"},
    "seconds_since": {"entity": "user", "function": "seconds_since_last", "window": "1 day"},
    "merchant_count_1h": {"entity": "merchant", "function": "count", "window": "1 hour"},
    "at_merchant_30d": {"entity": "user_merchant", "function": "count", "window": "30 days"},
}
_LISTS = 20
"""So many lists of merchants, and as many of cities."""

# Each makes of a rule's number what it says and when it fires. The bench's users pay far more often than people do.
_KINDS: tuple[Callable[[int], tuple[str, str]], ...] = (
    lambda number: ("online amount {amount}", f"{_ONLINE} and amount > {30_000 + 10 * number}"),
    lambda number: (
        "amount {amount} at a merchant of {merchant.category}",
        f"merchant.category = '{CATEGORIES[number % len(CATEGORIES)]}' and merchant.risk_level <> 'Low'"
        f" and amount > {5_000 + number}",
    ),
    lambda number: (
        "merchant {merchant_id} is watched",
        f"listed(merchant_id, 'merchants_{number % _LISTS}') and amount > {500 + number}",
    ),
    lambda number: (
        "location {location} is watched",
        f"listed(location, 'cities_{number % _LISTS}') and channel <> 'Online' and amount > {5_000 + number}",
    ),
    lambda number: (
        "{tiny_online_10m} tiny amounts within ten minutes",
        f"{_ONLINE} and amount < 5 and tiny_online_10m >= {500 + number}",
    ),
    lambda number: (
        "{ratio_30d} times the usual at a new place",
        f"new_place and ratio_30d > {10 + number % 40} and hour between 1 and 5",
    ),
    lambda number: (
        "{speed_1d} km/h from the place before",
        f"channel <> 'Online' and speed_1d > {40_000_000 + 1_000 * number}",
    ),
    lambda number: (
        "amount {amount}, usually {mean_30d} ± {stddev_30d}",
        f"amount > mean_30d + {100 + number % 50} * stddev_30d and amount > {20_000 + number}",
    ),
    lambda number: (
        "{merchants_1d} merchants and {sum_1d} within a day",
        f"merchants_1d >= {90 + number % 10} and sum_1d > {50_000_000 + number}",
    ),
    lambda number: (
        "{count_1h} payments within an hour, {seconds_since} s after the last",
        f"count_1h >= {100_000 + number} and seconds_since < {1 + number % 5}",
    ),
    lambda number: (
        "abroad, at a merchant with {at_merchant_30d} payments",
        f"merchant.country_code in ('{COUNTRIES[number % len(COUNTRIES)].code}', 'XX') and at_merchant_30d = 0"
        f" and ratio_30d > {20 + number % 30}",
    ),
    lambda number: (
        "{merchant_count_1h} payments at the merchant within an hour",
        f"merchant_count_1h >= {1_000_000 + number} or amount > {150_000 + 100 * number}",
    ),
)


def rulebook(count: int) -> str:
    """The text of a rules file with 12 features, 40 lists and ``count`` rules; the same count gives the same text."""
    rules = []
    for number in range(count):
        says, when = _KINDS[number % len(_KINDS)](number)
        rules.append({"id": f"r{number}", "says": says, "when": when, "weight": 100, "mode": "alert"})
    return written(FEATURES, rules, _lists())


def written(
    features: Mapping[str, Mapping[str, str]], rules: list[dict[str, Any]], lists: Mapping[str, Any] | None = None
) -> str:
    """The text of a rules file."""
    declared = [{"name": name, **feature} for name, feature in features.items()]
    # A warehouse takes no other rules under the same version.
    version = f"bench-{len(rules)}-{len(features)}"
    file = {"version": version, "alert_at": 100, "lists": lists or {}, "features": declared, "rules": rules}
    return yaml.safe_dump(file, sort_keys=False, allow_unicode=True)


def _lists() -> dict[str, Any]:
    """Lists of which but few entries are met: merchants that the population has not, cities in which it seldom is."""
    merchants = {
        f"merchants_{number}": {"of": "merchants", "entries": [f"M{9_000 + number * 50 + one}" for one in range(50)]}
        for number in range(_LISTS)
    }
    cities = {
        f"cities_{number}": {"of": "cities", "entries": [CITIES[number].city, f"Nowhere {number}"]}
        for number in range(_LISTS)
    }
    return merchants | cities
