"""Topics are reset, and what people may not do is refused."""

from __future__ import annotations

import pytest
from confluent_kafka.admin import AdminClient

from include.kafka.topics import end_offsets, topic_id
from include.local.servers.airflow import POOLS
from tests.support.story import FLOW_SECONDS, Story
from tests.support.story_records import GENUINE, transaction, user
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1500)]


def test_a_topic_reset_loses_nothing_and_the_new_topic_flows(story: Story) -> None:
    admin = AdminClient({"bootstrap.servers": story.settings.kafka_bootstrap_servers})
    topics = ["user_profiles", "transactions"]
    # Produced right before the reset: what Kafka forgets must already be in bronze.
    story.produce("user_profiles", [user("U0009", name="Last Minute")])
    old = {topic: topic_id(admin, topic) for topic in topics}
    assert story.airflow.run("reset_topics", {"topics": topics, "confirm": "reset"}) == "success"
    new = {topic: topic_id(admin, topic) for topic in topics}
    for topic in topics:
        assert new[topic] not in (None, old[topic])
        assert set(end_offsets(admin, topic).values()) == {0}

    story.produce(
        "user_profiles", [user("U0003", name="Jan de Vries", credit_score=500, timestamp="2026-02-03T00:00:00Z")]
    )
    story.produce("transactions", [transaction("T0100", "1"), transaction("T0001", "12.50")])
    genuine = "SELECT txn_id FROM GenuineTransaction"
    wait_until(lambda: ("T0100",) in story.rows(genuine), "the new transaction's verdict", FLOW_SECONDS)
    users = "SELECT user_id, credit_score FROM users"
    story.await_rows(users, {("U0001", 700), ("U0002", 700), ("U0003", 500), ("U0009", 700)})
    assert story.rows(genuine) == {(txn,) for txn, _ in GENUINE} | {("T0100",)}
    story.assert_bronze_is_what_was_produced()


def test_a_reset_without_the_word_is_refused(story: Story) -> None:
    admin = AdminClient({"bootstrap.servers": story.settings.kafka_bootstrap_servers})
    before = topic_id(admin, "merchant_info")
    assert story.airflow.run("reset_topics", {"topics": ["merchant_info"], "confirm": "yes please"}) == "failed"
    assert topic_id(admin, "merchant_info") == before


def test_the_pools_leave_room_for_the_streams_and_a_backfill_is_refused(story: Story) -> None:
    slots = {pool["name"]: pool["slots"] for pool in story.airflow.get("pools")["pools"]}
    assert slots == {name: pool.slots for name, pool in POOLS.items()}
    day = {"from_date": "2026-01-01T00:00:00Z", "to_date": "2026-01-02T00:00:00Z"}
    for dag_id in ("verify_books", "silver_merchants"):
        refused = story.airflow.post("backfills", {"dag_id": dag_id, **day})
        assert 400 <= refused.status_code < 500, refused.text
        assert "does not allow backfill" in refused.text
