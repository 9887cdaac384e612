"""What a task remembers of what it told an asset: right after every kind of end, and whatever anybody else does."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from include.assets.event import Materialization
from include.domains import MERCHANTS
from paylake_airflow import assets
from paylake_airflow.events import KEY, announce_and_note, last_told
from paylake_airflow.operators.ingest import BronzeTold
from paylake_airflow.operators.spark import SilverTold

ASSET = assets.silver(MERCHANTS)
RETRIES = 5


class StateStore(dict[str, Any]):
    """Airflow's store of one asset, which keeps JSON."""

    def set(self, key: str, value: Any) -> None:
        self[key] = value


@dataclass
class Airflow:
    """What a task sees of Airflow, over several runs."""

    store: StateStore = field(default_factory=StateStore)
    states: dict[str, dict[str, str | None]] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)

    def context(self, run_id: str, *, max_tries: int = RETRIES) -> dict[str, Any]:
        def get_task_states(dag_id: str, task_ids: list[str], run_ids: list[str]) -> dict[str, dict[str, str | None]]:
            assert (dag_id, task_ids) == ("silver_merchants", ["clean"])
            return {one: self.states[one] for one in run_ids if one in self.states}

        task = SimpleNamespace(
            dag_id="silver_merchants",
            task_id="clean",
            run_id=run_id,
            max_tries=max_tries,
            task=SimpleNamespace(retries=RETRIES),
            get_task_states=get_task_states,
        )
        return {
            "ti": task,
            "outlet_events": {ASSET: SimpleNamespace(extra=None)},
            "asset_state_store": {ASSET: self.store},
        }

    def run(self, run_id: str, snapshot: str, state: str | None, *, max_tries: int = RETRIES) -> SilverTold | None:
        """A run that tells of a snapshot and ends in a state; returns what it thought had been told before."""
        context = self.context(run_id, max_tries=max_tries)
        before = last_told(context, ASSET, SilverTold)
        announce_and_note(context, ASSET, Materialization(snapshot_id=snapshot), {}, told(snapshot), before)
        if state == "success":
            self.events.append(context["outlet_events"][ASSET].extra)
        self.states[run_id] = {"clean": state}
        return before

    def remembered(self, run_id: str = "next", *, max_tries: int = RETRIES) -> SilverTold | None:
        return last_told(self.context(run_id, max_tries=max_tries), ASSET, SilverTold)


def told(snapshot: str) -> SilverTold:
    return SilverTold(table_uuid="t", snapshot_id=snapshot, totals={"valid": 3}, alarm=None)


def test_nothing_was_told_at_first_and_then_what_the_last_run_told() -> None:
    airflow = Airflow()
    assert airflow.run("1", "a", "success") is None
    assert airflow.run("2", "b", "success") == told("a")
    assert airflow.remembered() == told("b")
    assert [event["snapshot_id"] for event in airflow.events] == ["a", "b"]


@pytest.mark.parametrize("state", ["failed", "up_for_retry"])
def test_what_was_noted_by_a_task_that_failed_then_was_not_told(state: str) -> None:
    airflow = Airflow()
    airflow.run("1", "a", "success")
    airflow.run("2", "b", state)
    assert airflow.remembered() == told("a")
    assert airflow.remembered("2") == told("a"), "also by its own next try"
    assert airflow.run("2", "b", "success") == told("a")
    assert airflow.remembered() == told("b")


@pytest.mark.parametrize("state", [None, "queued", "skipped"])
def test_a_run_that_somebody_clears_has_told_all_the_same(state: str | None) -> None:
    airflow = Airflow()
    airflow.run("1", "a", "success")
    airflow.run("2", "b", "success")
    assert airflow.remembered("2", max_tries=2 * RETRIES) == told("b")
    airflow.states["2"] = {"clean": state}
    assert airflow.remembered() == told("b")


def test_a_run_that_was_deleted_has_told_all_the_same() -> None:
    airflow = Airflow()
    airflow.run("1", "a", "success")
    airflow.states.clear()
    assert airflow.remembered() == told("a")


HOSTILE: list[Any] = [
    None,
    [],
    5,
    "x",
    {},
    {"totals": None},
    {"run_id": "1"},
    {"run_id": 1, "now": {}, "before": None},
    {"run_id": "1", "now": [], "before": None},
    {"run_id": "1", "now": {"totals": None}, "before": None},
    {"run_id": "1", "now": {"table_uuid": "t", "snapshot_id": 5, "totals": {}, "alarm": None}, "before": None},
    {"run_id": "1", "now": {"table_uuid": "t", "snapshot_id": "s", "totals": {"valid": "3"}, "alarm": 1}, "before": 1},
    {"run_id": "1", "now": {"positions": {"topic": [1]}}, "before": None},
    {"run_id": "1" * 1_000_000, "now": {"positions": [[[[{}]]]]}, "before": {}},
]


@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
def test_a_note_that_somebody_has_edited_breaks_nothing_and_the_next_one_is_right(value: Any) -> None:
    airflow = Airflow()
    airflow.store[KEY] = value
    assert last_told(airflow.context("2"), ASSET, BronzeTold) is None
    assert airflow.run("2", "a", "success") is None
    assert airflow.remembered() == told("a")
