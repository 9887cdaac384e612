"""Bronze writers killed at the worst moments, and woken when another has long gone on: each record once."""

from __future__ import annotations

import random
import socket
import time
from collections import Counter
from threading import Event
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from include.domains import BRONZE_BUCKET, TRANSACTIONS
from include.ingest import Limits, ingest
from include.lake.objects import object_key
from include.lake.s3 import is_missing, s3_client
from include.settings import Settings
from tests.support.bronze import drain
from tests.support.bronze_writer import Moment, Writer
from tests.support.transactions_topic import TransactionsTopic
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration

QUICK = Limits(flush_records=200, flush_seconds=0.02, check_seconds=0.2)
# What two partitions have is too much at once, so several are written in one flush.
CROWDED = Limits(flush_records=10_000, flush_seconds=5.0, check_seconds=0.2, buffer_bytes=400_000)
KILLS: dict[Moment | None, int] = {Moment.BEFORE_PUT: 15, Moment.AFTER_PUT: 15, Moment.MID_BATCH: 15, None: 15}


def is_there(topic: TransactionsTopic, key: str) -> bool:
    try:
        topic.s3.head_object(Bucket=BRONZE_BUCKET, Key=key)
    except ClientError as error:
        if is_missing(error):
            return False
        raise
    return True


def test_a_writer_killed_sixty_times_at_the_worst_moments_loses_and_doubles_nothing(settings: Settings) -> None:
    topic = TransactionsTopic(settings)
    chance = random.Random(20_260_131)  # noqa: S311  # no secret
    plan = [moment for moment, count in KILLS.items() for _ in range(count)]
    chance.shuffle(plan)
    happened: Counter[Moment | None] = Counter()
    for moment in plan:
        topic.produce(500 if moment is Moment.MID_BATCH else 100)  # 500: more than one object of each partition
        before = topic.log.end_positions()
        limits = CROWDED if moment is Moment.MID_BATCH else QUICK
        with Writer(TRANSACTIONS, settings, limits, moment) as writer:
            if moment is None:
                time.sleep(chance.uniform(0, 0.6))  # the moment is the point of the test
                assert writer.alive
                writer.kill()
            else:
                key = writer.arrived()
                writer.kill()
                assert is_there(topic, key) == (moment is Moment.AFTER_PUT)
                if moment is Moment.MID_BATCH:
                    assert topic.log.end_positions() != before, "an object beside the one not sent was written"
        happened[moment] += 1
    assert happened == KILLS
    drain(TRANSACTIONS, settings)
    topic.assert_each_record_is_in_bronze_once()


def test_a_writer_woken_from_a_long_pause_gives_way_to_the_one_that_went_on(settings: Settings) -> None:
    topic = TransactionsTopic(settings)
    for _ in range(3):
        with Writer(TRANSACTIONS, settings, QUICK, Moment.BEFORE_PUT) as sleeper:
            topic.produce(200)
            held = sleeper.arrived()
            sleeper.pause()
            with Writer(TRANSACTIONS, settings, QUICK):
                for _ in range(3):
                    topic.produce(200)
                    wait_until(topic.in_bronze, "the other writer's objects")
                assert is_there(topic, held)
                sleeper.wake()
                assert sleeper.go_on() == 412, "S3 refuses the name that the other writer has taken"
                for _ in range(5):
                    topic.produce(200)
                wait_until(topic.in_bronze, "what came while both wrote")
            topic.produce(200)
            wait_until(topic.in_bronze, "the objects of the one that had slept, alone again")
            assert sleeper.alive
    topic.assert_each_record_is_in_bronze_once()


def test_a_writer_that_starts_while_another_writes_does_not_take_kafka_for_shortened(settings: Settings) -> None:
    topic = TransactionsTopic(settings)
    topic.produce(10)
    drain(TRANSACTIONS, settings)
    s3 = s3_client(settings)
    overtaken = Event()

    def be_overtaken(**_: object) -> None:
        """When the starting writer knows Kafka's ends and is about to ask for those of bronze."""
        if not overtaken.is_set():
            overtaken.set()
            topic.produce(50)
            drain(TRANSACTIONS, settings)

    s3.meta.events.register("before-call.s3.ListObjectsV2", be_overtaken)
    config = {"bootstrap.servers": settings.kafka_bootstrap_servers}
    ingest(TRANSACTIONS, consumer_config=config, s3=s3, stop=lambda: False)
    assert overtaken.is_set()
    topic.assert_each_record_is_in_bronze_once()


def test_a_writer_wakes_where_retention_has_deleted_what_another_wrote_meanwhile(settings: Settings) -> None:
    topic = TransactionsTopic(settings)
    with Writer(TRANSACTIONS, settings, QUICK, Moment.BEFORE_PUT) as sleeper:
        topic.produce(50)
        sleeper.arrived()
        sleeper.pause()
        topic.produce(1000)
        drain(TRANSACTIONS, settings)
        for partition in range(4):
            topic.kafka.delete_before(TRANSACTIONS.topic, partition, 1_050)
        sleeper.wake()
        assert sleeper.go_on() == 412
        topic.produce(50)
        wait_until(topic.in_bronze, "what came after it woke")
        assert sleeper.alive
    topic.assert_each_record_is_in_bronze_once()


@pytest.mark.long
def test_a_writer_that_stands_still_while_it_sends_holds_the_others_up_for_a_minute_at_most(settings: Settings) -> None:
    topic = TransactionsTopic(settings)
    topic.produce(100)
    first_object = object_key(TRANSACTIONS.bronze_folder, topic.id, 0, 0)
    name = {"Bucket": BRONZE_BUCKET, "Key": first_object}
    address = urlsplit(topic.s3.generate_presigned_url("put_object", {**name, "IfNoneMatch": "*"}))
    with socket.create_connection((address.hostname, address.port)) as standing_still:
        head = f"PUT {address.path}?{address.query} HTTP/1.1\r\nHost: {address.netloc}\r\nIf-None-Match: *\r\n"
        standing_still.sendall(f"{head}Content-Length: 1000000\r\n\r\nthe first of a million bytes".encode())
        began = time.monotonic()
        drain(TRANSACTIONS, settings)
        assert time.monotonic() - began < 60
    topic.assert_each_record_is_in_bronze_once()
