"""Stepping over what Kafka has and nobody can read, on somebody's word: a note takes its place in bronze."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from confluent_kafka.admin import AdminClient

from include.domains import DOMAINS, Domain
from include.ingest.errors import SkipRefusedError
from include.ingest.put import put_once
from include.kafka.clients import admin_client
from include.kafka.topics import end_offsets, start_offsets, topic_id
from include.kafka.unreadable import Probe, Unreadable
from include.lake.bronze_log import BronzeLog
from include.lake.coordinates import Coordinates
from include.lake.incoming import IncomingRecords
from include.lake.objects import encode, object_key
from include.lake.unreadable import note

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def skip(kafka_config: Mapping[str, Any], s3: S3Client, record: Coordinates) -> Unreadable:
    """Bring bronze over what cannot be read at ``record``, whose topic is there now.

    Writes one object, as an ingestion would: it covers the batch that cannot be read and holds one record, the note.
    The next ingestion goes on behind it; one that follows the topic, within ``Limits.retry_seconds``. Returns what was
    stepped over; its ``last`` is known.

    Raises:
        SkipRefusedError: ``record`` can be read, is not the next to be ingested, is in no topic of Paylake, or nobody
            can tell where it would be read on. Nothing was written.
        confluent_kafka.KafkaException, TimeoutError: Kafka does not answer, or refuses.
        botocore.exceptions.BotoCoreError, ClientError: S3 does not answer.
        CorruptObjectError: bronze cannot be read.
    """
    admin = admin_client(kafka_config)
    live_id, partition, offset = record
    domain = _domain(admin, live_id)
    ends, starts = end_offsets(admin, domain.topic), start_offsets(admin, domain.topic)
    if partition not in ends:
        raise SkipRefusedError(f"topic {domain.topic} has no partition {partition}")
    bronze = BronzeLog(s3, domain)
    position = bronze.end_offset(live_id, partition)
    # What retention left is where the first ingestion of a partition begins.
    following = position or starts[partition]
    if offset < following:
        raise SkipRefusedError(f"{record} is behind us: bronze goes on from offset {following}")
    if offset >= ends[partition]:
        raise SkipRefusedError(f"there is nothing at {record} yet: the partition ends at {ends[partition]}")
    if offset > following:
        raise SkipRefusedError(f"{record} is not the next to be ingested: that is offset {following}")
    found = Probe(kafka_config, domain.topic, partition).unreadable_at(offset, ends[partition])
    if found is None:
        raise SkipRefusedError(f"{record} can be read, so the next ingestion will read it")
    if found.last is None:
        raise SkipRefusedError(
            f"{found}. Nobody can tell where the partition can be read again: mend the broker, or reset the topic (the "
            "DAG reset_topics brings what can be read into bronze)"
        )
    if topic_id(admin, domain.topic) != live_id:
        raise SkipRefusedError(f"topic {domain.topic} was made anew meanwhile")
    stand_in = note(found, found.last)
    (encoded,) = encode(
        IncomingRecords.of([stand_in]),
        topic=domain.topic,
        key_fields=domain.key_fields,
        partition=partition,
        start=position,
        end=found.last + 1,
        now_ms=stand_in.timestamp_ms,
    )
    if not put_once(s3, object_key(domain.bronze_folder, live_id, partition, position), encoded):
        end = bronze.index(live_id, partition, position).end
        if end != encoded.end:
            raise SkipRefusedError(f"somebody else was faster: bronze goes on from offset {end}")
    return found


def _domain(admin: AdminClient, live_id: str) -> Domain:
    for domain in DOMAINS.values():
        if topic_id(admin, domain.topic) == live_id:
            return domain
    raise SkipRefusedError(f"no topic has the id {live_id} now")
