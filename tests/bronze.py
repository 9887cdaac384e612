"""What the tests of bronze share: topics of their own, plain Kafka clients, and a writer that can be killed."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from include.domains import TRANSACTIONS, Domain
from include.ingest import IngestReport, Limits, ingest
from include.kafka.topics import end_offsets
from include.lake.bronze_log import BronzeLog
from include.lake.records import BronzeRecord
from include.lake.s3 import s3_client
from include.settings import Settings


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
        contract_file=TRANSACTIONS.contract_file,
        bronze_folder=f"{name}-folder",
        silver_folder=None,
        event_time="timestamp",
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
        self.config = {"bootstrap.servers": settings.kafka_bootstrap_servers}
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
        await_condition(lambda: self._has_leaders(topic, partitions), f"the leaders of {topic}")

    def delete(self, topic: str) -> None:
        self.admin.delete_topics([topic])[topic].result()

    def produce(self, topic: str, values: Sequence[bytes | None], partition: int = 0) -> None:
        producer = Producer({**self.config, "linger.ms": 5})
        for value in values:
            producer.produce(topic, value, key=b"key", partition=partition)
        assert producer.flush(60) == 0

    def produce_transaction(self, topic: str, values: Sequence[bytes], *, commit: bool, partition: int = 0) -> None:
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

    def _has_leaders(self, topic: str, partitions: int) -> bool:
        try:
            return len(end_offsets(self.admin, topic)) == partitions
        except (KafkaException, LookupError):
            return False


def drain(domain: Domain, settings: Settings, limits: Limits | None = None) -> IngestReport:
    config = {"bootstrap.servers": settings.kafka_bootstrap_servers}
    return ingest(domain, consumer_config=config, s3=s3_client(settings), stop=lambda: False, limits=limits)


def follow_for_ever(domain: Domain, settings: Settings, limits: Limits) -> None:
    """The body of a writer process that a test kills."""
    config = {"bootstrap.servers": settings.kafka_bootstrap_servers}
    ingest(domain, consumer_config=config, s3=s3_client(settings), stop=lambda: False, follow=True, limits=limits)


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
