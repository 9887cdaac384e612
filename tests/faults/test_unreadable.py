"""Batches on a real broker that no client can read: they stop their partition only, and can be stepped over."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowFailException
from confluent_kafka import Producer
from typer.testing import CliRunner, Result

from include.domains import TRANSACTIONS
from include.ingest import Limits, PartitionsStuckError, ingest
from include.ingest.stuck import stuck_partitions
from include.kafka.bounds import MAX_RECORD_BYTES
from include.kafka.unreadable import Probe, Unreadable
from include.lake.records import BronzeRecord
from include.postgres import connect
from include.quality import Rejected, classify
from include.redrive.cli import app
from include.settings import Settings
from include.verify import Report, verify
from paylake_airflow import hooks
from paylake_airflow.operators.ingest import RequireReadableOperator
from tests.support.books import assert_balanced, judge_all
from tests.support.bronze import drain
from tests.support.bronze_writer import Writer
from tests.support.servers import Servers
from tests.support.transactions_topic import TransactionsTopic
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration

QUICK = Limits(flush_seconds=0.05, gap_seconds=0.3, check_seconds=0.05, stall_seconds=2, retry_seconds=1)
BOMB_BYTES = 130_000_000


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch in a partition's file on the broker's disk, which begins at ``place`` and has ``size`` bytes."""

    file: Path
    place: int
    size: int
    first: int
    last: int

    def damage(self, at: int, new: bytes) -> None:
        """Write over it, ``at`` bytes from its beginning, or from its end where that is negative."""
        with self.file.open("r+b") as file:
            file.seek(self.place + (at if at >= 0 else self.size + at))
            file.write(new)


def batches(servers: Servers, partition: int) -> Iterator[Batch]:
    file = servers.stack.home / f"kafka/data/{TRANSACTIONS.topic}-{partition}/{0:020d}.log"
    content = file.read_bytes()
    place = 0
    while place < len(content):
        first, length = struct.unpack_from(">qi", content, place)
        (more,) = struct.unpack_from(">i", content, place + 23)
        yield Batch(file, place, length + 12, first, first + more)
        place += length + 12


def batch_of(servers: Servers, partition: int, offset: int) -> Batch:
    return next(batch for batch in batches(servers, partition) if batch.first <= offset <= batch.last)


def send_large(topic: TransactionsTopic, partition: int, codec: str, size: int) -> None:
    """One record that is small as it is sent and has ``size`` bytes when it is unpacked."""
    producer = Producer({**topic.kafka.config, "message.max.bytes": 2 * size, "compression.type": codec})
    producer.produce(TRANSACTIONS.topic, b'{"txn_id": "%s"}' % (b"x" * size), partition=partition)
    assert producer.flush(60) == 0


def skip(place: str) -> Result:
    return CliRunner().invoke(app, ["skip", place])


def offsets(topic: TransactionsTopic, partition: int) -> list[int]:
    return [record.offset for record in records(topic, partition)]


def records(topic: TransactionsTopic, partition: int) -> list[BronzeRecord]:
    return list(topic.log.read(topic.id, partition, 0, topic.log.end_offset(topic.id, partition)))


def unreadable(report: Report) -> list[tuple[int | None, tuple[tuple[int, int], ...]]]:
    return [(one.partition, one.ranges) for one in report.findings if one.check == "unreadable_in_kafka"]


def end_of(topic: TransactionsTopic, partition: int) -> int:
    return topic.log.end_offset(topic.id, partition)


class Stopped:
    """Ten records in each partition, then what stops partitions 1, 2 and 3, then ten records more."""

    def __init__(self, servers: Servers) -> None:
        self.topic = TransactionsTopic(servers.settings)
        self.topic.produce(10)
        send_large(self.topic, 1, "zstd", BOMB_BYTES)
        for _ in range(2):  # two batches, one after the other
            self.topic.kafka.produce(TRANSACTIONS.topic, [b"{}"] * 3, partition=2)
        for offset in (10, 13):
            batch_of(servers, 2, offset).damage(-3, b"\xff")
        send_large(self.topic, 3, "gzip", MAX_RECORD_BYTES)
        self.topic.produce(10)
        self.errors = {1: "Invalid compressed data", 2: "CRC32C", 3: "16777216 are the most"}
        self.first = {partition: f"{self.topic.id}/{partition}/10" for partition in self.errors}


def test_what_cannot_be_read_stops_its_partition_only_and_is_named_and_stepped_over(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = Stopped(servers)
    topic, settings = stopped.topic, servers.settings
    with pytest.raises(PartitionsStuckError) as caught:
        drain(TRANSACTIONS, settings)
    assert [(one.partition, one.first) for one in caught.value.obstacles] == [(1, 10), (2, 10), (3, 10)]
    for partition, place in stopped.first.items():
        assert stopped.errors[partition] in str(caught.value)
        assert f"offset 10 of partition {partition} cannot be read" in str(caught.value)
        assert f"./paylake quarantine skip {place}" in str(caught.value)
    assert caught.value.report.records == 50
    assert [end_of(topic, partition) for partition in range(4)] == [20, 10, 10, 10]
    assert_told(stopped)
    monkeypatch.setattr(hooks, "kafka_config", lambda: topic.kafka.config)
    with pytest.raises(AirflowFailException, match=f"quarantine skip {stopped.first[2]}"):
        RequireReadableOperator(task_id="require_readable", domain=TRANSACTIONS.name).execute({})
    judge_all(settings)
    began = time.monotonic()
    report = verify(settings, domains=[TRANSACTIONS], wait_seconds=300)
    assert time.monotonic() - began < 100, "what is stuck is not waited for"
    found = [(1, ((10, 10),)), (2, ((10, 12),)), (2, ((13, 15),)), (3, ((10, 10),))]
    assert unreadable(report) == found, report.problems()

    with Writer(TRANSACTIONS, settings, QUICK) as writer:
        topic.produce(5)
        wait_until(lambda: end_of(topic, 0) == 25, "what came to the partition that is well")
        assert [end_of(topic, partition) for partition in range(1, 4)] == [10, 10, 10]
        assert_refusals(stopped)
        for place in stopped.first.values():
            assert skip(place).exit_code == 0
        wait_until(lambda: (end_of(topic, 1), end_of(topic, 3)) == (26, 26), "what comes behind")
        wait_until(lambda: end_of(topic, 2) == 13, "what comes behind the first of two")
        assert skip(f"{topic.id}/2/13").exit_code == 0
        wait_until(topic.in_bronze, "all of it")
        wait_until(lambda: not stuck_partitions(topic.kafka.config, TRANSACTIONS, 5), "the writer to tell")
        assert writer.alive
    RequireReadableOperator(task_id="require_readable", domain=TRANSACTIONS.name).execute({})
    assert_notes_are_refused_and_books_balance(stopped)
    assert offsets(topic, 2) == [*range(11), 13, *range(16, 31)]


def assert_told(stopped: Stopped) -> None:
    told = stuck_partitions(stopped.topic.kafka.config, TRANSACTIONS, 5)
    assert [(one.partition, one.offset) for one in told] == [(1, 10), (2, 10), (3, 10)]
    for one in told:
        assert stopped.errors[one.partition] in one.reason
        assert f"./paylake quarantine skip {stopped.first[one.partition]}" in one.reason


def assert_refusals(stopped: Stopped) -> None:
    topic_id = stopped.topic.id
    for place, why in {
        f"{topic_id}/0/24": "is behind us: bronze goes on from offset 25",
        f"{topic_id}/0/25": "there is nothing at",
        f"{topic_id}/1/9": "is behind us",
        f"{topic_id}/1/11": "is not the next to be ingested: that is offset 10",
        f"{topic_id}/4/0": "topic transactions has no partition 4",
        "AAAAAAAAAAAAAAAAAAAAAA/1/10": "no topic has the id AAAAAAAAAAAAAAAAAAAAAA now",
    }.items():
        refused = skip(place)
        assert refused.exit_code == 2
        assert why in " ".join(refused.output.split())


def assert_notes_are_refused_and_books_balance(stopped: Stopped) -> None:
    topic, settings = stopped.topic, stopped.topic.settings
    for partition, error in stopped.errors.items():
        note = next(record for record in records(topic, partition) if record.offset == 10)
        outcome = classify(TRANSACTIONS, note)
        assert isinstance(outcome, Rejected)
        assert [(reason.field, reason.code) for reason in outcome.reasons] == [(None, "unreadable_in_kafka")]
        told = json.loads(note.value or b"")["_paylake_unreadable"]
        assert (told["first"], told["last"]) == (10, 12 if partition == 2 else 10)
        assert error in told["error"]
    judge_all(settings)
    report = assert_balanced(settings, TRANSACTIONS)
    assert report.domains[0].total("quarantined") == 4
    with connect(settings.warehouse_dsn) as conn:
        rows = conn.execute(
            "SELECT partition_id, record_offset FROM ops.quarantine"
            """ WHERE domain = 'transactions' AND reasons @> '[{"code": "unreadable_in_kafka"}]' ORDER BY 1, 2"""
        ).fetchall()
    assert rows == [(1, 10), (2, 10), (2, 13), (3, 10)]


def test_the_last_ingestion_of_a_topic_goes_over_what_cannot_be_read_and_reports_it(servers: Servers) -> None:
    stopped = Stopped(servers)
    topic = stopped.topic
    report = ingest(TRANSACTIONS, consumer_config=topic.kafka.config, s3=topic.s3, stop=lambda: False, over_gaps=True)
    found = [one for one in report.gone_over if isinstance(one, Unreadable)]
    assert sorted((one.partition, one.first, one.last) for one in found) == [
        (1, 10, 10),
        (2, 10, 12),
        (2, 13, 15),
        (3, 10, 10),
    ]
    assert topic.in_bronze()
    assert_notes_are_refused_and_books_balance(stopped)


def test_what_can_be_read_is_not_skipped(servers: Servers) -> None:
    topic = TransactionsTopic(servers.settings)
    topic.produce(3)
    refused = skip(f"{topic.id}/0/0")
    assert (refused.exit_code, "can be read" in refused.output) == (2, True)
    assert topic.log.end_positions() == {}
    batch_of(servers, 0, 0).damage(-3, b"\xff")
    assert skip(f"{topic.id}/0/0").exit_code == 0
    assert end_of(topic, 0) == 3


@pytest.mark.long
def test_damage_of_which_nobody_can_tell_the_end_stops_its_partition_until_a_reset(servers: Servers) -> None:
    topic, settings = TransactionsTopic(servers.settings), servers.settings
    for _ in range(3):
        topic.produce(10)
    batch_of(servers, 1, 10).damage(8, b"\x7f\xff\xff\xff")  # its length: the library waits for the rest in silence
    batch_of(servers, 2, 10).damage(8, b"\x00\x00\x00\x00")  # the broker itself finds no batch there
    batch_of(servers, 3, 10).damage(16, b"\x09")  # a format that nobody knows
    config = topic.kafka.config
    with pytest.raises(PartitionsStuckError) as caught:
        ingest(TRANSACTIONS, consumer_config=config, s3=topic.s3, stop=lambda: False, limits=QUICK)
    assert [(one.partition, one.first) for one in caught.value.obstacles] == [(1, 10), (2, 10), (3, 10)]
    assert "delivered nothing" in str(caught.value)
    assert [end_of(topic, partition) for partition in range(4)] == [30, 10, 10, 10]
    refused = skip(f"{topic.id}/2/10")
    assert (refused.exit_code, "reset the topic" in " ".join(refused.output.split())) == (2, True)
    report = verify(settings, domains=[TRANSACTIONS], wait_seconds=0)
    assert {partition for partition, _ in unreadable(report)} == {1, 2, 3}
    done = ingest(TRANSACTIONS, consumer_config=config, s3=topic.s3, stop=lambda: False, over_gaps=True, limits=QUICK)
    assert {one.partition for one in done.gone_over} == {1, 2, 3}
    assert topic.in_bronze()
    judge_all(settings)
    assert_balanced(settings, TRANSACTIONS)


def test_a_batch_is_searched_to_its_last_offset_and_no_further(servers: Servers) -> None:
    topic = TransactionsTopic(servers.settings)
    for count in (7, 500, 1):
        topic.kafka.produce(TRANSACTIONS.topic, [b"{}"] * count, partition=0)
    topic.kafka.produce(TRANSACTIONS.topic, [b"{}"] * 2, partition=0)
    damaged = batch_of(servers, 0, 7)
    damaged.damage(-3, b"\xff")
    batch_of(servers, 0, 508).damage(-3, b"\xff")
    probe = Probe(topic.kafka.config, TRANSACTIONS.topic, 0)
    found = probe.unreadable_at(7, 510)
    assert found is not None
    assert (found.first, found.last) == (7, damaged.last)
    assert probe.unreadable_at(0, 510) is None
    assert probe.unreadable_at(damaged.last + 1, 510) is None
    last = probe.unreadable_at(508, 510)
    assert last is not None
    assert (last.first, last.last) == (508, 509)


def test_the_topics_bound_the_size_of_a_batch(settings: Settings) -> None:
    topic = TransactionsTopic(settings)
    failed: list[object] = []
    producer = Producer({**topic.kafka.config, "message.max.bytes": 2_000_000})
    producer.produce(
        TRANSACTIONS.topic, b"x" * 1_048_588, partition=0, on_delivery=lambda error, _: failed.append(error)
    )
    producer.flush(60)
    assert [str(error.name()) for error in failed] == ["MSG_SIZE_TOO_LARGE"]  # type: ignore[attr-defined]
