"""Stale, overdue, up to date: reckoned from what is known of each asset."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from include.assets.event import DataVersion
from include.assets.registry import ASSETS
from include.assets.states import AssetState, Observation, Waits, states
from include.status.assets import asset_states, from_events, observed, overdue_problems, sentence, speaks
from include.status.flow import Flow
from include.status.lag import Lag
from include.status.layers import LayerPart
from include.status.render import render
from tests.support.airflow_stand_in import served

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
BRONZE, SILVER, GOLD = "bronze/profiles-folder", "silver/processed-profiles", "gold/USERS"
CODE, CONTRACT = ASSETS[SILVER].code_version, ASSETS[SILVER].contract_version


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def at(*ends: int) -> DataVersion:
    return DataVersion(positions={"T": {str(number): end for number, end in enumerate(ends)}})


def bronze(*ends: int, age: float = 100) -> Observation:
    return Observation(ago(age), at(*ends), {"user_profiles": at(*ends)})


def silver(*ends: int, snapshot: str = "1", code: str = CODE) -> Observation:
    version = DataVersion(snapshot_id=snapshot, positions=at(*ends).positions)
    return Observation(ago(50), version, {BRONZE: at(*ends)}, code, CONTRACT)


def gold(snapshot: str) -> Observation:
    version = DataVersion(snapshot_id=snapshot)
    return Observation(ago(40), version, {SILVER: version})


def known(seen: dict[str, Observation], waits: dict[str, Waits] | None = None) -> dict[str, AssetState]:
    return {one.name: one for one in states(ASSETS, seen, waits or {}, NOW)}


def test_what_was_made_of_the_newest_is_up_to_date() -> None:
    found = known({BRONZE: bronze(5, 7), SILVER: silver(5, 7), GOLD: gold("1")})
    assert [found[name].stale for name in (BRONZE, SILVER, GOLD)] == [False] * 3
    assert [found[name].seconds for name in (SILVER, GOLD)] == [0.0, 0.0]
    assert found[SILVER].changed == ()


def test_newer_data_of_an_input_make_stale_and_say_so() -> None:
    found = known({BRONZE: bronze(5, 9), SILVER: silver(5, 7, snapshot="2"), GOLD: gold("1")})
    (of_silver,), (of_gold,) = found[SILVER].stale_because, found[GOLD].stale_because
    assert (of_silver.input, of_silver.newest, of_silver.used) == (BRONZE, at(5, 9), at(5, 7))
    assert (of_gold.input, of_gold.newest and of_gold.newest.snapshot_id) == (SILVER, "2")
    assert found[BRONZE].stale is False


def test_a_topic_that_was_made_anew_is_newer_though_its_offsets_are_less() -> None:
    anew = DataVersion(positions={"T": {"0": 5}, "U": {"0": 1}})
    assert anew.newer_than(at(5))
    assert not at(5).newer_than(anew)
    assert not at(5).newer_than(at(5))
    assert not at(4).newer_than(at(5))


@pytest.mark.parametrize(
    ("waits", "stale", "seconds", "overdue"),
    [
        (Waits(0, None), False, 0.0, False),
        (Waits(3, 599.0), True, 599.0, False),
        (Waits(3, 601.0), True, 601.0, True),
        (Waits(3, None), True, None, False),
    ],
)
def test_what_was_counted_goes_before_versions(waits: Waits, stale: bool, seconds: float | None, overdue: bool) -> None:
    (found,) = (known({BRONZE: bronze(*ends), SILVER: silver(5, 7)}, {SILVER: waits})[SILVER] for ends in [(5, 8)])
    assert (found.stale, found.seconds, found.overdue) == (stale, seconds, overdue)
    assert found.waiting == waits.records


def test_without_a_count_the_age_is_that_of_the_newer_input() -> None:
    found = known({BRONZE: bronze(9, age=700), SILVER: silver(5)})[SILVER]
    assert (found.seconds, found.limit_seconds, found.overdue) == (700.0, 600, True)
    assert sentence(found) == f"newer data of {BRONZE} have waited for 11 min 40 s (late after 10 min)"


def test_of_what_nobody_knows_nothing_is_said() -> None:
    for found in known({}).values():
        assert (found.stale, found.overdue, found.seconds, found.version) == (False, False, None, None)
    # Events of an earlier version do not say what they were made of.
    old = Observation(ago(5), at(3))
    assert known({BRONZE: bronze(9), SILVER: old})[SILVER].stale is False


def test_what_is_only_looked_at_makes_nothing_stale() -> None:
    merchants = Observation(ago(1), DataVersion(snapshot_id="9"))
    fraud = known({"gold/MERCHANTS": merchants, "fraud/FraudTransaction": Observation(ago(9), at(1))})
    assert fraud["fraud/FraudTransaction"].stale is False


def test_books_that_nobody_looks_at_become_overdue_and_a_problem() -> None:
    assert overdue_problems(known({"checks/books": Observation(ago(7200))}).values()) == []
    late = known({"checks/books": Observation(ago(7201))})
    (problem,) = overdue_problems(late.values())
    assert (problem.check, problem.subject) == ("overdue", "checks/books")
    assert problem.message == "nothing new for 2 h 1 s (late after 2 h)"


def test_other_code_is_told_and_is_no_staleness() -> None:
    found = known({BRONZE: bronze(5), SILVER: silver(5, code="0" * 12)})[SILVER]
    assert (found.changed, found.stale) == (("code",), False)


def test_as_json() -> None:
    plain = known({BRONZE: bronze(5, 9), SILVER: silver(5, 7)}, {SILVER: Waits(2, 10.0)})[SILVER].as_json()
    assert plain["updated"] == ago(50).isoformat()
    assert plain["data_version"]["snapshot_id"] == "1"
    assert plain["inputs"] == {
        BRONZE: {"short": at(5, 7).short, "snapshot_id": None, "positions": {"T": {"0": 5, "1": 7}}}
    }
    assert [(one["input"], one["records"]) for one in plain["stale_because"]] == [(BRONZE, 2)]
    assert plain["freshness"] == {"measured": "waiting", "seconds": 10.0, "limit_seconds": 600.0, "overdue": False}


HOSTILE: list[Any] = [
    None,
    {},
    {"positions": 5},
    {"snapshot_id": 5},
    {"inputs": {"a": None}},
    {"positions": {"T": {"0": "x"}}},
    {"snapshot_id": "x" * 1000},
    {"from_trigger": True, "payload": {"topic_id": None}},
    {"from_trigger": True},
]


@pytest.mark.parametrize("extra", HOSTILE, ids=range(len(HOSTILE)))
def test_an_event_that_says_nothing_sensible_tells_its_time(extra: Any) -> None:
    assert observed(ASSETS[SILVER], NOW, extra) == Observation(NOW)


def test_whose_word_counts() -> None:
    spec, watched = ASSETS[SILVER], ASSETS["user_profiles"]
    assert speaks(spec, "silver_profiles", {})
    assert not speaks(spec, None, {"from_rest_api": True})
    assert not speaks(spec, "somebody_else", {})
    assert speaks(watched, None, {"from_trigger": True, "payload": {}})
    assert speaks(watched, "generate_reference", {"records": 5})


def test_lags_and_layers_of_the_stores_are_part_of_the_picture() -> None:
    lags = [
        Lag("verdicts", "bronze", "transactions", 4, 61.0, 60.0),
        Lag("silver", "bronze", "profiles", 0, None, 600.0),
    ]
    parts = [LayerPart("bronze", "transactions-folder", "transactions", 9, NOW)]
    found = {one.name: one for one in asset_states({}, lags, parts)}
    assert found["fraud/FraudTransaction"].overdue
    assert found["fraud/GenuineTransaction"].waiting == 4
    assert found[SILVER].seconds == 0.0
    assert found["transactions"].updated == found["bronze/transactions-folder"].updated == NOW
    watched = {"user_profiles": Observation(NOW, at(3)), BRONZE: bronze(3)}
    parts = [LayerPart("bronze", "profiles-folder", "profiles", 3, ago(900))]
    found = {one.name: one for one in asset_states(watched, [], parts)}
    assert (found["user_profiles"].updated, found["user_profiles"].version) == (ago(900), at(3))
    assert found[BRONZE].updated == ago(100), "its event says so"


def test_events_are_read_from_airflow_past_those_that_it_cannot_show_or_a_person_made() -> None:
    events = {
        7: [
            None,  # its run is queued
            {"source_dag_id": None, "extra": {"snapshot_id": "forged"}, "timestamp": NOW.isoformat()},
            {"source_dag_id": "silver_profiles", "extra": {"snapshot_id": "1"}, "timestamp": ago(9).isoformat()},
        ]
    }

    def answer(target: str) -> tuple[int, bytes]:
        if target.startswith("/api/v2/assets/events"):
            skip = int(target.split("offset=")[1].split("&")[0])
            listed = events[7][skip : skip + 1]
            if listed == [None]:
                return 500, b"{}"
            return 200, json.dumps({"asset_events": listed}).encode()
        assets = [
            {"id": 7, "name": SILVER, "last_asset_event": {"id": 3}},
            {"id": 8, "name": GOLD, "last_asset_event": None},
        ]
        return 200, json.dumps({"assets": assets}).encode()

    with served(answer) as api:
        assert from_events(api) == {SILVER: Observation(ago(9), DataVersion(snapshot_id="1"))}


def test_status_shows_a_line_for_each_asset_within_its_columns() -> None:
    seen = {"checks/books": Observation(datetime.now(UTC) - timedelta(hours=3)), SILVER: silver(5, code="0" * 12)}
    lags = [
        Lag("silver", "bronze", "transactions", 12_345, 3000.0, 2700.0),
        Lag("silver", "bronze", "profiles", 0, None, 600.0),
        Lag("gold", "silver", "profiles", 3, 5.0, 600.0),
    ]
    output = StringIO()
    render(Flow(assets=tuple(asset_states(seen, lags))), Console(file=output, width=100))
    lines = {line.split("│")[1].strip(): line.split("│") for line in output.getvalue().splitlines() if "│" in line}
    shown = {name: cells[4].strip() for name, cells in lines.items()}
    assert shown.keys() == ASSETS.keys()
    assert shown["silver/processed-transactions"] == "stale: 12,345 wait, overdue (45 min)"
    assert shown["checks/books"] == "overdue (2 h)"
    assert shown[GOLD] == "stale: 3 wait"
    assert shown[SILVER] == "up to date, made by other code"
    assert (shown["user_profiles"], shown["gold/ACCOUNTS"]) == ("", "-")
    assert lines[SILVER][2].strip() == silver(5).version.short  # type: ignore[union-attr]
