"""Where the population lives, shops and travels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from include.geography import great_circle_km


@dataclass(frozen=True, slots=True)
class Place:
    """A city; latitude and longitude in degrees, north and east positive."""

    city: str
    latitude: float
    longitude: float


@dataclass(frozen=True, slots=True)
class Country:
    """A country of the population: ISO 3166 code, name, ISO 4217 currency, Faker's locale, cities, and share.

    ``spellings`` are other ways in which systems name the country. ``weight`` is its relative share of the users.
    """

    code: str
    name: str
    currency: str
    locale: str
    weight: int
    cities: tuple[Place, ...]
    spellings: tuple[str, ...]


COUNTRIES: tuple[Country, ...] = (
    Country(
        "US", "United States", "USD", "en_US", 5,
        (Place("New York", 40.7, -74.0), Place("Chicago", 41.9, -87.6), Place("San Francisco", 37.8, -122.4)),
        ("USA", "us", "U.S.A.", "United States of America", "UNITED STATES"),
    ),
    Country(
        "GB", "United Kingdom", "GBP", "en_GB", 4,
        (Place("London", 51.5, -0.1), Place("Manchester", 53.5, -2.2), Place("Edinburgh", 56.0, -3.2)),
        ("UK", "U.K.", "gb", "GBR", "Great Britain", "the united kingdom"),
    ),
    Country(
        "DE", "Germany", "EUR", "de_DE", 4,
        (Place("Berlin", 52.5, 13.4), Place("Munich", 48.1, 11.6), Place("Hamburg", 53.6, 10.0)),
        ("DE", "DEU", "de", "GERMANY", "Federal Republic of Germany"),
    ),
    Country(
        "FR", "France", "EUR", "fr_FR", 3,
        (Place("Paris", 48.9, 2.4), Place("Lyon", 45.8, 4.8), Place("Marseille", 43.3, 5.4)),
        ("FR", "fra", "french republic", "FRANCE"),
    ),
    Country(
        "ES", "Spain", "EUR", "es_ES", 3,
        (Place("Madrid", 40.4, -3.7), Place("Barcelona", 41.4, 2.2), Place("Sevilla", 37.4, -6.0)),
        ("ES", "ESP", "spain", "Kingdom of Spain"),
    ),
    Country(
        "IT", "Italy", "EUR", "it_IT", 3,
        (Place("Rome", 41.9, 12.5), Place("Milan", 45.5, 9.2), Place("Naples", 40.9, 14.3)),
        ("IT", "ita", "ITALY", "Italian Republic"),
    ),
    Country(
        "PL", "Poland", "PLN", "pl_PL", 2,
        (Place("Warsaw", 52.2, 21.0), Place("Kraków", 50.1, 19.9)),
        ("PL", "POL", "poland", "Republic of Poland"),
    ),
    Country(
        "NL", "Netherlands", "EUR", "nl_NL", 2,
        (Place("Amsterdam", 52.4, 4.9), Place("Rotterdam", 51.9, 4.5)),
        ("NL", "nld", "The Netherlands", "Holland"),
    ),
    Country(
        "SE", "Sweden", "SEK", "sv_SE", 2,
        (Place("Stockholm", 59.3, 18.1), Place("Göteborg", 57.7, 12.0)),
        ("SE", "SWE", "sweden", "Kingdom of Sweden"),
    ),
    Country(
        "CH", "Switzerland", "CHF", "de_CH", 2,
        (Place("Zürich", 47.4, 8.5), Place("Bern", 46.9, 7.4)),
        ("CH", "CHE", "swiss confederation", "SWITZERLAND"),
    ),
    Country(
        "GR", "Greece", "EUR", "el_GR", 1,
        (Place("Athens", 38.0, 23.7), Place("Thessaloniki", 40.6, 22.9)),
        ("GR", "grc", "Hellenic Republic"),
    ),
    Country(
        "BR", "Brazil", "BRL", "pt_BR", 3,
        (Place("São Paulo", -23.6, -46.6), Place("Rio de Janeiro", -22.9, -43.2)),
        ("BR", "BRA", "brazil", "Federative Republic of Brazil"),
    ),
    Country(
        "IN", "India", "INR", "en_IN", 3,
        (Place("Mumbai", 19.1, 72.9), Place("Bengaluru", 13.0, 77.6), Place("Delhi", 28.6, 77.2)),
        ("IN", "ind", "Republic of India", "INDIA"),
    ),
    Country(
        "JP", "Japan", "JPY", "ja_JP", 2,
        (Place("Tokyo", 35.7, 139.7), Place("Osaka", 34.7, 135.5)),
        ("JP", "jpn", "JAPAN"),
    ),
)  # fmt: skip

RISKY_CITIES: tuple[Place, ...] = (
    Place("Pyongyang", 39.0, 125.8), Place("Tehran", 35.7, 51.4), Place("Yangon", 16.8, 96.2),
    Place("Damascus", 33.5, 36.3), Place("Sana'a", 15.4, 44.2), Place("Port-au-Prince", 18.5, -72.3),
    Place("Juba", 4.9, 31.6), Place("Kabul", 34.5, 69.2),
)  # fmt: skip
"""Cities in which nobody of the population lives and a card is unlikely to be used by its owner."""

CITIES: tuple[Place, ...] = tuple(city for country in COUNTRIES for city in country.cities)
"""The cities in which the population lives and shops."""


def distance_km(a: Place, b: Place) -> float:
    """Great-circle distance between two places in kilometres."""
    return great_circle_km(a.latitude, a.longitude, b.latitude, b.longitude)


@cache
def far_from(place: Place, kilometres: float = 3000.0) -> tuple[Place, ...]:
    """The cities of the catalogue at least so far away; there are some for each of its places."""
    return tuple(city for city in CITIES if distance_km(place, city) >= kilometres)
