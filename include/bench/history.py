"""A partition of bronze with as many objects as one likes: each of one record, as a quiet topic makes them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

from botocore.exceptions import ClientError
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from include.bench.submit import BenchError
from include.bench.traffic import transaction_source
from include.domains import BRONZE_BUCKET, TRANSACTIONS
from include.ingest.put import put_once
from include.kafka.topics import end_offsets, topic_id
from include.lake.bronze_log import BronzeLog
from include.lake.incoming import IncomingRecords
from include.lake.objects import encode, object_key
from include.lake.records import IncomingRecord
from include.lake.s3 import is_missing, s3_client
from include.settings import Settings

PARTITION = 0
"""All of it is here."""
_PARALLEL_PUTS = 8
_QUEUED = 10_000


class History:
    """Transactions in Kafka and, as far as ``end``, in bronze, which nobody else fills meanwhile.

    Ingesting that many records one by one would take an hour, so the objects are written beside the ingestion; they are
    what it would have written.
    """

    def __init__(self, settings: Settings) -> None:
        self.admin = AdminClient(settings.kafka_config)
        self.topic_id = topic_id(self.admin, TRANSACTIONS.topic) or ""
        self._s3 = s3_client(settings)
        self.log = BronzeLog(self._s3, TRANSACTIONS)
        self.end = self.log.end_offset(self.topic_id, PARTITION)
        self.objects = sum(1 for _ in self.log.objects(self.topic_id, PARTITION))
        self._source = transaction_source()
        self._producer = Producer({**settings.kafka_config, "linger.ms": 0})
        self._threads = ThreadPoolExecutor(_PARALLEL_PUTS, thread_name_prefix="bench-put")
        if self.end != end_offsets(self.admin, TRANSACTIONS.topic)[PARTITION]:
            raise BenchError("bronze is behind Kafka before it began")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.shutdown()

    def make(self, count: int) -> list[IncomingRecord]:
        """So many new records, which Kafka has now and bronze has not."""
        start = self.end
        made = [one.sent for one in self._source.take(count)]
        for number, (key, value) in enumerate(made):
            self._producer.produce(TRANSACTIONS.topic, value, key, PARTITION)
            if number % _QUEUED == 0:
                self._producer.flush()
        self._producer.flush()
        if end_offsets(self.admin, TRANSACTIONS.topic)[PARTITION] != start + count:
            raise BenchError(f"Kafka did not take {count} records after offset {start}, or took others, too")
        now_ms = round(time.time() * 1000)
        return [IncomingRecord(start + number, now_ms, key, value) for number, (key, value) in enumerate(made)]

    def write(self, records: Sequence[IncomingRecord]) -> None:
        """Bring the next records into bronze, each in an object of its own."""
        for written in self._threads.map(self._write, records):
            if not written:
                raise BenchError("somebody else writes to this partition")
        self.end += len(records)
        self.objects += len(records)

    def has(self, start: int) -> bool:
        """Whether bronze has an object that begins there."""
        try:
            self._s3.head_object(Bucket=BRONZE_BUCKET, Key=self._key(start))
        except ClientError as error:
            if not is_missing(error):
                raise
            return False
        return True

    def _write(self, record: IncomingRecord) -> bool:
        (encoded,) = encode(
            IncomingRecords.of([record]),
            topic=TRANSACTIONS.topic,
            key_fields=TRANSACTIONS.key_fields,
            partition=PARTITION,
            start=record.offset,
            end=record.offset + 1,
            now_ms=record.timestamp_ms,
        )
        return put_once(self._s3, self._key(record.offset), encoded)

    def _key(self, start: int) -> str:
        return object_key(TRANSACTIONS.bronze_folder, self.topic_id, PARTITION, start)
