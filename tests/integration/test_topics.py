"""Topics on a real broker: creation, a reset that is complete when it returns, and what clients ask."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME, TIMESTAMP_LOG_APPEND_TIME, KafkaError, Producer, Uuid
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # the library forgot to list some of these
    AdminClient,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from include.kafka import topics
from include.kafka.scan import scan
from include.kafka.topics import (
    LABELS_TOPIC,
    TOPICS,
    TopicSpec,
    TopicTimeoutError,
    UnknownTopicError,
    end_offsets,
    ensure_topics,
    kafka_id,
    reset_topics,
    start_offsets,
    topic_id,
)
from include.settings import Settings
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def admin(settings: Settings) -> AdminClient:
    return AdminClient({"bootstrap.servers": settings.kafka_bootstrap_servers})


@pytest.fixture
def topic(admin: AdminClient, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A topic of the test's own, known to the registry and not yet on the broker."""
    name = f"test_topics_{os.urandom(4).hex()}"
    monkeypatch.setitem(TOPICS, name, TopicSpec(name, 3, {"retention.ms": "3600000"}))
    yield name
    if topic_id(admin, name) is not None:
        admin.delete_topics([name])[name].result()


def produce(settings: Settings, topic: str, partition: int, count: int, **more: Any) -> None:
    failures: list[object] = []
    producer = Producer({"bootstrap.servers": settings.kafka_bootstrap_servers})
    more |= {"partition": partition, "on_delivery": lambda error, _: failures.append(error)}
    for number in range(count):
        producer.produce(topic, str(number).encode(), **more)
    assert producer.flush(30) == 0
    assert failures == [None] * count


def test_creates_what_is_missing_and_leaves_what_is_there(admin: AdminClient, topic: str) -> None:
    assert topic_id(admin, topic) is None
    ensure_topics(admin, [topic])
    created = topic_id(admin, topic)
    assert created is not None
    assert len(created) == 22
    ensure_topics(admin, [topic, topic])
    assert topic_id(admin, topic) == created
    assert end_offsets(admin, topic) == {0: 0, 1: 0, 2: 0}


def test_a_topic_of_before_is_changed_and_takes_records_without_a_key(
    settings: Settings, admin: AdminClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Topics of reference data were compacted once, and kept the times that producers set."""
    name = f"test_topics_{os.urandom(4).hex()}"
    kept = {"min.compaction.lag.ms": "604800000", "retention.ms": "3600000"}
    of_before = {"cleanup.policy": "compact", "message.timestamp.type": "CreateTime"} | kept
    admin.create_topics([NewTopic(name, 2, config=of_before)])[name].result()
    wait_until(lambda: topic_id(admin, name) is not None, f"topic {name}")
    monkeypatch.setitem(TOPICS, name, replace(TOPICS["user_profiles"], name=name))
    try:
        before = topic_id(admin, name)
        produce(settings, name, partition=0, count=1, key=b"U1", timestamp=1)
        refused = Producer({"bootstrap.servers": settings.kafka_bootstrap_servers})
        errors: list[KafkaError | None] = []
        refused.produce(name, b"no key", on_delivery=lambda error, _: errors.append(error))
        assert refused.flush(30) == 0
        assert [error.code() for error in errors if error] == [KafkaError.INVALID_RECORD]

        ensure_topics(admin, [name])
        produce(settings, name, partition=0, count=2, key=None, timestamp=1)
        now_ms = time.time() * 1000
        messages = list(scan(settings.kafka_config, name, lambda one: pytest.fail(str(one))))
        assert [(message.key(), message.value()) for message in messages] == [(b"U1", b"0"), (None, b"0"), (None, b"1")]
        (kind_before, time_before), *after = [message.timestamp() for message in messages]
        assert (kind_before, time_before) == (TIMESTAMP_CREATE_TIME, 1)
        for kind, time_ms in after:
            assert kind == TIMESTAMP_LOG_APPEND_TIME
            assert now_ms - 3_600_000 < time_ms <= now_ms
        assert topic_id(admin, name) == before
        (answer,) = admin.describe_configs([ConfigResource(ResourceType.TOPIC, name)]).values()
        assert {key: answer.result()[key].value for key in kept} == kept
    finally:
        admin.delete_topics([name])[name].result()


def test_ids_are_written_as_kafka_writes_them() -> None:
    assert kafka_id(Uuid(-1, -2)) == "_____________________g"
    assert kafka_id(Uuid(2**62 + 17, -123456789)) == "QAAAAAAAABH_____-KQy6w"


def test_every_topic_of_paylake_is_accepted_by_the_broker(admin: AdminClient) -> None:
    ensure_topics(admin, TOPICS)
    for name, spec in TOPICS.items():
        assert len(end_offsets(admin, name)) == spec.partitions
    assert LABELS_TOPIC in TOPICS


def test_offsets_count_records_by_partition(settings: Settings, admin: AdminClient, topic: str) -> None:
    ensure_topics(admin, [topic])
    produce(settings, topic, partition=1, count=5)
    assert end_offsets(admin, topic) == {0: 0, 1: 5, 2: 0}
    assert start_offsets(admin, topic) == {0: 0, 1: 0, 2: 0}


def test_reset_gives_an_empty_topic_with_another_id_that_takes_records(
    settings: Settings, admin: AdminClient, topic: str
) -> None:
    ensure_topics(admin, [topic])
    ids = [topic_id(admin, topic)]
    for _ in range(3):
        produce(settings, topic, partition=0, count=3)
        ids.append(reset_topics(admin, [topic])[topic])
        assert topic_id(admin, topic) == ids[-1]
        assert end_offsets(admin, topic) == {0: 0, 1: 0, 2: 0}
    assert len(set(ids)) == 4
    produce(settings, topic, partition=2, count=1)


def test_reset_creates_a_topic_that_was_missing(admin: AdminClient, topic: str) -> None:
    assert reset_topics(admin, [topic]) == {topic: topic_id(admin, topic)}


def test_a_name_outside_the_registry_deletes_nothing(admin: AdminClient, topic: str) -> None:
    ensure_topics(admin, [topic])
    before = topic_id(admin, topic)
    with pytest.raises(UnknownTopicError, match="no_such_topic"):
        reset_topics(admin, [topic, "no_such_topic"])
    assert topic_id(admin, topic) == before


def test_offsets_of_a_missing_topic_raise(admin: AdminClient, topic: str) -> None:
    with pytest.raises(UnknownTopicError, match=topic):
        end_offsets(admin, topic)


def test_a_reset_that_cannot_finish_says_what_it_waited_for(
    admin: AdminClient, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensure_topics(admin, [topic])
    monkeypatch.setattr(topics, "_delete", lambda *_: None)  # a broker that never gets round to deleting
    with pytest.raises(TopicTimeoutError, match=f"{topic} .* to disappear"):
        reset_topics(admin, [topic], timeout=1)


def test_no_broker_is_a_timeout_with_a_name() -> None:
    nowhere = AdminClient({"bootstrap.servers": "127.0.0.1:1", "log_level": 0})
    with pytest.raises(TopicTimeoutError, match="transactions"):
        ensure_topics(nowhere, ["transactions"], timeout=1)
