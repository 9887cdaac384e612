"""Where each user is at a moment: at home, on the way, on a trip, or with the partner who shares the card.

It follows from the seed, the user and the time alone, so it goes on across calls and runs. What an honest user does is
possible: between two places lie hours in which nothing is paid, so no two payments are further apart than a flight
takes one. Two people with one card are kept to the same: they pay in turns, as far apart as a train would have
carried the card. Were they to pay at the same hour, nobody could tell one of them from a thief with a copy.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import NamedTuple

from include.generators.places import CITIES, RISKY_CITIES, Place, distance_km
from include.generators.population import Population, User

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS

FLIGHT_KMH, GROUND_HOURS = 800, 2
"""A traveller flies this fast, and is silent for so many hours more on the way to and from the airports."""
TRAIN_KMH = 300

SHARED_CARDS = 0.03
"""Share of users whose card is also that of a partner in the nearest other city of the country."""

# A week in which a user travels has one trip of 1 to 3.5 days: users are away on 7 % of the days.
_TRIP_WEEKS, _MOST_TRIP_DAYS = 0.22, 3.5
_DESTINATIONS = 0.7, 0.298, 0.002  # in the own country, anywhere, in a city of high risk
_WEEK_MS, _TWO_DAYS_MS = 7 * DAY_MS, 2 * DAY_MS


class Stay(NamedTuple):
    """Up to ``until`` (milliseconds since 1970) the user pays in ``location``, or nothing at all if it is None.

    ``case`` names what makes the payments look like fraud: traveller or shared_card.
    """

    until: int
    location: str | None
    case: str | None = None


def stay_of(population: Population, user: User, moment: int) -> Stay:
    """Where the user is at a moment in milliseconds since 1970."""
    rng = population.random_for(f"whereabouts/{user.user_id}")
    shared = rng.random() < SHARED_CARDS
    length = _TWO_DAYS_MS if shared else _WEEK_MS
    phase = rng.randrange(length)
    number = (moment + phase) // length
    begin = number * length - phase
    rng = population.random_for(f"whereabouts/{user.user_id}/{number}")
    stays = _with_partner(rng, user, begin) if shared else _week(rng, user, begin)
    return next(stay for stay in stays if moment < stay.until)


def _week(rng: random.Random, user: User, begin: int) -> Iterator[Stay]:
    home = user.city
    if rng.random() < _TRIP_WEEKS:
        (places,) = rng.choices((user.country.cities, CITIES, RISKY_CITIES), _DESTINATIONS)
        there = rng.choice([place for place in places if place != home])
        travel = round((distance_km(home, there) / FLIGHT_KMH + GROUND_HOURS) * HOUR_MS)
        leave = begin + rng.randrange(DAY_MS)
        back = leave + travel + round(rng.uniform(1, _MOST_TRIP_DAYS) * DAY_MS)
        yield from _away(home, there, leave, back, travel, "traveller")
        # The first payment at home again is as odd as the first one away.
        yield Stay(back + travel + 6 * HOUR_MS, home.city, "traveller")
    yield Stay(begin + _WEEK_MS, home.city)


def _with_partner(rng: random.Random, user: User, begin: int) -> Iterator[Stay]:
    home = user.city
    there = min((p for p in user.country.cities if p != home), key=lambda place: distance_km(home, place))
    travel = round(distance_km(home, there) / TRAIN_KMH * HOUR_MS)
    take_over = begin + rng.randrange(8 * HOUR_MS)
    hand_back = take_over + travel + round(rng.uniform(4, 16) * HOUR_MS)
    yield from _away(home, there, take_over, hand_back, travel, "shared_card")
    yield Stay(begin + _TWO_DAYS_MS, home.city, "shared_card")


def _away(home: Place, there: Place, leave: int, back: int, travel: int, case: str) -> Iterator[Stay]:
    yield Stay(leave, home.city, case if case == "shared_card" else None)
    yield Stay(leave + travel, None)
    yield Stay(back, there.city, case)
    yield Stay(back + travel, None)
