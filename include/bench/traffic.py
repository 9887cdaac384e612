"""Transactions: how fast they are made and sent, and taken into bronze."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from faker import Faker

from include.bench.figures import Figure, Peer, by_turns
from include.bench.submit import OWN_JOBS, SPARKS_OWN_JVM, rate_of, with_jars
from include.domains import BRONZE_BUCKET, TRANSACTIONS, Domain
from include.generators.population import DEFAULT_MERCHANTS, DEFAULT_SEED, DEFAULT_USERS, Population
from include.generators.producer import RecordProducer
from include.generators.records import Record, encode
from include.generators.traffic import DEFAULT_FRAUD_SHARE, ProduceReport, new_run_id, produce_transactions
from include.generators.transactions import TransactionSource
from include.ingest import IngestReport, ingest
from include.kafka.bounds import READER
from include.kafka.topics import LABELS_TOPIC, end_offsets
from include.lake.bronze_log import BronzeLog
from include.lake.s3 import s3_client
from include.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

RECORDS = 300_000
FAKER_RECORDS = RECORDS // 20
"""The peer that calls Faker for each field is so much slower that fewer do."""
_TURN = 256
_PUT_FOLDER = "bench"


def produce(settings: Settings, records: int) -> float:
    """Make and send so many transactions, or a turn more, with their labels; returns how many a second."""
    done = False

    def look(report: ProduceReport) -> None:
        nonlocal done
        done = report.truth.total() >= records

    report = produce_transactions(settings.kafka_config, rate=None, dirt_share=0.0, stop=lambda: done, progress=look)
    return report.truth.total() / report.seconds


def generate(settings: Settings, rounds: int) -> list[Figure]:
    """Transactions made, serialised and acknowledged, with as many labels, by one process."""
    measured = by_turns(
        rounds,
        {
            "made": lambda: produce(settings, RECORDS),
            "sent": lambda: _send_made(settings),
            "faker": lambda: _faker_for_each_field(settings),
        },
    )
    peers = (
        Peer("the same sent without making them", measured["sent"], least_ratio=0.5),
        Peer("Faker called for each field", measured["faker"], least_ratio=20.0),
    )
    return [Figure("transactions made, sent and acknowledged", "1/s", measured["made"], 50_000, peers=peers)]


def bronze(settings: Settings, rounds: int) -> list[Figure]:
    """From Kafka into MinIO, by one process."""
    produce(settings, RECORDS)
    s3 = s3_client(settings)
    objects, jars = _ingested(settings, s3), with_jars("spark-kafka")
    measured = by_turns(
        rounds,
        {
            "bronze": lambda: _ingest_anew(settings, s3),
            "consumed": lambda: _consume(settings),
            "put": lambda: _put(s3, objects),
            "spark": lambda: rate_of(OWN_JOBS / "kafka_to_json.py", options=(*jars, *SPARKS_OWN_JVM)),
        },
    )
    slower = min(measured["consumed"], measured["put"], key=statistics.median)
    bare = tuple(
        Peer(what, measured[name], least_ratio=0.7 if measured[name] == slower else None)
        for name, what in (("consumed", "bare consuming"), ("put", "bare PUT of the same objects"))
    )
    peers = (*bare, Peer("Spark's Kafka source writing JSON, on all processors", measured["spark"]))
    return [Figure("records from Kafka into bronze", "1/s", measured["bronze"], peers=peers)]


def send_reference(settings: Settings, domain: Domain, records: Sequence[Record]) -> None:
    """Send records of reference data, each under its id, and bring them into bronze."""
    with RecordProducer(settings.kafka_config) as producer:
        producer.send_all(domain.topic, [(str(one[domain.key]).encode(), encode(one)) for one in records])
    take_in(settings, domain)


def take_in(settings: Settings, domain: Domain) -> IngestReport:
    """Bring the domain's bronze up to the end of its topic."""
    return ingest(domain, consumer_config=settings.kafka_config, s3=s3_client(settings), stop=lambda: False)


def _ingested(settings: Settings, s3: S3Client) -> list[tuple[bytes, int]]:
    """Body and number of records of each object of the transactions' bronze, which is brought up to Kafka's end."""
    take_in(settings, TRANSACTIONS)
    log = BronzeLog(s3, TRANSACTIONS)
    places = [(topic, partition) for topic in log.topic_ids() for partition in log.partitions(topic)]
    found = []
    for topic, partition in places:
        for listed in log.objects(topic, partition):
            body = s3.get_object(Bucket=BRONZE_BUCKET, Key=listed.key)["Body"].read()
            found.append((body, len(log.index(topic, partition, listed.start).offsets)))
    return found


def _ingest_anew(settings: Settings, s3: S3Client) -> float:
    remove_folder(s3, BRONZE_BUCKET, TRANSACTIONS.bronze_folder)
    report = take_in(settings, TRANSACTIONS)
    return report.records / report.seconds


def remove_folder(s3: S3Client, bucket: str, folder: str) -> None:
    """Delete all objects of a folder."""
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{folder}/"):
        for entry in page.get("Contents", []):
            s3.delete_object(Bucket=bucket, Key=entry["Key"])


def _consume(settings: Settings) -> float:
    """Read the topic with the client alone, in batches that Python's garbage collector does not notice."""
    began = time.monotonic()
    ends = end_offsets(AdminClient(settings.kafka_config), TRANSACTIONS.topic)
    consumer = Consumer({**settings.kafka_config, **READER, "group.id": "paylake-bench", "enable.auto.commit": False})
    try:
        consumer.assign([TopicPartition(TRANSACTIONS.topic, partition, 0) for partition in ends])
        left = sum(ends.values())
        while left > 0:
            messages = consumer.consume(min(left, 500), 1.0)  # more than there are would be waited for
            for message in messages:
                if error := message.error():
                    raise KafkaException(error)
            left -= len(messages)
        return sum(ends.values()) / (time.monotonic() - began)
    finally:
        consumer.close()


def _put(s3: S3Client, objects: Sequence[tuple[bytes, int]]) -> float:
    began = time.monotonic()
    for number, (body, _) in enumerate(objects):
        s3.put_object(Bucket=BRONZE_BUCKET, Key=f"{_PUT_FOLDER}/{number}", Body=body)
    return sum(records for _, records in objects) / (time.monotonic() - began)


def _send_made(settings: Settings) -> float:
    source = transaction_source()
    turns = [source.take(_TURN) for _ in range(RECORDS // _TURN)]
    began = time.monotonic()
    with RecordProducer(settings.kafka_config) as producer:
        for made in turns:
            producer.send_all(LABELS_TOPIC, [one.label_sent for one in made])
            producer.send_all(TRANSACTIONS.topic, [one.sent for one in made])
    return len(turns) * _TURN / (time.monotonic() - began)


def transaction_source() -> TransactionSource:
    """The transactions of the default population, under ids of their own."""
    population = Population(DEFAULT_SEED, DEFAULT_USERS, DEFAULT_MERCHANTS)
    return TransactionSource(population, run_id=new_run_id(), fraud_share=DEFAULT_FRAUD_SHARE)


def _faker_for_each_field(settings: Settings) -> float:
    faker = Faker()
    began = time.monotonic()
    with RecordProducer(settings.kafka_config) as producer:
        for _ in range(FAKER_RECORDS):
            key = faker.bothify("U####")
            record = {
                "txn_id": faker.uuid4(),
                "user_id": key,
                "amount": float(faker.pydecimal(left_digits=4, right_digits=2, positive=True)),
                "merchant_id": faker.bothify("M####"),
                "channel": faker.random_element(("ATM", "POS", "Online")),
                "location": faker.city(),
                "timestamp": faker.date_time_this_month().isoformat(timespec="milliseconds") + "Z",
            }
            label = {"txn_id": record["txn_id"], "is_fraud": faker.boolean(2), "timestamp": record["timestamp"]}
            producer.send(LABELS_TOPIC, str(record["txn_id"]).encode(), json.dumps(label).encode())
            producer.send(TRANSACTIONS.topic, key.encode(), json.dumps(record).encode())
    return FAKER_RECORDS / (time.monotonic() - began)
