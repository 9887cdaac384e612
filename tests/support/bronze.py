"""What is in bronze, and the ways to put something there: through Kafka, or object by object."""

from __future__ import annotations

import base64
import uuid
from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

from confluent_kafka.admin import AdminClient

from include.domains import BRONZE_BUCKET, Domain
from include.ingest import IngestReport, Limits, ingest
from include.kafka.topics import end_offsets
from include.lake.bronze_log import BronzeLog
from include.lake.incoming import IncomingRecords
from include.lake.objects import encode, object_key
from include.lake.records import BronzeRecord, IncomingRecord
from include.lake.s3 import s3_client
from include.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def drain(domain: Domain, settings: Settings, limits: Limits | None = None) -> IngestReport:
    """Ingest all that is in the domain's topic now."""
    config = {"bootstrap.servers": settings.kafka_bootstrap_servers}
    return ingest(domain, consumer_config=config, s3=s3_client(settings), stop=lambda: False, limits=limits)


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
    """All records of a topic in bronze, partition by partition."""
    for partition in log.partitions(topic_id):
        yield from log.read(topic_id, partition, 0, log.end_offset(topic_id, partition))


def values_by_partition(log: BronzeLog, topic_id: str) -> dict[int, list[bytes | None]]:
    """All values of bronze in the order of their offsets, which must be without a gap from 0."""
    found: dict[int, list[bytes | None]] = defaultdict(list)
    for record in bronze_records(log, topic_id):
        assert record.offset == len(found[record.partition])
        found[record.partition].append(record.value)
    return dict(found)


def assert_books_balance(log: BronzeLog, admin: AdminClient, domain: Domain, topic_id: str) -> None:
    """The objects of each partition follow one another without gap or overlap from 0 to where Kafka ends."""
    for partition, kafka_end in end_offsets(admin, domain.topic).items():
        end = 0
        for listed in log.objects(topic_id, partition):
            assert listed.start == end
            end = log.index(topic_id, partition, listed.start).end
        assert end == kafka_end, f"partition {partition}"
