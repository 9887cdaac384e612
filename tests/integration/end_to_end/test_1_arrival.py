"""Data arrives, and each layer has it."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow.dataset as ds
import pyarrow.fs as pafs
import pytest

from include.domains import DOMAINS
from tests.support.story import FLOW_SECONDS, Story
from tests.support.story_records import (
    ACCOUNT_ROWS,
    ACCOUNTS_SQL,
    FIRST,
    FRAUD,
    GENUINE,
    MERCHANT_ROWS,
    MERCHANTS_SQL,
    PAYMENTS,
    REJECTED,
    USER_ROWS,
    USERS_SQL,
)
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1500)]


def test_reference_data_reaches_gold_because_it_arrived(story: Story) -> None:
    for topic, messages in FIRST.items():
        story.produce(topic, messages)
    story.await_rows(USERS_SQL, USER_ROWS)
    story.await_rows(MERCHANTS_SQL, MERCHANT_ROWS)
    story.await_rows(ACCOUNTS_SQL, ACCOUNT_ROWS)


def test_every_transaction_gets_its_verdict(story: Story) -> None:
    story.produce("transactions", PAYMENTS)
    sql = "SELECT txn_id FROM fraudtransaction UNION ALL SELECT txn_id FROM genuinetransaction"
    wait_until(
        lambda: len(story.rows(sql)) == len(GENUINE) + len(FRAUD), "a verdict for each transaction", FLOW_SECONDS
    )
    assert story.rows("SELECT txn_id, amount FROM GenuineTransaction") == GENUINE
    fraud = story.rows("SELECT txn_id, reasons FROM FraudTransaction")
    assert {(txn_id, tuple(sorted(reasons))) for txn_id, reasons in fraud} == FRAUD
    assert story.rows(
        "SELECT timestamp AT TIME ZONE 'UTC' = '2026-03-01 09:00' FROM FraudTransaction WHERE txn_id='T0005'"
    ) == {(True,)}


def test_evidence_names_what_made_a_rule_fire(story: Story) -> None:
    ((evidence,),) = story.rows("SELECT evidence::text FROM FraudTransaction WHERE txn_id = 'T0003'")
    (fired,) = json.loads(evidence)
    assert fired["rule"] == "high_online_amount"
    assert Decimal(fired["values"]["amount"]) == Decimal("30000.01")


def test_bad_records_are_kept_with_every_reason_and_their_bytes(story: Story) -> None:
    sql = "SELECT topic, topic_id, partition_id, record_offset, raw, reasons::text FROM ops.quarantine"
    wait_until(lambda: len(story.rows(sql)) >= len(REJECTED), "the rejected records in quarantine", FLOW_SECONDS)
    sent = FIRST | {"transactions": PAYMENTS}
    expected = {
        (topic, *story.coordinates[topic, number], sent[topic][number][1], fields) for topic, number, fields in REJECTED
    }
    found = {
        (topic, identity, partition, offset, bytes(raw), _blamed(reasons))
        for topic, identity, partition, offset, raw, reasons in story.rows(sql)
    }
    assert found == expected


def _blamed(reasons: str) -> tuple[str | None, ...]:
    return tuple(sorted({reason["field"] for reason in json.loads(reasons)}, key=str))


def test_bronze_holds_each_record_once_as_it_came(story: Story) -> None:
    story.assert_bronze_is_what_was_produced()


def silver_table(story: Story, name: str) -> Any:
    """The folder read as plain Parquet, by someone who never heard of Iceberg."""
    s3 = pafs.S3FileSystem(
        endpoint_override=story.settings.s3_endpoint_url,
        access_key=story.settings.s3_access_key_id,
        secret_key=story.settings.s3_secret_access_key,
        region=story.settings.s3_region,
    )
    return ds.dataset(f"silver/{DOMAINS[name].silver_folder}", filesystem=s3, format="parquet").to_table()


def test_silver_folders_read_as_plain_parquet_show_the_current_rows(story: Story) -> None:
    profiles, merchants, accounts = (silver_table(story, name) for name in ("profiles", "merchants", "accounts"))
    connection = duckdb.connect()
    connection.register("users", profiles)
    connection.register("merchants", merchants)
    connection.register("accounts", accounts)
    assert sorted(connection.execute(USERS_SQL).fetchall(), key=str) == sorted(USER_ROWS, key=str)
    assert sorted(connection.execute(MERCHANTS_SQL).fetchall()) == sorted(MERCHANT_ROWS)
    assert sorted(connection.execute(ACCOUNTS_SQL).fetchall()) == sorted(ACCOUNT_ROWS)


def test_the_history_of_transactions_is_in_the_lake_when_its_dag_has_run(story: Story) -> None:
    assert story.airflow.run("silver_transactions") == "success"
    held = silver_table(story, "transactions").select(["txn_id", "amount"]).to_pylist()
    verdicts = "SELECT txn_id, amount FROM fraudtransaction UNION SELECT txn_id, amount FROM genuinetransaction"
    assert {(row["txn_id"], row["amount"]) for row in held} == story.rows(verdicts)
    verdicts_by_day = (
        "SELECT (timestamp AT TIME ZONE 'UTC')::date::text, count(*), sum(amount) FROM transactions GROUP BY 1"
    )
    rolled_up = "SELECT day::text, sum(transactions)::bigint, sum(amount) FROM daily_fraud GROUP BY day"
    wait_until(lambda: story.rows(rolled_up) == story.rows(verdicts_by_day), "the rollup of the days", FLOW_SECONDS)
    days = {day for day, _, _ in story.rows(rolled_up)}
    wait_until(lambda: not story.airflow.unfinished("gold_daily_fraud"), "the runs of the days", FLOW_SECONDS)
    events = story.airflow.asset_events("silver/processed-transactions")
    assert {event["partition_key"] for event in events} >= days
    runs = story.airflow.get("dags/gold_daily_fraud/dagRuns", limit=100)["dag_runs"]
    woken = [run for run in runs if run["run_type"] == "asset_triggered"]
    assert {run["partition_key"] for run in woken} == days
    told = events[-1]["extra"]
    assert (told["rows"], told["valid"]) == (len(held), len(held))


def test_a_day_and_a_chain_are_made_anew_when_somebody_asks_for_it(story: Story) -> None:
    ((day, before),) = story.rows("SELECT day, rebuilt_at FROM ops.daily_fraud_day ORDER BY day DESC LIMIT 1")
    asked = story.stack.paylake("backfill", "gold/DAILY_FRAUD", "--from", f"{day}", "--to", f"{day}")
    assert asked.returncode == 0, asked.stdout + asked.stderr
    assert f"done: gold/DAILY_FRAUD from {day} to {day}" in asked.stdout
    ((after,),) = story.rows(f"SELECT rebuilt_at FROM ops.daily_fraud_day WHERE day = '{day}'")  # noqa: S608
    assert after > before
    asked = story.stack.paylake("materialize", "silver/profiles+")
    assert asked.returncode == 0, asked.stdout + asked.stderr
    assert [line.split(":")[0] for line in asked.stdout.splitlines() if "done in" in line] == [
        "silver_profiles",
        "gold_profiles",
    ]
