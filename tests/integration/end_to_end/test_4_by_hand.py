"""Events that somebody makes by hand, and records of which somebody has to accept that they are refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.envelopes import framed
from tests.support.story import FLOW_SECONDS, Story
from tests.support.story_records import merchant
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1500)]

BY_HAND: list[dict[str, Any]] = [
    {},
    {"totals": None},
    {"totals": {"valid": "3", "rejected": [1]}, "table_uuid": 5},
    {"positions": {"topic": None}, "snapshot_id": {}},
    {"a": [{"b": {"c": [None, True, -1e300, "\x00\u202e"]}}] * 3},
    {"huge": "x" * 1_000_000},
]


def own_events(story: Story, asset: str, task: str) -> list[dict[str, Any]]:
    return [event["extra"] for event in story.airflow.asset_events(asset) if event["source_task_id"] == task]


def test_events_that_somebody_makes_by_hand_break_no_task_and_change_no_number(story: Story) -> None:
    bronze, silver = "bronze/merchant-folder", "silver/processed-merchants"
    deep = '{"a":' * 200 + "1" + "}" * 200
    dags = ("bronze_merchants", "silver_merchants", "gold_merchants")
    earlier = {task["id"] for task in story.airflow.tasks(*dags)}
    before, told_before = len(story.rows("SELECT * FROM merchants")), own_events(story, silver, "clean")
    told = told_before[-1]
    for extra in [*BY_HAND, {**told, "valid": 99, "totals": dict.fromkeys(told["totals"], 99)}]:
        for asset in ("merchant_info", bronze, silver):
            assert story.airflow.make_event(asset, extra).status_code == 200, extra
    unfit: list[Any] = [[], 5, "x", None, {"n": 2**64}, {"n": [{"m": -(10**400)}]}, {"n": "\ud800"}, json.loads(deep)]
    for refused in unfit:
        assert story.airflow.make_event(silver, refused).status_code == 422, refused
    story.produce("merchant_info", [merchant("M0010"), merchant("M0011"), merchant("M0012", category="Weapons")])
    wait_until(lambda: len(story.rows("SELECT * FROM merchants")) == before + 2, "the merchants in gold", FLOW_SECONDS)

    wait_until(lambda: not story.airflow.unfinished(*dags), "the end of all runs", FLOW_SECONDS)
    since = own_events(story, silver, "clean")[len(told_before) :]
    for name, total in since[-1]["totals"].items():
        assert sum(extra[name] for extra in since) == total - told["totals"][name], name
    assert sum(extra["records"] for extra in own_events(story, bronze, "ingest")) == sum(
        sum(partitions.values()) for partitions in own_events(story, bronze, "ingest")[-1]["positions"].values()
    )
    woken = {task["id"]: (task["task_id"], task["state"], task["try_number"]) for task in story.airflow.tasks(*dags)}
    ends = [end for task, end in woken.items() if task not in earlier]
    assert {(state, tries) for _, state, tries in ends} <= {("success", 1), ("skipped", 1)}, ends


def test_good_records_land_beside_many_bad_ones_and_runs_are_red_until_somebody_accepts_that(story: Story) -> None:
    quarantined = "SELECT topic_id, partition_id, record_offset FROM ops.quarantine WHERE domain = 'merchants'"
    before, rows = len(story.rows(quarantined)), len(story.rows("SELECT * FROM merchants"))
    good = [merchant(f"M{number}") for number in range(1000, 1300)]
    story.produce("merchant_info", [(key, framed(value)) for key, value in good])
    story.produce("merchant_info", [merchant(f"M{number}") for number in range(2000, 2020)])
    wait_until(lambda: len(story.rows("SELECT * FROM merchants")) == rows + 20, "the good ones in gold", FLOW_SECONDS)
    assert len(story.rows(quarantined)) == before + 300

    def told() -> dict[str, Any] | None:
        alarm: dict[str, Any] | None = own_events(story, "silver/processed-merchants", "clean")[-1]["alarm"]
        return alarm

    alarm = told()
    assert alarm is not None
    assert alarm["rejected"] >= 300
    assert story.airflow.run("silver_merchants") == "failed"
    assert story.airflow.run("silver_profiles") == "success"
    (task,) = story.airflow.newest_tasks("silver_merchants", "require_acceptance")
    assert (task["state"], task["try_number"]) == ("failed", 1)
    log = story.stack.paylake("logs", "silver_merchants").stdout
    assert "quarantine accept --domain merchants" in log, log

    listed = story.stack.paylake("quarantine", "list", "--domain", "merchants", "--limit", "0")
    assert f"ALARM merchants: {alarm['rejected']} of " in listed.stdout
    accepted = story.stack.paylake("quarantine", "accept", "--domain", "merchants", "--yes")
    assert accepted.returncode == 0, accepted.stdout + accepted.stderr
    assert story.airflow.run("silver_merchants") == "success"
    assert told() is None
