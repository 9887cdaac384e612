"""Kafka killed, MinIO away or full, while the bronze writer works: it waits, within bounds, or says what is wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from include.domains import TRANSACTIONS
from include.generators.producer import RecordProducer
from include.heartbeat import VARIABLE, Silence
from include.ingest import Limits, StoreFullError
from include.lake.bronze_log import BronzeLog
from include.lake.s3 import s3_away, s3_client
from include.local.layout import Stack
from include.settings import Settings
from tests.support.bronze import drain, values_by_partition
from tests.support.bronze_writer import Writer
from tests.support.domains import own_domain
from tests.support.kafka import Kafka
from tests.support.records import transactions
from tests.support.servers import Servers, own_servers
from tests.support.transactions_topic import TransactionsTopic, steadily
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration

REPOSITORY = Path(__file__).parents[2]
MEGABYTE = 1024 * 1024
QUICK = Limits(flush_seconds=0.1, check_seconds=0.2)
# What a writer may hold beside what it usually does: what the client fetched ahead and what was under way when it had
# enough, full buffers, and the bodies of the objects that are made of them.
MOST_GROWTH = 150 * MEGABYTE


def send_to(producer: RecordProducer) -> Callable[[bytes], None]:
    """Sends a transaction with a key of its own, so that all partitions get some."""
    return lambda value: producer.send(TRANSACTIONS.topic, value[:40], value)


def records_in_bronze(topic: TransactionsTopic) -> int:
    return sum(topic.log.end_positions().get(topic.id, {}).values())


def assert_sent_is_in_bronze_once(topic: TransactionsTopic, sent: list[bytes]) -> None:
    bronze = values_by_partition(topic.log, topic.id)
    order = {value: number for number, value in enumerate(sent)}
    places = [[order[value] for value in values if value is not None] for values in bronze.values()]
    assert sorted(number for numbers in places for number in numbers) == list(range(len(sent)))
    assert all(numbers == sorted(numbers) for numbers in places), "each partition in the order of sending"
    topic.assert_each_record_is_in_bronze_once()


def test_kafka_killed_under_producing_and_following_loses_and_doubles_nothing(
    settings: Settings, servers: Servers
) -> None:
    topic = TransactionsTopic(settings)
    patient = {**topic.kafka.config, "delivery.timeout.ms": 120_000, "reconnect.backoff.max.ms": 1_000}
    with Writer(TRANSACTIONS, settings, QUICK) as writer:
        with RecordProducer(patient) as producer, steadily(send_to(producer), per_second=1_000) as sent:
            for _ in range(2):
                before = records_in_bronze(topic)
                wait_until(lambda before=before: records_in_bronze(topic) > before + 500, "records that flow")  # type: ignore[misc]
                servers.kill("kafka")
            before = records_in_bronze(topic)
            wait_until(lambda: records_in_bronze(topic) > before + 500, "records that flow again")
        wait_until(topic.in_bronze, "all that was sent in bronze")
        assert writer.alive
    assert_sent_is_in_bronze_once(topic, sent)


def outlast_minio(
    settings: Settings, servers: Servers, *, megabytes: int, seconds: float, per_second: int, **consumer_config: Any
) -> None:
    """Stop MinIO for so many seconds, and until so much was produced; the writer must not grow, and go on by itself."""
    topic = TransactionsTopic(settings)
    config = {**topic.kafka.config, "compression.type": "none"}
    memory: list[int] = []
    with Writer(TRANSACTIONS, settings, **consumer_config) as writer:

        def note_memory(condition: bool) -> bool:
            memory.append(writer.memory())
            return condition

        with (
            RecordProducer(config) as producer,
            steadily(send_to(producer), per_second=per_second, padding=100_000) as sent,
        ):
            wait_until(lambda: records_in_bronze(topic) > 200, "records that flow")
            usual = writer.memory()
            with servers.down("minio"):
                began, before = time.monotonic(), len(sent)
                wait_until(
                    lambda: note_memory(len(sent) - before > 10 * megabytes and time.monotonic() - began > seconds),
                    f"{megabytes} MB produced while MinIO is away",
                    seconds + 240,
                )
        wait_until(lambda: note_memory(topic.in_bronze()), "all that was sent in bronze", 240)
    assert max(memory) - usual < MOST_GROWTH, f"grew by {(max(memory) - usual) // MEGABYTE} MB"
    assert_sent_is_in_bronze_once(topic, sent)


def test_a_short_outage_of_minio_is_outlasted_with_little_memory(settings: Settings, servers: Servers) -> None:
    outlast_minio(settings, servers, megabytes=250, seconds=0, per_second=600)


@pytest.mark.long
def test_half_a_minute_without_minio_is_outlasted_with_little_memory(settings: Settings, servers: Servers) -> None:
    # Longer, too, than Kafka lets a consumer that is in a group be silent.
    outlast_minio(
        settings,
        servers,
        megabytes=600,
        seconds=30,
        per_second=200,
        max_poll_interval_ms=10_000,
        session_timeout_ms=6_000,
    )


@pytest.mark.long
def test_many_partitions_share_the_writers_memory(settings: Settings) -> None:
    kafka, domain = Kafka(settings), own_domain()
    kafka.create(domain.topic, partitions=40)
    for partition in range(40):
        kafka.produce(domain.topic, transactions(60, padding=100_000), partition)
    log = BronzeLog(s3_client(settings), domain)
    limits = Limits(flush_seconds=600, buffer_bytes=8 * MEGABYTE, fetch_queue_kilobytes=2 * 1024)
    memory: list[int] = []
    with Writer(domain, settings, limits) as writer:

        def nearly_all() -> bool:
            memory.append(writer.memory())
            return sum(sum(ends.values()) for ends in log.end_positions().values()) > 40 * 60 * 0.9

        wait_until(nearly_all, "nearly all records in bronze")
    assert max(memory) - min(memory) < 120 * MEGABYTE, f"grew by {(max(memory) - min(memory)) // MEGABYTE} of 240 MB"
    kafka.delete(domain.topic)


@contextmanager
def servers_with_a_small_store(folder: Path, megabytes: int) -> Iterator[tuple[Servers, Path]]:
    """Servers whose MinIO has a file system of its own of this size, in memory; needs root. Yields its place, too."""
    if os.geteuid() != 0:
        pytest.fail("a small disk can be mounted by root only: run ./paylake test faults as root")
    store = folder / "home" / "minio"

    def mount(_: Stack) -> None:
        store.mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(store)], check=True)

    def unmount() -> None:
        subprocess.run(["umount", "--lazy", str(store)], check=True)

    try:
        with own_servers(folder, mount) as servers:
            try:
                yield servers, store
            finally:
                unmount()  # before the folders are removed
    finally:
        if store.is_mount():  # the servers did not start
            unmount()


def fill(disk: Path, leave: int) -> Path:
    """Take all room of the disk but ``leave`` bytes."""
    filler = disk / "filler"
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize - leave)
    return filler


def has_room(settings: Settings) -> bool:
    try:
        drain(TRANSACTIONS, settings)
    except StoreFullError:
        return False
    return True


@pytest.mark.long
@pytest.mark.parametrize("leave", [0, 2 * MEGABYTE], ids=["no room at all", "room for a part"])
def test_a_full_store_is_an_error_that_says_so_and_ingestion_goes_on_when_there_is_room(
    tmp_path: Path, leave: int
) -> None:
    with servers_with_a_small_store(tmp_path, 300) as (servers, disk):
        topic = TransactionsTopic(servers.settings)
        topic.produce(100)
        drain(TRANSACTIONS, servers.settings)
        before = topic.log.end_positions()
        filler = fill(disk, leave)
        topic.produce(100, padding=100_000)
        with pytest.raises(StoreFullError, match=r"the object store is full \(XMinioStorageFull\)"):
            drain(TRANSACTIONS, servers.settings)
        with Writer(TRANSACTIONS, servers.settings) as writer:
            assert writer.error()["type"] == "StoreFullError"
        ours = topic.produced[topic.id]
        full = values_by_partition(topic.log, topic.id)
        assert full == {partition: ours[partition][: len(values)] for partition, values in full.items()}
        assert leave or topic.log.end_positions() == before
        filler.unlink()
        wait_until(lambda: has_room(servers.settings), "MinIO to see that it has room")
        topic.assert_each_record_is_in_bronze_once()


# The task's own operator; what waits for a server says so sooner than it would, for the test's sake.
FOLLOWER = """
from include import heartbeat
from paylake_airflow.operators.ingest import FollowOperator
heartbeat._ASK_SECONDS = 1.0
FollowOperator(task_id="ingest", domain="transactions").execute({})
"""


@contextmanager
def follower(settings: Settings, folder: Path, silence: Silence) -> Iterator[subprocess.Popen[bytes]]:
    s3 = {
        "conn_type": "aws",
        "login": settings.s3_access_key_id,
        "password": settings.s3_secret_access_key,
        "extra": {"endpoint_url": settings.s3_endpoint_url, "region_name": settings.s3_region},
    }
    kafka = {"conn_type": "kafka", "extra": {"bootstrap.servers": settings.kafka_bootstrap_servers}}
    environment = {
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW_CONN_LAKE_S3": json.dumps(s3),
        "AIRFLOW_CONN_KAFKA_DEFAULT": json.dumps(kafka),
        "AIRFLOW_CONN_WAREHOUSE": settings.warehouse_dsn,
        "PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "airflow" / "plugins")]),
        VARIABLE: silence.file,
    }
    with subprocess.Popen([sys.executable, "-c", FOLLOWER], env=os.environ | environment) as process:
        try:
            yield process
        finally:
            process.kill()


def await_beats(silence: Silence, number: int, what: str) -> None:
    for _ in range(number):
        wait_until(lambda: silence.silent_for() > 0.0, f"silence after {what}")
        wait_until(lambda: silence.silent_for() == 0.0, what, 20)


def test_an_ingestion_beats_while_it_waits_for_records_or_a_server_and_not_while_it_stands_still(
    settings: Settings, servers: Servers, tmp_path: Path
) -> None:
    topic, silence = TransactionsTopic(settings), Silence(tmp_path / "heartbeats")
    with follower(settings, tmp_path, silence) as process:
        topic.produce(10)
        wait_until(topic.in_bronze, "what was produced in bronze")
        await_beats(silence, 3, "a beat, though nothing comes")
        with servers.paused("kafka"):
            await_beats(silence, 5, "a beat while Kafka is away")
        with servers.paused("minio"):
            topic.produce(10)
            # The first ones may be of before.
            await_beats(silence, 5, "a beat while S3 is away")
        process.send_signal(signal.SIGSTOP)
        wait_until(lambda: silence.silent_for() > 8, "silence", 30)
        process.send_signal(signal.SIGCONT)
        await_beats(silence, 1, "a beat")
        wait_until(topic.in_bronze, "all that was produced in bronze")
    topic.assert_each_record_is_in_bronze_once()


def test_s3_that_answers_nothing_is_away(settings: Settings, servers: Servers) -> None:
    s3 = s3_client(settings, attempts=1, timeout=1)
    assert not s3_away(s3)
    with servers.paused("minio"):
        assert s3_away(s3)
    assert not s3_away(s3)
