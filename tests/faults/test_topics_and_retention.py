"""Topics that vanish or are made anew under the bronze writer, and retention that overtakes it."""

from __future__ import annotations

import time
from collections import defaultdict

import pytest
from confluent_kafka import Producer

from include.domains import TRANSACTIONS
from include.ingest import Gap, Limits, PartitionsStuckError, TopicMissingError, ingest
from include.ingest.stuck import stuck_partitions
from include.kafka.scan import scan
from include.kafka.topics import reset_topics, topic_id
from include.lake.s3 import s3_client
from include.settings import Settings
from include.verify import Report, verify
from tests.support.bronze import drain, values_by_partition
from tests.support.bronze_writer import Moment, Writer
from tests.support.transactions_topic import TransactionsTopic, steadily
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration

QUICK = Limits(flush_seconds=0.05, gap_seconds=0.3, check_seconds=0.05)


def kafka_values(topic: TransactionsTopic) -> dict[int, list[bytes | None]]:
    found: dict[int, list[bytes | None]] = defaultdict(list)
    for message in scan(topic.kafka.config, TRANSACTIONS.topic, unreadable=lambda one: pytest.fail(str(one))):
        found[message.partition() or 0].append(message.value())
    return dict(found)


def reached(topic: TransactionsTopic, partition: int) -> int:
    return topic.log.end_offset(topic.id, partition)


def ranges(report: Report, check: str) -> dict[int | None, tuple[tuple[int, int], ...]]:
    """By partition, the offsets that the verification has found wrong in this way."""
    return {finding.partition: finding.ranges for finding in report.findings if finding.check == check}


def test_following_outlives_a_topic_that_is_made_anew_again_and_again_under_producing(settings: Settings) -> None:
    topic = TransactionsTopic(settings)
    producer = Producer(
        {
            **topic.kafka.config,
            # Without retries no record can come twice; those that a reset makes fail are of no interest.
            "retries": 0,
            "linger.ms": 5,
            "topic.metadata.refresh.interval.ms": 500,
            # While it is made anew the topic is not there, which is no reason to refuse a record.
            "topic.metadata.propagation.max.ms": 600_000,
        }
    )

    def send(value: bytes) -> None:
        producer.produce(TRANSACTIONS.topic, value)
        producer.poll(0)

    ids = [topic.id]
    with Writer(TRANSACTIONS, settings, QUICK) as writer, steadily(send, per_second=1_000) as sent:
        for _ in range(5):
            wait_until(lambda: ids[-1] in topic.log.topic_ids(), "records of this topic in bronze")
            ids.append(reset_topics(topic.kafka.admin, [TRANSACTIONS.topic])[TRANSACTIONS.topic])
        wait_until(lambda: ids[-1] in topic.log.topic_ids(), "records of the last topic in bronze")
        assert writer.alive
    producer.flush(60)
    drain(TRANSACTIONS, settings)
    assert topic.log.generations() == ids
    bronze = {each: values_by_partition(topic.log, each) for each in ids}
    assert bronze[ids[-1]] == kafka_values(topic)
    order = {value: number for number, value in enumerate(sent)}
    everything = [value for partitions in bronze.values() for values in partitions.values() for value in values]
    assert len(set(everything)) == len(everything), "no record is in bronze under two topics"
    for partitions in bronze.values():
        for values in partitions.values():
            assert values == sorted(values, key=lambda value: order[value])  # type: ignore[index]
    topic.assert_each_record_is_in_bronze_once()


def test_a_writer_that_sleeps_through_a_reset_keeps_the_two_topics_apart(settings: Settings) -> None:
    topic = TransactionsTopic(settings)
    with Writer(TRANSACTIONS, settings, QUICK, Moment.BEFORE_PUT) as sleeper:
        topic.produce(50)
        sleeper.arrived()
        sleeper.pause()
        old, ours = topic.id, topic.produced.pop(topic.id)
        reset_topics(topic.kafka.admin, [TRANSACTIONS.topic])
        topic.produce(200)
        sleeper.wake()
        assert sleeper.go_on() == 200, "what it had in hand was of the old topic and is kept as such"
        wait_until(topic.in_bronze, "the new topic's records")
    kept = values_by_partition(topic.log, old)
    assert kept
    assert kept == {partition: ours[partition][: len(values)] for partition, values in kept.items()}
    topic.assert_each_record_is_in_bronze_once()


def test_a_topic_that_is_deleted_for_good_is_waited_for_or_missed_and_what_was_read_stays(settings: Settings) -> None:
    topic = TransactionsTopic(settings)
    with Writer(TRANSACTIONS, settings, QUICK) as writer:
        topic.produce(300)
        wait_until(topic.in_bronze, "the records in bronze")
        topic.kafka.delete(TRANSACTIONS.topic)
        wait_until(lambda: topic_id(topic.kafka.admin, TRANSACTIONS.topic) is None, "the topic to be gone")
        with pytest.raises(TopicMissingError, match="there is no topic transactions"):
            drain(TRANSACTIONS, settings)
        topic.assert_each_record_is_in_bronze_once()
        assert writer.alive


def test_a_bounded_run_whose_topic_is_deleted_under_it_ends_soon_and_says_so(settings: Settings) -> None:
    topic = TransactionsTopic(settings)
    topic.produce(100)
    drain(TRANSACTIONS, settings)
    for partition in range(4):  # more than the client fetches ahead
        topic.kafka.produce(TRANSACTIONS.topic, [b"x" * 500_000] * 40, partition)
    looks: list[float] = []

    def delete_when_it_reads() -> bool:
        looks.append(time.monotonic())
        if len(looks) == 2:  # the first is before it knows the topic
            topic.kafka.delete(TRANSACTIONS.topic)
        return False

    with pytest.raises(TopicMissingError):
        ingest(TRANSACTIONS, consumer_config=topic.kafka.config, s3=topic.s3, stop=delete_when_it_reads)
    assert time.monotonic() - looks[1] < 15
    topic.assert_each_record_is_in_bronze_once()


def test_a_bounded_run_names_all_that_retention_took_from_it_and_reads_the_rest(settings: Settings) -> None:
    topic = TransactionsTopic(settings)
    topic.produce(10)
    drain(TRANSACTIONS, settings)
    topic.produce(20)
    topic.kafka.delete_before(TRANSACTIONS.topic, 1, 15)
    topic.kafka.delete_before(TRANSACTIONS.topic, 2, 30)
    gaps = (Gap(1, 10, 14), Gap(2, 10, 29))
    with pytest.raises(
        PartitionsStuckError, match=r"offsets 10 to 14 of partition 1 .* offsets 10 to 29 of p"
    ) as caught:
        drain(TRANSACTIONS, settings)
    assert (caught.value.topic_id, caught.value.obstacles) == (topic.id, gaps)
    ours = topic.produced[topic.id]
    assert values_by_partition(topic.log, topic.id) == {0: ours[0], 1: ours[1][:10], 2: ours[2][:10], 3: ours[3]}
    report = verify(settings, domains=[TRANSACTIONS], wait_seconds=0)
    assert ranges(report, "lost_in_kafka") == {1: ((10, 14),), 2: ((10, 29),)}
    assert ranges(report, "bronze_behind") == {1: ((15, 29),)}


def test_after_retention_took_records_the_way_out_keeps_all_that_is_left(settings: Settings) -> None:
    topic = TransactionsTopic(settings)
    topic.produce(10)
    drain(TRANSACTIONS, settings)
    topic.produce(20)
    topic.kafka.delete_before(TRANSACTIONS.topic, 1, 15)
    report = ingest(
        TRANSACTIONS, consumer_config=topic.kafka.config, s3=s3_client(settings), stop=lambda: False, over_gaps=True
    )
    assert report.gone_over == [Gap(1, 10, 14)]
    old, ours = topic.id, topic.produced.pop(topic.id)
    kept = [record.value for record in topic.log.read(old, 1, 0, 30)]
    assert kept == ours[1][:10] + ours[1][15:]
    reset_topics(topic.kafka.admin, [TRANSACTIONS.topic])
    topic.produce(30)
    drain(TRANSACTIONS, settings)
    topic.assert_each_record_is_in_bronze_once()


def test_following_goes_on_beside_what_retention_overtook_and_nothing_is_skipped_in_silence(settings: Settings) -> None:
    topic = TransactionsTopic(settings)
    with Writer(TRANSACTIONS, settings, QUICK) as writer:
        topic.produce(10)
        wait_until(topic.in_bronze, "the writer to follow")
        writer.pause()
        topic.produce(10)  # the answer to the request that is under way; the writer may still get it
        topic.produce(30)
        topic.kafka.delete_before(TRANSACTIONS.topic, 0, 35)
        topic.kafka.delete_before(TRANSACTIONS.topic, 3, 50)
        writer.wake()
        wait_until(lambda: len(stuck_partitions(topic.kafka.config, TRANSACTIONS, 5)) == 2, "the writer to tell")
        topic.produce(10)  # the other partitions are followed on
        wait_until(lambda: reached(topic, 1) == reached(topic, 2) == 60, "the other partitions")
        ends, told = topic.log.end_positions()[topic.id], stuck_partitions(topic.kafka.config, TRANSACTIONS, 5)
        writer.stop()
        error = writer.error()
    assert error["type"] == "PartitionsStuckError"
    assert error["obstacles"] == (Gap(0, ends[0], 34), Gap(3, ends[3], 49))
    assert {ends[0], ends[3]} <= set(range(10, 21))
    assert [(one.partition, one.offset) for one in told] == [(0, ends[0]), (3, ends[3])]
    assert told[0].reason.startswith(f"offsets {ends[0]} to 34 of partition 0 are gone and were never ingested")
    ours = topic.produced[topic.id]
    expected = {partition: ours[partition][:end] for partition, end in ends.items()}
    assert values_by_partition(topic.log, topic.id) == expected
    report = verify(settings, domains=[TRANSACTIONS], wait_seconds=0)
    assert ranges(report, "lost_in_kafka") == {0: ((ends[0], 34),), 3: ((ends[3], 49),)}
    # Kafka does not know the old topic any more, so nothing can be said of it but that what bronze has is in its place.
    del topic.produced[topic.id]
    reset_topics(topic.kafka.admin, [TRANSACTIONS.topic])
    topic.produce(20)
    drain(TRANSACTIONS, settings)
    topic.assert_each_record_is_in_bronze_once()
    assert stuck_partitions(topic.kafka.config, TRANSACTIONS, 5) == []


def test_what_the_ingestion_tells_is_read_while_the_group_s_coordinator_is_made_anew(settings: Settings) -> None:
    kafka = TransactionsTopic(settings).kafka
    for _ in range(5):
        assert stuck_partitions(kafka.config, TRANSACTIONS, 30) == []
        # Without its topic there is no coordinator, until the next question makes both.
        kafka.admin.delete_topics(["__consumer_offsets"])["__consumer_offsets"].result(30)
    assert stuck_partitions(kafka.config, TRANSACTIONS, 30) == []
