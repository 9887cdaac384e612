"""Lists that rules ask: merchants, cities and users, by the rules file and the changes made since.

A change holds from its version on, until the moment it names, if it names one. Of several changes of one entry the
newest that still holds decides; where none does, the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Literal, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from include.cleaning.places import countries_of, place
from include.domains import TRANSACTIONS
from include.quality.values import check_for

Verb: TypeAlias = Literal["add", "remove"]
Entity: TypeAlias = Literal["user", "merchant"]


class ListKind(StrEnum):
    """What a list has entries of."""

    MERCHANTS = "merchants"
    CITIES = "cities"
    USERS = "users"

    @property
    def column(self) -> str:
        """The column whose values can be in such a list."""
        return {"merchants": "merchant_id", "cities": "location", "users": "user_id"}[self.value]

    def identity(self, entry: str) -> object:
        """What two spellings of one entry have in common: an id, or a city's letters and digits and its country.

        Raises:
            ValueError: it is no such id, names no city, or what follows the city is not one country.
        """
        if self is not ListKind.CITIES:
            found = check_for(next(field for field in TRANSACTIONS.contract.columns if field.name == self.column))(
                entry
            )
            if found != entry:
                raise ValueError(f"{entry!r} is no {self.column}")
            return found
        city, qualifiers = place(entry)
        if not city:
            raise ValueError(f"{entry!r} names no city")
        countries = countries_of(qualifiers)
        if qualifiers and len(countries) != 1:
            raise ValueError(f"{entry!r}: what follows the city must be one country")
        return city, countries


SNOOZES: Mapping[Entity, ListKind] = {"user": ListKind.USERS, "merchant": ListKind.MERCHANTS}
"""For whom a rule may sleep: each rule has such a list of each, see `snooze_of`."""


def snooze_of(rule: str, entity: Entity) -> str:
    """The name of the list of users, or merchants, for whom a rule sleeps."""
    return f"snooze:{rule}:{entity}"


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a list: ``version`` is that of all lists from then on; it counts until ``until`` (UTC)."""

    version: int
    list: str
    value: str
    change: Verb
    kind: str
    reason: str
    by: str
    until: datetime | None
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Entry:
    """A value that is on a list, and the change that put it there; None where it stands in the rules file."""

    value: str
    added: Change | None = None


@dataclass(frozen=True)
class ListState:
    """What one list holds at a version and a moment."""

    kind: ListKind
    entries: tuple[Entry, ...]

    def has(self, values: pa.Array) -> pa.BooleanArray:
        """Which of the values it holds; null where the value is. Ids are compared exactly, cities by `has_city`."""
        if self.kind is ListKind.CITIES:
            distinct = pc.unique(values).drop_null().to_pylist()
            held = pa.array([location for location in distinct if self.has_city(location)], pa.string())
        else:
            held = self._held
        return pc.if_else(pc.is_valid(values), pc.is_in(values, held), pa.scalar(None, pa.bool_()))

    @cached_property
    def values(self) -> frozenset[str]:
        """Those that have an entry."""
        return frozenset(entry.value for entry in self.entries)

    @cached_property
    def _held(self) -> pa.Array:
        return pa.array([entry.value for entry in self.entries], pa.string())

    def has_city(self, location: str) -> bool:
        """Whether the location is one of the cities, however it is spelled, and whatever follows it after a comma.

        ``Damascus, Maryland`` is not Damascus in Syria: what follows the city names countries, none of them the city's.
        """
        city, qualifiers = place(location)
        own = self._countries.get(city)
        if own is None:
            return False
        named = countries_of(qualifiers)
        return not own or not named or not own.isdisjoint(named)

    @cached_property
    def _countries(self) -> dict[str, frozenset[str]]:
        """The countries of each city, by its normal form; none for a city that is meant in whatever country it is."""
        found: dict[str, list[frozenset[str]]] = {}
        for city, qualifiers in (place(entry.value) for entry in self.entries):
            found.setdefault(city, []).append(countries_of(qualifiers))
        return {
            city: frozenset().union(*countries) if all(countries) else frozenset() for city, countries in found.items()
        }


@dataclass(frozen=True, slots=True)
class ListDeclaration:
    """A list of the rules file and the entries that it has before any change, or a snooze, which begins with none."""

    kind: ListKind
    entries: tuple[str, ...] = ()
    is_snooze: bool = False

    def at(self, changes: Iterable[Change], version: int, moment: datetime) -> ListState:
        """What it holds by those of its changes that have at most this version and still hold at this moment (UTC).

        Raises:
            ValueError: a change is of what such a list cannot hold.
        """
        found = {self.kind.identity(value): Entry(value) for value in self.entries}
        for one in sorted(changes, key=lambda one: one.version):
            if one.version > version or (one.until is not None and one.until <= moment):
                continue
            identity = self.kind.identity(one.value)
            found.pop(identity, None)
            if one.change == "add":
                found[identity] = Entry(one.value, one)
        return ListState(self.kind, tuple(found.values()))


@dataclass(frozen=True, slots=True)
class Lists:
    """What all lists hold at a version and a moment."""

    states: Mapping[str, ListState]

    @classmethod
    def at(
        cls, declared: Mapping[str, ListDeclaration], changes: Iterable[Change], version: int, moment: datetime
    ) -> Lists:
        """The lists of a rules file, see `ListDeclaration.at`; changes of other lists are for other files."""
        of_list: dict[str, list[Change]] = {name: [] for name in declared}
        for change in changes:
            of_list.get(change.list, []).append(change)
        return cls({name: one.at(of_list[name], version, moment) for name, one in declared.items()})

    def has(self, name: str, values: pa.Array) -> pa.BooleanArray:
        """Which of the values are in the list of this name; null where the value is."""
        return self.states[name].has(values)
