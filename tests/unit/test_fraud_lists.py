"""Lists that rules ask: their entries at a version and a moment, and which values they hold."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal

import pyarrow as pa
import pytest

from include.fraud.lists import Change, Entry, ListDeclaration, ListKind, Lists

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
MERCHANTS = ListDeclaration(ListKind.MERCHANTS, ("M1", "M2"))
CITIES = ListDeclaration(ListKind.CITIES, ("Damascus, Syria", "Juba"))


def change(
    version: int, what: Literal["add", "remove"], value: str, until: datetime | None = None, name: str = "merchants"
) -> Change:
    return Change(version, name, value, what, "entry", "seen in a ring", "ann", until, NOW)


def held(*changes: Change, version: int = 99, moment: datetime = NOW) -> set[str]:
    return {entry.value for entry in MERCHANTS.at(changes, version, moment).entries}


def test_a_list_begins_with_the_entries_of_the_file() -> None:
    assert held() == {"M1", "M2"}


def test_changes_count_from_their_version_on() -> None:
    changes = change(5, "add", "M3"), change(6, "remove", "M1")
    assert held(*changes, version=4) == {"M1", "M2"}
    assert held(*changes, version=5) == {"M1", "M2", "M3"}
    assert held(*changes, version=6) == {"M2", "M3"}


def test_the_newest_change_of_an_entry_decides_in_whatever_order_they_come() -> None:
    assert held(change(7, "add", "M1"), change(6, "remove", "M1")) == {"M1", "M2"}
    assert held(change(7, "remove", "M3"), change(6, "add", "M3")) == {"M1", "M2"}


def test_a_change_ends_at_its_moment_and_what_was_before_is_so_again() -> None:
    changes = change(5, "add", "M3", NOW), change(6, "remove", "M1", NOW)
    assert held(*changes, moment=NOW - timedelta(microseconds=1)) == {"M2", "M3"}
    assert held(*changes, moment=NOW) == {"M1", "M2"}
    assert held(change(5, "remove", "M1"), change(6, "add", "M1", NOW)) == {"M2"}


def test_an_entry_says_who_added_it_and_why() -> None:
    added = change(5, "add", "M1", NOW + timedelta(days=1))
    state = MERCHANTS.at([added], 5, NOW)
    assert Entry("M1", added) in state.entries
    assert Entry("M2") in state.entries


def test_a_city_is_one_entry_in_every_spelling() -> None:
    state = CITIES.at([change(1, "remove", "DAMASCUS, SY"), change(2, "add", "Sana'a, Yemen")], 2, NOW)
    assert {entry.value for entry in state.entries} == {"Juba", "Sana'a, Yemen"}


def test_membership_is_known_for_each_value_that_there_is() -> None:
    lists = Lists.at(
        {"merchants": MERCHANTS, "cities": CITIES},
        [change(1, "add", "M9"), change(1, "add", "U1", name="gone")],
        1,
        NOW,
    )
    assert lists.has("merchants", pa.array(["M1", "M9", "M10", None])).to_pylist() == [True, True, False, None]
    places = ["damascus", "Damascus, Maryland", "Juba, Texas", "Jubail", None, "Juba"]
    assert lists.has("cities", pa.array(places)).to_pylist() == [True, False, True, False, None, True]


def test_a_city_with_several_countries_is_meant_in_each() -> None:
    state = ListDeclaration(ListKind.CITIES, ("Paris, France", "Paris, Denmark")).at([], 0, NOW)
    assert state.has(pa.array(["Paris, FR", "Paris, Denmark", "Paris", "Paris, Texas"])).to_pylist() == [
        True,
        True,
        True,
        False,
    ]


def test_an_empty_list_holds_nothing() -> None:
    state = ListDeclaration(ListKind.USERS, ()).at([], 0, NOW)
    assert state.has(pa.array(["U1", None])).to_pylist() == [False, None]


@pytest.mark.parametrize(
    ("kind", "entry", "complaint"),
    [
        ("cities", "Tehran, Irann", "must be one country"),
        ("cities", "\u2014", "names no city"),
        ("merchants", "U1", "does not match"),
        ("merchants", " M1", "is no merchant_id"),
        ("users", "", "blank"),
    ],
)
def test_an_entry_that_the_list_cannot_hold_is_refused(kind: str, entry: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        ListKind(kind).identity(entry)
