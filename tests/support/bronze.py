"""What tests of bronze share: topics of their own, plain Kafka clients, writers that are killed at chosen moments."""

from __future__ import annotations

import base64
import json
import multiprocessing
import random
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import psutil
from confluent_kafka import KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # the library forgot to list one

from include.domains import BRONZE_BUCKET, TRANSACTIONS, Domain, Kind
from include.ingest import IngestError, IngestReport, Limits, ingest
from include.kafka.topics import TOPICS, end_offsets, topic_id
from include.lake.bronze_log import BronzeLog
from include.lake.incoming import IncomingRecords
from include.lake.objects import encode, object_key
from include.lake.records import BronzeRecord, IncomingRecord
from include.lake.s3 import s3_client
from include.settings import Settings
from tests.support.books import assert_balanced, begin_anew, judge_all

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True, slots=True)
class OwnDomain(Domain):
    """A domain with a topic and a folder that no other test uses."""

    own_topic: str = ""

    @property
    def topic(self) -> str:
        return self.own_topic


def own_domain() -> OwnDomain:
    name = f"bronze-test-{uuid.uuid4().hex[:12]}"
    return OwnDomain(
        name=name,
        kind=Kind.EVENT,
        contract_file=TRANSACTIONS.contract_file,
        bronze_folder=f"{name}-folder",
        silver_folder=None,
        event_time="timestamp",
        keyed_by="user_id",
        own_topic=name,
    )


def await_condition(condition: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain for {what}"
        time.sleep(0.05)


class Kafka:
    """A plain client of the test's Kafka."""

    def __init__(self, settings: Settings) -> None:
        self.config: dict[str, Any] = {"bootstrap.servers": settings.kafka_bootstrap_servers}
        self.admin = AdminClient(self.config)

    def create(self, topic: str, partitions: int = 2, **config: str) -> None:
        def created() -> bool:
            new = NewTopic(topic, partitions, config={key.replace("_", "."): value for key, value in config.items()})
            try:
                self.admin.create_topics([new])[topic].result()
            except KafkaException as error:
                if "marked for deletion" in str(error) or "already exists" in str(error):
                    return False
                raise
            return True

        await_condition(created, f"topic {topic}")
        await_condition(lambda: self.has_leaders(topic, partitions), f"the leaders of {topic}")

    def delete(self, topic: str) -> None:
        self.admin.delete_topics([topic])[topic].result()

    def produce(self, topic: str, values: Sequence[bytes | None], partition: int = 0, spread_ms: int = 0) -> None:
        """``spread_ms``: how far the records' times lie apart at random, which makes the index of an object large."""
        producer = Producer({**self.config, "linger.ms": 5})
        now = int(time.time() * 1000)
        for value in values:
            timestamp = now - random.randrange(spread_ms) if spread_ms else now  # noqa: S311  # no secret
            producer.produce(topic, value, key=b"key", partition=partition, timestamp=timestamp)
        assert producer.flush(60) == 0

    def delete_before(self, topic: str, partition: int, offset: int) -> None:
        """What retention does, at once."""
        for answer in self.admin.delete_records([TopicPartition(topic, partition, offset)]).values():
            answer.result()

    def produce_transaction(self, topic: str, values: Sequence[bytes], *, commit: bool, partition: int = 0) -> None:
        before = end_offsets(self.admin, topic)[partition]
        producer = Producer({**self.config, "transactional.id": f"{topic}-{uuid.uuid4().hex}"})
        producer.init_transactions(60)
        producer.begin_transaction()
        for value in values:
            producer.produce(topic, value, partition=partition)
        assert producer.flush(60) == 0
        if commit:
            producer.commit_transaction(60)
        else:
            producer.abort_transaction(60)
        # Kafka answers before it has written the transaction's mark.
        end = before + len(values) + 1
        await_condition(lambda: end_offsets(self.admin, topic)[partition] == end, "the transaction's mark")

    def has_leaders(self, topic: str, partitions: int) -> bool:
        """Whether the topic has that many partitions, each with a broker that serves it."""
        try:
            return len(end_offsets(self.admin, topic)) == partitions
        except (KafkaException, LookupError):
            return False


def drain(domain: Domain, settings: Settings, limits: Limits | None = None) -> IngestReport:
    config = {"bootstrap.servers": settings.kafka_bootstrap_servers}
    return ingest(domain, consumer_config=config, s3=s3_client(settings), stop=lambda: False, limits=limits)


class Moment(Enum):
    """Where a writer can be made to stand still."""

    BEFORE_PUT = "the first objects are made and none is sent"
    AFTER_PUT = "an object is written and the writer does not know it yet"
    MID_BATCH = "of the objects of one flush, one is written and another is not sent"


class Writer:
    """A following writer in a process of its own, which a test kills, pauses and measures.

    With ``moment`` it stands still where it first comes to it: ``arrived`` waits for that and says which object it was
    about, ``go_on`` lets it go. It ends with the block.
    """

    def __init__(
        self,
        domain: Domain,
        settings: Settings,
        limits: Limits | None = None,
        moment: Moment | None = None,
        **consumer_config: object,
    ) -> None:
        processes = multiprocessing.get_context("forkserver")
        processes.set_forkserver_preload(["tests.support.bronze"])
        self._connection, theirs = processes.Pipe()
        self._told_to_stop = processes.Event()
        config = {
            "bootstrap.servers": settings.kafka_bootstrap_servers,
            **{key.replace("_", "."): value for key, value in consumer_config.items()},
        }
        arguments = (domain, settings, config, limits, moment, theirs, self._told_to_stop)
        self._process = processes.Process(target=_follow, args=arguments, daemon=True)
        self._process.start()
        theirs.close()
        assert self._process.pid is not None
        self._seen = psutil.Process(self._process.pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        self._process.kill()
        self._process.join()

    def stop(self) -> None:
        """Tell it to write what it has in hand and end."""
        self._told_to_stop.set()

    def pause(self) -> None:
        """SIGSTOP: all its threads stand still, its connections stay open."""
        self._seen.suspend()
        await_condition(lambda: self._seen.status() == psutil.STATUS_STOPPED, "the writer to stand still")

    def wake(self) -> None:
        self._seen.resume()

    def arrived(self) -> str:
        """The name of the object the chosen moment is about; for ``MID_BATCH`` the one that is not sent."""
        return str(self._heard())

    def go_on(self) -> int:
        """Let it leave the moment before the PUT; returns the HTTP status of S3's answer to that PUT."""
        self._connection.send(None)
        return int(self._heard())

    def error(self) -> Mapping[str, Any]:
        """How the writer ended by itself: the attributes of its ``IngestError``, its ``type`` and its ``text``."""
        return dict(self._heard())

    @property
    def alive(self) -> bool:
        return self._process.is_alive()

    def memory(self) -> int:
        """Bytes of memory it has now."""
        return int(self._seen.memory_info().rss)

    def _heard(self) -> Any:
        assert self._connection.poll(60), "the writer said nothing for 60 s"
        return self._connection.recv()


def _follow(
    domain: Domain,
    settings: Settings,
    consumer_config: Mapping[str, Any],
    limits: Limits | None,
    moment: Moment | None,
    test: Connection,
    told_to_stop: Event,
) -> None:
    """The body of a writer's process; it ends when its test's process does."""
    s3 = s3_client(settings)
    if moment is not None:
        _Brake(moment, test).attach(s3)
    parent = multiprocessing.parent_process()
    assert parent is not None
    try:
        ingest(
            domain,
            consumer_config=consumer_config,
            s3=s3,
            stop=lambda: told_to_stop.is_set() or not parent.is_alive(),
            follow=True,
            limits=limits,
        )
    except IngestError as error:
        test.send({**vars(error), "type": type(error).__name__, "text": str(error)})


class _Brake:
    """In the writer's process: holds the thread that comes to the chosen moment first, and tells the test."""

    def __init__(self, moment: Moment, test: Connection) -> None:
        self._moment = moment
        self._test = test
        self._here = threading.local()  # which object this thread is about to write
        self._changed = threading.Condition()
        self._answered = 0
        self._waiting = False
        self._used = False
        self._let_go = threading.Event()

    def attach(self, s3: S3Client) -> None:
        s3.meta.events.register("before-send.s3.PutObject", self._before)
        s3.meta.events.register("after-call.s3.PutObject", self._after)

    def _before(self, request: Any, **_: object) -> None:
        self._here.key = urlsplit(request.url).path.removeprefix(f"/{BRONZE_BUCKET}/")
        self._here.held = False
        if self._moment is Moment.BEFORE_PUT or (self._moment is Moment.MID_BATCH and self._another_is_written()):
            self._hold()

    def _after(self, http_response: Any, **_: object) -> None:
        if self._here.held:
            self._test.send(http_response.status_code)
        with self._changed:
            self._answered += 1
            self._changed.notify_all()
        if self._moment is Moment.AFTER_PUT and http_response.status_code == 200:
            self._hold()

    def _another_is_written(self) -> bool:
        """Whether another thread writes an object while this one waits: not long, it may be the only one."""
        with self._changed:
            if self._waiting:  # or all would wait for each other
                return False
            self._waiting, before = True, self._answered
            try:
                return self._changed.wait_for(lambda: self._answered > before, 0.2)
            finally:
                self._waiting = False

    def _hold(self) -> None:
        with self._changed:
            first, self._used = not self._used, True
        if first:
            self._here.held = True
            self._test.send(self._here.key)
            self._test.recv()
            self._let_go.set()
        elif self._moment is Moment.BEFORE_PUT:
            self._let_go.wait()


def transactions(count: int, padding: int = 0) -> list[bytes]:
    """Valid transactions with ids of their own, genuine and fraudulent, each ``padding`` bytes longer than need be."""
    run = uuid.uuid4().hex[:12]
    record = {
        "user_id": "U0001",
        "merchant_id": "M0001",
        "channel": "Online",
        "location": "Berlin",
        "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
        "padding": "x" * padding,
    }
    return [
        json.dumps({"txn_id": f"T{run}-{number}", "amount": 45_000 if number % 50 == 0 else number, **record}).encode()
        for number in range(1, count + 1)
    ]


MANY = 10**9
"""More bytes than any chain of a test has."""


def put_chain(s3: S3Client, domain: Domain, topic_id: str, partition: int, starts: list[int], end: int) -> None:
    """Objects with one record each, at the object's start."""
    for start, until in zip(starts, [*starts[1:], end], strict=True):
        (encoded,) = encode(
            IncomingRecords.of([IncomingRecord(start, 1000 + start, None, b"{}")]),
            topic=domain.topic,
            key_fields=domain.key_fields,
            partition=partition,
            start=start,
            end=until,
            now_ms=1000 + start,
        )
        s3.put_object(
            Bucket=BRONZE_BUCKET,
            Key=object_key(domain.bronze_folder, topic_id, partition, start),
            Body=encoded.body,
            Metadata=encoded.metadata,
        )


def any_topic_id() -> str:
    """An id as Kafka makes them, of no topic."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")


def bronze_records(log: BronzeLog, topic_id: str) -> Iterator[BronzeRecord]:
    for partition in log.partitions(topic_id):
        yield from log.read(topic_id, partition, 0, log.end_offset(topic_id, partition))


def assert_books_balance(log: BronzeLog, kafka: Kafka, domain: Domain, topic_id: str) -> None:
    """The objects of each partition follow one another without gap or overlap from 0 to where Kafka ends."""
    for partition, kafka_end in end_offsets(kafka.admin, domain.topic).items():
        end = 0
        for listed in log.objects(topic_id, partition):
            assert listed.start == end
            end = log.index(topic_id, partition, listed.start).end
        assert end == kafka_end, f"partition {partition}"


@contextmanager
def steadily(send: Callable[[bytes], None], per_second: int, padding: int = 0) -> Iterator[list[bytes]]:
    """Send so many transactions each second, from a thread, while the block runs; yields what was sent so far."""
    sent: list[bytes] = []
    stop = threading.Event()

    def send_on() -> None:
        while not stop.wait(0.05):  # the pace
            for value in transactions(per_second // 20, padding):
                sent.append(value)
                send(value)

    with ThreadPoolExecutor(1) as pool:
        end = pool.submit(send_on)
        try:
            yield sent
        finally:
            stop.set()
        end.result()


def values_by_partition(log: BronzeLog, topic_id: str) -> dict[int, list[bytes | None]]:
    """All values of bronze in the order of their offsets, which must be without a gap from 0."""
    found: dict[int, list[bytes | None]] = defaultdict(list)
    for record in bronze_records(log, topic_id):
        assert record.offset == len(found[record.partition])
        found[record.partition].append(record.value)
    return dict(found)


class TransactionsTopic:
    """The topic of transactions on servers of faults, empty at first, and what was produced to it."""

    def __init__(self, settings: Settings) -> None:
        begin_anew(settings, TRANSACTIONS)
        self.settings = settings
        self.kafka = Kafka(settings)
        self.s3 = s3_client(settings)
        self.log = BronzeLog(self.s3, TRANSACTIONS)
        self.produced: dict[str, dict[int, list[bytes | None]]] = {}
        """By topic id and partition, in order."""

    @property
    def id(self) -> str:
        found = topic_id(self.kafka.admin, TRANSACTIONS.topic)
        assert found is not None
        return found

    def produce(self, count: int, padding: int = 0) -> None:
        """So many records to each partition, with times of an hour, so that a large flush makes several objects."""
        ours = self.produced.setdefault(self.id, defaultdict(list))
        for partition in range(TOPICS[TRANSACTIONS.topic].partitions):
            values = transactions(count, padding)
            self.kafka.produce(TRANSACTIONS.topic, values, partition, spread_ms=3_600_000)
            ours[partition] += values

    def in_bronze(self) -> bool:
        """Whether bronze ends where Kafka does."""
        return self.log.end_positions().get(self.id) == end_offsets(self.kafka.admin, TRANSACTIONS.topic)

    def assert_each_record_is_in_bronze_once(self) -> None:
        """To the byte, in order, without a gap; and the fraud stream and ``verify`` are content with it."""
        assert {topic_id: values_by_partition(self.log, topic_id) for topic_id in self.produced} == self.produced
        judge_all(self.settings)
        assert_balanced(self.settings, TRANSACTIONS)
