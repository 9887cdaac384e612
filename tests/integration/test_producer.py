"""Producing to a real broker: delivered or raised, labelled, and through the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient
from typer.testing import CliRunner

from include.domains import DOMAINS, REFERENCE_DOMAINS, TRANSACTIONS
from include.generators.cli import app
from include.generators.pace import MAX_TURN
from include.generators.producer import DeliveryError, RecordProducer
from include.generators.traffic import produce_reference, produce_transactions
from include.kafka.scan import scan
from include.kafka.topics import (
    LABELS_TOPIC,
    TOPICS,
    TopicSpec,
    TopicTimeoutError,
    end_offsets,
    ensure_topics,
    reset_topics,
)
from include.lake.records import BronzeRecord
from include.quality.classify import Rejected, Valid, classify
from include.settings import Settings
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration
BASE = datetime(2026, 1, 31, 12, tzinfo=UTC)
TOO_LARGE = os.urandom(400_000)  # the tests' topic takes 300,000 bytes
QUIET = {"log_level": 0}


@pytest.fixture(scope="module")
def kafka(settings: Settings) -> dict[str, str]:
    return {"bootstrap.servers": settings.kafka_bootstrap_servers}


@pytest.fixture(scope="module")
def admin(kafka: dict[str, str]) -> AdminClient:
    return AdminClient({**kafka})


@pytest.fixture
def topic(admin: AdminClient, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty topic of the test's own."""
    name = f"test_producer_{os.urandom(4).hex()}"
    monkeypatch.setitem(TOPICS, name, TopicSpec(name, 2, {"max.message.bytes": "300000"}))
    ensure_topics(admin, [name])
    yield name
    admin.delete_topics([name])[name].result()


@pytest.fixture
def own_topics(admin: AdminClient) -> None:
    """Paylake's topics anew, so that they hold what the test produces and nothing else."""
    reset_topics(admin, TOPICS)


def values(kafka: dict[str, str], topic: str) -> list[tuple[bytes | None, bytes | None, int]]:
    return [
        (m.key(), m.value(), m.timestamp()[1]) for m in scan(kafka, topic, unreadable=lambda one: pytest.fail(str(one)))
    ]


def test_all_records_arrive_once_and_in_order_of_their_key(kafka: dict[str, str], topic: str) -> None:
    with RecordProducer(kafka) as producer:
        for number in range(5_000):
            producer.send(topic, str(number % 7).encode(), str(number).encode())
    arrived = [(key, int(value or b"")) for key, value, _ in values(kafka, topic)]
    assert sorted(number for _, number in arrived) == list(range(5_000))
    for key in {key for key, _ in arrived}:
        numbers = [number for one, number in arrived if one == key]
        assert numbers == sorted(numbers)


def test_a_full_queue_makes_the_sender_wait_and_loses_nothing(kafka: dict[str, str], topic: str) -> None:
    with RecordProducer(kafka | {"queue.buffering.max.messages": 10}) as producer:
        for number in range(250):
            producer.send(topic, None, str(number).encode())
        producer.send_all(topic, [(None, str(number).encode()) for number in range(250, 500)])
    assert sorted(int(value or b"") for _, value, _ in values(kafka, topic)) == list(range(500))


def test_a_refused_record_is_raised_with_topic_key_and_reason(kafka: dict[str, str], topic: str) -> None:
    with pytest.raises(DeliveryError, match=topic) as raised, RecordProducer(kafka) as producer:
        producer.send(topic, b"U0001", TOO_LARGE)
    assert (raised.value.topic, raised.value.key, raised.value.failed) == (topic, b"U0001", 1)
    assert "large" in raised.value.reason.lower()
    assert "'U0001'" in str(raised.value)


def test_one_refused_record_among_many_is_named(kafka: dict[str, str], topic: str) -> None:
    records: list[tuple[bytes | None, bytes]] = [(str(number).encode(), b"{}") for number in range(300)]
    records[150] = (b"U0150", TOO_LARGE)
    with pytest.raises(DeliveryError, match=topic) as raised, RecordProducer(kafka) as producer:
        producer.send_all(topic, records)
    assert (raised.value.key, raised.value.failed) == (b"U0150", 1)
    assert "large" in raised.value.reason.lower()


def test_a_failure_is_raised_while_the_producer_still_waits_for_its_next_turn(
    kafka: dict[str, str], topic: str
) -> None:
    def wait_for_news(producer: RecordProducer) -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            producer.wait(0.1)

    producer = RecordProducer(kafka)
    producer.send(topic, b"U0001", TOO_LARGE)
    with pytest.raises(DeliveryError, match="large"):
        wait_for_news(producer)


def test_a_wait_shorter_than_a_millisecond_is_a_rest(kafka: dict[str, str]) -> None:
    """At a thousand records a second every wait is that short, and waits that return at once take a whole core."""
    with RecordProducer(kafka) as producer:
        started, cpu = time.monotonic(), time.thread_time()
        for _ in range(200):
            producer.wait(0.0004)
        assert time.monotonic() - started >= 0.19
        assert time.thread_time() - cpu < 0.1


def test_a_missing_topic_is_raised(kafka: dict[str, str]) -> None:
    config = kafka | QUIET | {"delivery.timeout.ms": 30_000, "topic.metadata.propagation.max.ms": 500}
    with pytest.raises(DeliveryError, match=r"no_such_topic.*[Uu]nknown topic"), RecordProducer(config) as producer:
        producer.send("no_such_topic", b"U0001", b"{}")


def test_a_broker_that_is_away_is_raised_within_the_limit() -> None:
    producer = RecordProducer(QUIET | {"bootstrap.servers": "127.0.0.1:1", "delivery.timeout.ms": 60_000})
    producer.send("transactions", b"U0001", b"{}")
    started = time.monotonic()
    with pytest.raises(DeliveryError, match=r"transactions.* 1 records were not acknowledged within 1 s"):
        producer.flush(1)
    assert time.monotonic() - started < 10


def test_a_block_that_fails_is_left_with_its_own_error_at_once() -> None:
    def fail_after_a_record() -> None:
        with RecordProducer(QUIET | {"bootstrap.servers": "127.0.0.1:1"}) as producer:
            producer.send("transactions", b"U0001", b"{}")
            raise ZeroDivisionError

    started = time.monotonic()
    with pytest.raises(ZeroDivisionError):
        fail_after_a_record()
    assert time.monotonic() - started < 10


@pytest.mark.usefixtures("own_topics")
def test_reference_data_arrives_whole_and_the_report_is_true(kafka: dict[str, str]) -> None:
    report = produce_reference(kafka, seed=9, users=200, merchants=40, dirt_share=0.3, base=BASE)
    rejected, keys = 0, Counter[str]()
    for domain in REFERENCE_DOMAINS.values():
        messages = values(kafka, domain.topic)
        assert len(messages) == report.records[domain.topic]
        valid = set()
        for _, value, timestamp in messages:
            outcome = classify(domain, BronzeRecord("t", 0, 0, timestamp, timestamp, value))
            rejected += isinstance(outcome, Rejected)
            if isinstance(outcome, Valid):
                valid.add(outcome.row[domain.key])
        keys[domain.name] = len(valid)
    assert rejected == report.malformed > 0
    assert keys["profiles"] == 200
    assert keys["merchants"] == 40
    assert keys["accounts"] >= 200


@pytest.mark.usefixtures("own_topics")
def test_the_same_arguments_produce_the_same_bytes(kafka: dict[str, str]) -> None:
    produce_reference(kafka, seed=9, users=30, merchants=20, dirt_share=0.3, base=BASE)
    once = {topic: [pair[:2] for pair in values(kafka, topic)] for topic in ("user_profiles", "account_balances")}
    produce_reference(kafka, seed=9, users=30, merchants=20, dirt_share=0.3, base=BASE)
    for topic, first in once.items():
        assert Counter(pair[:2] for pair in values(kafka, topic)) == Counter(first * 2)


@pytest.mark.usefixtures("own_topics")
def test_each_transaction_has_its_label_and_no_fraud_is_malformed(kafka: dict[str, str]) -> None:
    report = produce_transactions(kafka, rate=1_000, duration=1, fraud_share=0.2, dirt_share=0.2)
    labels = {}
    for key, value, _ in values(kafka, LABELS_TOPIC):
        label = json.loads(value or b"")
        labels[label["txn_id"]] = label["scenario"]
        assert key == label["txn_id"].encode()
    valid, rejected = set(), 0
    for key, value, timestamp in values(kafka, TRANSACTIONS.topic):
        outcome = classify(TRANSACTIONS, BronzeRecord("t", 0, 0, timestamp, timestamp, value))
        rejected += isinstance(outcome, Rejected)
        if isinstance(outcome, Valid):
            valid.add(outcome.row["txn_id"])
            assert key == outcome.row["user_id"].encode()
    assert valid == set(labels)
    assert rejected == report.malformed > 0
    assert Counter(scenario or "genuine" for scenario in labels.values()) == report.truth
    assert report.truth.total() == len(labels) == 1_000
    assert report.records[TRANSACTIONS.topic] == len(values(kafka, TRANSACTIONS.topic))


@pytest.mark.usefixtures("own_topics")
def test_a_past_has_its_own_times_and_arrives_now(kafka: dict[str, str]) -> None:
    began = datetime.now(UTC)
    report = produce_transactions(kafka, rate=0.5, history=timedelta(hours=2), duration=0, dirt_share=0)
    assert 3_600 <= report.truth.total() <= 3_600 + report.seconds
    times = []
    for _, value, arrived in values(kafka, LABELS_TOPIC):
        times.append(datetime.fromisoformat(json.loads(value or b"")["timestamp"]))
        assert arrived >= int(began.timestamp() * 1000)
    assert len(times) == report.truth.total()
    assert timedelta(0) <= min(times) - (began - timedelta(hours=2)) < timedelta(minutes=5)
    assert timedelta(0) < datetime.now(UTC) - max(times) < timedelta(minutes=5)


@pytest.mark.usefixtures("own_topics")
def test_it_ends_when_told_with_all_delivered(kafka: dict[str, str]) -> None:
    enough = threading.Event()
    report = produce_transactions(
        kafka, rate=None, stop=enough.is_set, progress=lambda r: enough.set() if r.truth.total() >= 300 else None
    )
    assert 300 <= report.truth.total() < 300 + MAX_TURN
    assert len(values(kafka, LABELS_TOPIC)) == report.truth.total()


@pytest.mark.usefixtures("own_topics")
def test_a_reset_of_the_topic_under_a_running_producer_loses_no_later_record(
    kafka: dict[str, str], admin: AdminClient
) -> None:
    """After a reset the producer either goes on with the new topic or raises; it never goes on into nowhere."""
    done = threading.Event()
    outcome: list[object] = []

    def produce() -> None:
        try:
            outcome.append(produce_transactions(kafka, rate=200, dirt_share=0, stop=done.is_set))
        except DeliveryError as error:
            outcome.append(error)

    thread = threading.Thread(target=produce)
    thread.start()
    try:
        wait_until(lambda: sum(end_offsets(admin, TRANSACTIONS.topic).values()) > 100, "its first transactions")
        reset_topics(admin, [TRANSACTIONS.topic])
        wait_until(
            lambda: bool(outcome) or sum(end_offsets(admin, TRANSACTIONS.topic).values()) > 200,
            "its end, or transactions in the new topic",
        )
    finally:
        done.set()
        thread.join(90)
    assert not thread.is_alive()
    assert outcome


@pytest.mark.usefixtures("own_topics")
def test_the_command_line_produces_and_reports(kafka: dict[str, str], admin: AdminClient) -> None:
    servers = ["--bootstrap-servers", kafka["bootstrap.servers"]]
    counts = ["--users", "20", "--merchants", "10"]
    result = CliRunner().invoke(app, ["reference", *servers, *counts, "--dirt-share", "0", "--json"])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["records"]["user_profiles"] == 20
    assert sum(end_offsets(admin, "user_profiles").values()) == 20
    result = CliRunner().invoke(app, ["transactions", *servers, *counts, "--rate", "50", "--duration", "1"])
    assert result.exit_code == 0, result.output
    assert "every one acknowledged" in result.stdout
    assert sum(end_offsets(admin, LABELS_TOPIC).values()) == 50
    assert set(DOMAINS) == {"profiles", "merchants", "accounts", "transactions"}


@pytest.mark.usefixtures("own_topics")
def test_an_endless_run_ends_cleanly_on_a_signal(kafka: dict[str, str], admin: AdminClient) -> None:
    command = [sys.executable, "-c", "from include.generators.cli import app; app()", "transactions", "--json"]
    root = Path(__file__).parents[2]
    environment = {**os.environ, "KAFKA_BOOTSTRAP_SERVERS": kafka["bootstrap.servers"], "PYTHONPATH": str(root)}
    process = subprocess.Popen(command, cwd=root, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: sum(end_offsets(admin, LABELS_TOPIC).values()) > 5, "its first labels")
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0
    assert json.loads(output)["records"][LABELS_TOPIC] == sum(end_offsets(admin, LABELS_TOPIC).values())


def test_no_broker_is_one_clear_sentence_and_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("include.generators.traffic.TOPIC_SECONDS", 1)
    result = CliRunner().invoke(app, ["reference", "--bootstrap-servers", "127.0.0.1:1"])
    assert result.exit_code == 1
    assert "Kafka did not answer" in " ".join(result.output.split())
    with pytest.raises(TopicTimeoutError):
        produce_transactions({"bootstrap.servers": "127.0.0.1:1"}, duration=1)
