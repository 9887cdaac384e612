"""What is told of the data: asset events, the books, status; and a second run changes nothing."""

from __future__ import annotations

import json

import psycopg
import pytest

from include.assets.event import DataVersion, Materialization
from include.assets.registry import ASSETS
from include.domains import DOMAINS, REFERENCE_DOMAINS
from tests.support.story import Story
from tests.support.story_records import FIRST, FRAUD, PAYMENTS, REJECTED

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1500)]

NOTHING_WAITS = {"records": 0, "seconds": None}


def test_asset_events_tell_what_each_layer_did(story: Story) -> None:
    for domain in REFERENCE_DOMAINS.values():
        bronze = story.airflow.asset_events(f"bronze/{domain.bronze_folder}")
        silver = story.airflow.asset_events(f"silver/{domain.silver_folder}")
        gold = story.airflow.asset_events(f"gold/{domain.table.upper()}")
        assert story.airflow.asset_events(domain.topic), domain.topic
        assert sum(event["extra"]["records"] for event in bronze) == len(FIRST[domain.topic])
        assert silver[-1]["extra"]["rows"] == len(story.rows(f"SELECT * FROM {domain.table}"))  # noqa: S608
        assert sum(event["extra"]["rejected"] for event in silver) == sum(
            1 for topic, *_ in REJECTED if topic == domain.topic
        )
        assert sum(event["extra"]["inserted"] for event in gold) == len(story.rows(f"SELECT * FROM {domain.table}"))  # noqa: S608
        assert all(layer[-1]["extra"]["behind"] == NOTHING_WAITS for layer in (bronze, silver, gold))
        rows = [layer[-1]["extra"] for layer in (bronze, silver, gold)]
        of_bronze, of_silver, of_gold = (Materialization.model_validate(extra) for extra in rows)
        assert of_silver.inputs == {f"bronze/{domain.bronze_folder}": DataVersion(positions=of_bronze.positions)}
        assert of_gold.snapshot_id in {event["extra"]["snapshot_id"] for event in silver}
        assert sum(event["extra"]["rows_in"] for event in silver) == len(FIRST[domain.topic])
        for made, name in ((of_bronze, f"bronze/{domain.bronze_folder}"), (of_gold, f"gold/{domain.table.upper()}")):
            assert made.code_version == ASSETS[name].code_version
            assert made.contract_version == domain.contract.version
            assert made.seconds is not None


def test_airflow_shows_what_the_registry_says_of_each_asset(story: Story) -> None:
    shown = {asset["name"]: asset for asset in story.airflow.get("assets", limit=100)["assets"]}
    assert shown.keys() == ASSETS.keys()
    for name, spec in ASSETS.items():
        assert (shown[name]["extra"], shown[name]["group"]) == (spec.extra(), spec.group)


def test_the_books_balance_and_an_asset_says_so(story: Story) -> None:
    verified = story.stack.paylake("verify", "--json")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    report = json.loads(verified.stdout)
    sent = sum(map(len, FIRST.values())) + len(PAYMENTS)
    assert (report["balanced"], report["records"]) == (True, sent)
    assert story.airflow.run("verify_books") == "success"
    told = story.airflow.asset_events("checks/books")[-1]["extra"]
    assert (told["balanced"], told["records"], told["findings"]) == (True, sent, [])
    assert told["domains"]["transactions"]["fraud"] == len(FRAUD)
    assert told["quarantine"]["accounts"] == {"unknown_currency": 1, "wrong_type": 1}
    assert {layer: set(domains) for layer, domains in told["behind"].items()} == {
        "bronze": set(DOMAINS),
        "silver": set(DOMAINS),
        "gold": set(DOMAINS),
        "verdicts": {"transactions"},
    }
    assert all(numbers == NOTHING_WAITS for domains in told["behind"].values() for numbers in domains.values())
    assert told["waiting"] == []


def test_books_that_do_not_balance_fail_a_run_and_the_asset_says_what_is_wrong(story: Story) -> None:
    with psycopg.connect(story.settings.warehouse_dsn) as connection:
        connection.execute("CREATE TABLE ops.kept AS TABLE ops.quarantine")
        connection.execute("DELETE FROM ops.quarantine WHERE topic = 'merchant_info'")
    verified = story.stack.paylake("verify", "--domain", "merchants")
    topic, partition, offset = story.coordinates["merchant_info", 2]
    assert verified.returncode == 1
    assert f"merchants {topic}/{partition}, offset {offset}: in bronze but nowhere else" in verified.stdout
    assert story.airflow.run("verify_books") == "failed"
    told = story.airflow.asset_events("checks/books")[-1]["extra"]
    assert (told["balanced"], [finding["check"] for finding in told["findings"]]) == (False, ["nowhere"])
    with psycopg.connect(story.settings.warehouse_dsn) as connection:
        connection.execute("INSERT INTO ops.quarantine TABLE ops.kept ON CONFLICT DO NOTHING")
        connection.execute("DROP TABLE ops.kept")


def test_status_names_what_fails_until_it_succeeds(story: Story) -> None:
    asked = story.stack.paylake("status", "--json")
    found = json.loads(asked.stdout)
    assert (asked.returncode, found["well"]) == (1, False)
    (task,) = found["failed_tasks"]
    assert (task["dag_id"], task["task_id"], task["state"]) == ("verify_books", "require_balance", "failed")
    assert task["error"].startswith("AirflowFailException: The books do not balance: merchants")
    assert [problem["check"] for problem in found["problems"]] == ["failed_task"]

    assert story.airflow.run("verify_books") == "success"
    asked = story.stack.paylake("status", "--json")
    found = json.loads(asked.stdout)
    assert (asked.returncode, found["problems"]) == (0, [])
    assert len(found["behind"]) == 3 * len(DOMAINS) + 1
    assert {(lag["records"], lag["seconds"]) for lag in found["behind"]} == {(0, None)}
    assert found["newest_verdict"]["seconds"] > 0
    assert {one["reason"] for one in found["waiting"]} == {"quarantine"}
    assets = {one["name"]: one for one in found["assets"]}
    assert assets.keys() == ASSETS.keys()
    assert [name for name, one in assets.items() if one["stale"] or one["changed"]] == []
    told = [name for name, one in assets.items() if one["data_version"]]
    assert set(told) >= {name for name, spec in ASSETS.items() if spec.layer}
    assert assets["checks/books"]["freshness"]["overdue"] is False
    shown = story.stack.paylake("status")
    assert "up to date" in shown.stdout
    assert shown.returncode == 0
    assert max(map(len, shown.stdout.splitlines())) <= 100, shown.stdout


def test_a_second_run_changes_nothing(story: Story) -> None:
    before = story.fingerprint()
    for name in REFERENCE_DOMAINS:
        for dag_id in (f"bronze_{name}", f"silver_{name}", f"gold_{name}"):
            assert story.airflow.run(dag_id) == "success", dag_id
    assert story.fingerprint() == before
