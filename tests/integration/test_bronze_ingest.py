"""The bronze writer on real servers: every record once, whatever the records are and whoever dies."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from confluent_kafka.admin import NewPartitions  # type: ignore[attr-defined]  # the library forgot to list it
from kafka import KafkaProducer

from include.domains import BRONZE_BUCKET, Domain
from include.ingest import Gap, Limits, PartitionsStuckError, TopicMissingError, ingest
from include.ingest.stuck import stuck_partitions
from include.kafka.topics import topic_id
from include.lake import bronze_log
from include.lake.bronze_log import BrokenChainError, BronzeLog
from include.lake.objects import object_key
from include.lake.s3 import s3_client
from include.settings import Settings
from include.spark.bronze_batches import BatchPlanner
from tests.support.bronze import MANY, any_topic_id, assert_books_balance, bronze_records, drain, put_chain
from tests.support.domains import OwnDomain, own_domain
from tests.support.kafka import Kafka
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

pytestmark = pytest.mark.integration

QUICK = Limits(flush_seconds=0.05, gap_seconds=0.3, check_seconds=0.2)


@pytest.fixture
def kafka(settings: Settings) -> Kafka:
    return Kafka(settings)


@pytest.fixture(scope="module")
def s3(settings: Settings) -> S3Client:
    return s3_client(settings)


@pytest.fixture
def domain(kafka: Kafka) -> Iterator[OwnDomain]:
    own = own_domain()
    kafka.create(own.topic)
    yield own
    if topic_id(kafka.admin, own.topic) is not None:
        kafka.delete(own.topic)


class Follower:
    """A writer in a thread, until the block ends."""

    def __init__(self, domain: Domain, kafka: Kafka, s3: S3Client) -> None:
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(1)
        self.report = self._pool.submit(
            ingest, domain, consumer_config=kafka.config, s3=s3, stop=self._stop.is_set, follow=True, limits=QUICK
        )

    def __enter__(self) -> Follower:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self.report.result(60)
        self._pool.shutdown()


def topic_id_of(kafka: Kafka, domain: Domain) -> str:
    found = topic_id(kafka.admin, domain.topic)
    assert found is not None
    return found


def numbered(start: int, end: int) -> list[bytes]:
    return [b'{"n":%d}' % number for number in range(start, end)]


def values(log: BronzeLog, topic_id: str) -> list[bytes | None]:
    return [record.value for record in bronze_records(log, topic_id)]


class NotUtf8(str):
    """The name of a header as a client writes it that takes names for bytes."""

    def encode(self, *_: object) -> bytes:
        return super().encode("latin-1")


def test_a_header_that_the_client_cannot_read_among_records_without_any(
    domain: OwnDomain, kafka: Kafka, s3: S3Client, settings: Settings
) -> None:
    producer = KafkaProducer(bootstrap_servers=settings.kafka_bootstrap_servers)
    for number in range(20):
        headers = [(NotUtf8("größe"), b"1")] if number == 9 else None
        producer.send(domain.topic, b'{"n":%d}' % number, headers=headers, partition=0)
    producer.close(60)
    assert drain(domain, settings).records == 20
    topic_id, log = topic_id_of(kafka, domain), BronzeLog(s3, domain)
    assert values(log, topic_id) == numbered(0, 20)
    originals = [log.original(topic_id, 0, offset) for offset in range(20)]
    assert [number for number, one in enumerate(originals) if one is not None and one.headers is None] == [9]


def test_every_kind_of_value_comes_back_with_its_coordinates(
    domain: OwnDomain, kafka: Kafka, s3: S3Client, settings: Settings
) -> None:
    wild: list[bytes | None] = [
        b'{"plain": 1}',
        json.dumps({"pretty": [1, 2]}, indent=2).encode(),
        b'{"bad": "\xff\xfe"}',
        None,
        b"",
        b'{"large": "' + b"x" * 999_000 + b'"}',
        b'{"deep": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"_paylake_envelope":{"reason":"null_value","value_base64":null}}',
        b"not json",
        b'{"amount": NaN}',
        b'{"amount": 1e400}',
        b'{"amount": 1234567890123456789012345678901234567890.1234567890}',
        b'{"amount": -1}',
        b'{"amount": 0}',
        b'{"amount": -0.0}',
        b'{"a": 1, "a": 2}',
        b'{"a": 1}{"a": 2}',
        b'{"a": 1}\n{"a": 2}',
        b'{"amount": "ten", "user_id": 7, "channel": ["ATM"], "location": {}}',
        b"{}",
        b'{"unknown": null, "txn_id": "T1"}',
        b'[{"a": 1}]',
        b'"text"',
        b"\xef\xbb\xbf{}",
        b'{"carriage": 1}\r\n',
        b'{"control": "\x00\x01\x7f"}',
        '{"right to left": "\u202e\u0001\u2028\U0001f4b8"}'.encode(),
        b'{"name": "\'; DROP TABLE users; --", "html": "<script>alert(1)</script>&amp;"}',
        b'{"timestamp": "2026-02-30 25:61:61"}',
        b'{"timestamp": "9999-12-31T23:59:59Z"}',
        b'{"timestamp": "0000-00-00 00:00:00"}',
    ]
    kafka.produce(domain.topic, wild)
    report = drain(domain, settings)
    topic_id = topic_id_of(kafka, domain)
    log = BronzeLog(s3, domain)
    records = list(bronze_records(log, topic_id))
    assert [record.value for record in records] == wild
    assert [(record.partition, record.offset) for record in records] == [(0, n) for n in range(len(wild))]
    assert all(abs(record.timestamp_ms / 1000 - time.time()) < 600 for record in records)
    assert (report.records, report.offsets) == (len(wild), {topic_id: {0: len(wild), 1: 0}})
    assert_books_balance(log, kafka.admin, domain, topic_id)
    assert drain(domain, settings).objects == 0


def test_offsets_are_right_where_kafka_has_gaps(
    domain: OwnDomain, kafka: Kafka, s3: S3Client, settings: Settings
) -> None:
    kafka.produce_transaction(domain.topic, numbered(0, 3), commit=True)
    kafka.produce_transaction(domain.topic, numbered(90, 95), commit=False)
    kafka.produce_transaction(domain.topic, numbered(3, 6), commit=True)
    kafka.produce_transaction(domain.topic, numbered(95, 99), commit=False, partition=1)
    drain(domain, settings)
    topic_id = topic_id_of(kafka, domain)
    log = BronzeLog(s3, domain)
    # 3 records and their mark, 5 aborted and their mark, 3 records and their mark
    assert [(r.partition, r.offset, r.value) for r in bronze_records(log, topic_id)] == [
        (0, offset, b'{"n":%d}' % number) for number, offset in enumerate([0, 1, 2, 10, 11, 12])
    ]
    assert log.end_positions() == {topic_id: {0: 14, 1: 5}}
    assert_books_balance(log, kafka.admin, domain, topic_id)
    kafka.produce(domain.topic, numbered(6, 8))
    drain(domain, settings)
    assert [r.offset for r in log.read(topic_id, 0, 11, 16)] == [11, 12, 14, 15]
    assert_books_balance(log, kafka.admin, domain, topic_id)


def test_two_writers_at_once_write_each_record_once(
    domain: OwnDomain, kafka: Kafka, s3: S3Client, settings: Settings
) -> None:
    log = BronzeLog(s3, domain)
    topic_id = topic_id_of(kafka, domain)
    with Follower(domain, kafka, s3) as one, Follower(domain, kafka, s3) as other:
        for step in range(20):
            kafka.produce(domain.topic, numbered(100 * step, 100 * step + 100), partition=step % 2)
        wait_until(lambda: log.end_positions() == {topic_id: {0: 1000, 1: 1000}}, "all of it in bronze")
    assert one.report.result().records + other.report.result().records <= 2000
    assert Counter(values(log, topic_id)) == Counter(numbered(0, 2000))
    assert_books_balance(log, kafka.admin, domain, topic_id)


def test_following_goes_on_with_a_topic_made_anew(domain: OwnDomain, kafka: Kafka, s3: S3Client) -> None:
    log = BronzeLog(s3, domain)
    first = topic_id_of(kafka, domain)
    with Follower(domain, kafka, s3):
        kafka.produce(domain.topic, numbered(0, 10))
        wait_until(lambda: log.end_offset(first, 0) == 10, "the first topic's records")
        kafka.delete(domain.topic)
        kafka.create(domain.topic, partitions=3)
        second = topic_id_of(kafka, domain)
        kafka.produce(domain.topic, numbered(50, 70), partition=2)
        wait_until(lambda: log.end_offset(second, 2) == 20, "the second topic's records")
    assert values(log, first) == numbered(0, 10)
    assert values(log, second) == numbered(50, 70)
    assert log.generations() == [first, second]


def test_following_waits_for_a_topic_and_takes_up_new_partitions(kafka: Kafka, s3: S3Client) -> None:
    domain = own_domain()
    log = BronzeLog(s3, domain)
    with Follower(domain, kafka, s3):
        kafka.create(domain.topic, partitions=1)
        kafka.produce(domain.topic, numbered(0, 5))
        topic_id = topic_id_of(kafka, domain)
        wait_until(lambda: log.end_offset(topic_id, 0) == 5, "the first partition's records")
        kafka.admin.create_partitions([NewPartitions(domain.topic, 2)])[domain.topic].result()
        wait_until(lambda: kafka.has_leaders(domain.topic, 2), "the second partition")
        kafka.produce(domain.topic, numbered(5, 9), partition=1)
        wait_until(lambda: log.end_offset(topic_id, 1) == 4, "the second partition's records")
    kafka.delete(domain.topic)


def test_a_bounded_run_needs_its_topic(settings: Settings) -> None:
    with pytest.raises(TopicMissingError):
        drain(own_domain(), settings)


def test_retention_that_passed_the_reader_is_an_error_with_the_range(
    domain: OwnDomain, kafka: Kafka, s3: S3Client, settings: Settings
) -> None:
    kafka.produce(domain.topic, numbered(0, 10))
    kafka.delete_before(
        domain.topic, 0, 4
    )  # before anything was ever ingested: not lost to bronze, it just begins later
    drain(domain, settings)
    topic_id = topic_id_of(kafka, domain)
    log = BronzeLog(s3, domain)
    assert [record.offset for record in bronze_records(log, topic_id)] == list(range(4, 10))
    assert_books_balance(log, kafka.admin, domain, topic_id)
    kafka.produce(domain.topic, numbered(10, 20))
    kafka.delete_before(domain.topic, 0, 15)
    with pytest.raises(PartitionsStuckError, match="offsets 10 to 14 of partition 0 are gone") as caught:
        drain(domain, settings)
    assert caught.value.obstacles == (Gap(0, 10, 14),)
    assert log.end_offset(topic_id, 0) == 10
    (stuck,) = stuck_partitions(kafka.config, domain, 10)
    assert (stuck.topic, stuck.partition, stuck.offset) == (domain.topic, 0, 10)
    assert "offsets 10 to 14 of partition 0 are gone" in stuck.reason
    assert stuck_partitions(kafka.config, own_domain(), 10) == []  # of which nothing was ever ingested


def test_places_in_a_long_chain_are_found_without_listing_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3 = s3_client(settings)
    listings: list[object] = []
    s3.meta.events.register("before-call.s3.ListObjectsV2", lambda params, **_: listings.append(params))
    monkeypatch.setattr(bronze_log, "PAGE", 5)  # so that few objects are many pages
    domain = own_domain()
    put_chain(s3, domain, "id", 0, [number * 7 for number in range(230)], 1_610)
    log = BronzeLog(s3, domain)
    assert log.end_offset("id", 0) == 1_610
    assert len(listings) < 20  # not the 46 pages
    listings.clear()
    assert (log.end_offset("id", 0, known=1_603), log.end_offset("id", 0, known=1_610)) == (1_610, 1_610)
    assert listings == []
    assert log.end_offset("id", 0, known=1_400) == 1_610
    listings.clear()
    assert [record.offset for record in log.read("id", 0, 791, 805)] == [791, 798]
    assert listings == []  # a reader that goes on where it ended
    assert [record.offset for record in log.read("id", 0, 790, 805)] == [791, 798]
    assert [listed.start for listed in log.objects("id", 0, 14, 50)] == [14, 21, 28, 35, 42, 49]
    assert (log.aligned("id", 0, 793), log.aligned("id", 0, 798)) == (798, 798)
    assert (log.step("id", 0, 798, 820, MANY), log.step("id", 0, 798, 799, MANY)) == (819, 805)
    assert (log.step("id", 0, 1_603, 9_999, MANY), log.step("id", 0, 1_610, 9_999, MANY)) == (1_610, 1_610)
    three = len(b"{}\n")
    assert (log.step("id", 0, 798, 9_999, 2 * three + 1), log.step("id", 0, 798, 9_999, 1)) == (812, 805)
    assert len(listings) < 20
    listings.clear()
    assert [log.follow("id", 0, 1_603, 9_999, MANY), log.follow("id", 0, 1_610, 9_999, MANY)] == [1_610, 1_610]
    assert [log.follow("id", 0, 798, limit, MANY) for limit in (799, 805, 811, 820)] == [805, 805, 805, 819]
    assert [log.follow("id", 0, 798, 9_999, size) for size in (1, 2 * three, 2 * three + 1)] == [805, 812, 812]
    assert listings == []
    assert log.follow("id", 0, 798, 9_999, 10 * three) == log.step("id", 0, 798, 9_999, 10 * three) == 826
    s3.delete_object(Bucket=BRONZE_BUCKET, Key=object_key(domain.bronze_folder, "id", 0, 798))
    with pytest.raises(BrokenChainError, match=r"0798\.json"):
        list(log.read("id", 0, 790, 805))


def test_a_stream_that_follows_the_chain_notices_within_a_minute_that_an_object_is_missing(settings: Settings) -> None:
    s3, domain, topic_id = s3_client(settings), own_domain(), any_topic_id()
    put_chain(s3, domain, topic_id, 0, [0], 7)
    log, now = BronzeLog(s3, domain), 0.0
    planner = BatchPlanner(log, {}, MANY, MANY, clock=lambda: now)
    assert planner.next_end() == {topic_id: {0: 7}}
    put_chain(s3, domain, topic_id, 0, [14, 21], 28)  # and none at 7
    now = 59.0
    assert planner.next_end() == {topic_id: {0: 7}}
    now = 61.0
    end = planner.next_end()[topic_id][0]
    assert end > 14
    with pytest.raises(BrokenChainError, match=r"07\.json"):
        list(log.read(topic_id, 0, 7, end))
