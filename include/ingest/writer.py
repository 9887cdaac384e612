"""The bronze writer: copies a domain's topic from Kafka into bronze, up to its end or for as long as it is wanted.

The promise: each record, known by topic id, partition and offset, is in exactly one object, once, whatever is killed
when and however many writers run. It rests on three things. Where to go on is read from bronze alone. An object's name
is its start offset, and S3 lets a name be taken only once. And a record is written under a topic id only after Kafka
confirmed that id *after* the record was fetched.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from confluent_kafka import Consumer, KafkaError, TopicPartition

from include.domains import Domain
from include.ingest.errors import KafkaUnavailableError, Obstacle, PartitionsStuckError, TopicMissingError
from include.ingest.limits import Limits
from include.ingest.patience import Patience, StoppedError
from include.ingest.sink import BronzeSink, Written, due, full
from include.ingest.source import ANSWER_SECONDS, TopicReplacedError, TopicSource, consumer_settings
from include.ingest.stuck import consumer_group
from include.kafka.clients import admin_client
from include.kafka.topics import topic_id
from include.lake.bronze_log import BronzeLog
from include.lake.positions import Positions

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

log = logging.getLogger(__name__)

Stop: TypeAlias = Callable[[], bool]
"""Asked often, from several threads; True ends the ingestion."""

_COMMIT_SECONDS = 5.0


@dataclass(slots=True)
class IngestReport:
    """What one ingestion wrote; ``bytes`` counts the bodies.

    ``offsets``: where the partitions it read end now. ``gone_over``: what was gone from Kafka, or could not be read.
    """

    records: int = 0
    objects: int = 0
    bytes: int = 0
    seconds: float = 0.0
    offsets: Positions = field(default_factory=dict)
    gone_over: list[Obstacle] = field(default_factory=list)

    def add(self, written: Written) -> None:
        """Count what was written."""
        self.records += written.records
        self.objects += written.objects
        self.bytes += written.size


def ingest(
    domain: Domain,
    *,
    consumer_config: Mapping[str, Any],
    s3: S3Client,
    stop: Stop,
    follow: bool = False,
    over_gaps: bool = False,
    limits: Limits | None = None,
) -> IngestReport:
    """Copy the domain's topic into bronze.

    Without ``follow``: up to the ends that the partitions have at the start. With it: until ``stop`` says so, through
    outages up to ``limits.outage_seconds``, new partitions, and a topic that is deleted or made anew; it waits for a
    topic that does not exist. When told to stop, what has been fetched is written if the servers are there.

    Offsets without a record (marks of transactions, compacted records) are covered by the object of the next record;
    at the end of a partition by an object of their own, at the end of a bounded run at once, when following after
    ``limits.gap_seconds``. So bronze ends where Kafka ends.

    Where retention deleted records before they were ingested, or what Kafka has cannot be read, the partition is stuck:
    it is read no further. The others are read up to their ends, and then that is raised; when following, they are
    followed, and the partition is tried again every ``limits.retry_seconds``. With ``over_gaps`` the ingestion goes on
    behind such a place and reports it, and leaves a note in bronze for what it could not read: for the last ingestion
    of a topic that will be deleted. (The first ingestion of a partition begins where Kafka does.)

    ``consumer_config`` holds ``bootstrap.servers`` and what else a ``confluent_kafka.Consumer`` needs to get there.

    Raises:
        TopicMissingError: without ``follow``, there is no such topic, or no more.
        PartitionsStuckError: at the end, partitions are stuck.
        PositionBeyondEndError: Kafka ends before bronze does.
        KafkaUnavailableError, S3UnavailableError: a server was away for too long.
        StoreFullError: S3 has no room.
        confluent_kafka.KafkaException, botocore.exceptions.ClientError: a server refused what was asked.
    """
    began = time.monotonic()
    ingestion = _Ingestion(domain, consumer_config, s3, stop, limits or Limits())
    try:
        ingestion.run(follow, over_gaps)
    except StoppedError:
        log.info("topic %s: stopped while a server was away; what was not written will be read again", domain.topic)
    finally:
        ingestion.report.seconds = time.monotonic() - began
    return ingestion.report


class _Ingestion:
    """One call of ``ingest``: reads one topic id after the other."""

    def __init__(
        self, domain: Domain, consumer_config: Mapping[str, Any], s3: S3Client, stop: Stop, limits: Limits
    ) -> None:
        self.report = IngestReport()
        self._domain = domain
        self._s3 = s3
        self._stop = stop
        self._limits = limits
        self._patience = Patience(limits.outage_seconds, stop)
        self._admin = admin_client(consumer_config)
        self._consumer_config = consumer_config
        self._consumer_settings = consumer_settings(consumer_config, consumer_group(domain), limits)

    def run(self, follow: bool, over_gaps: bool) -> None:
        while (current := self._current_id(wait=follow)) is not None:
            source = self._source(current, over_gaps)
            sink = BronzeSink(self._s3, self._domain, source, self._patience)
            try:
                self._read(source, sink, follow)
            except TopicReplacedError:
                log.warning(
                    "topic %s (%s) was deleted; what was fetched and not written is gone", source.topic, current
                )
                continue
            finally:
                sink.close()
                source.close()
                self._conclude(source)
            return

    def _current_id(self, wait: bool) -> str | None:
        """The topic's id; None when told to stop before there is one."""
        topic = self._domain.topic
        while not self._stop():
            found = self._patience.with_kafka(lambda: topic_id(self._admin, topic, ANSWER_SECONDS))
            if found is not None:
                return found
            if not wait:
                raise TopicMissingError(topic)
            log.info("topic %s does not exist; waiting for it", topic)
            self._patience.pause(self._limits.check_seconds)
        return None

    def _source(self, current: str, over_gaps: bool) -> TopicSource:
        return TopicSource(
            topic=self._domain.topic,
            topic_id=current,
            consumer=Consumer({**self._consumer_settings, "on_commit": _log_failed_commit}),
            consumer_config=self._consumer_config,
            admin=self._admin,
            bronze=BronzeLog(self._s3, self._domain),
            patience=self._patience,
            limits=self._limits,
            over_gaps=over_gaps,
        )

    def _read(self, source: TopicSource, sink: BronzeSink, follow: bool) -> None:
        ends = source.refresh()
        log.info("topic %s (%s): bronze reaches to %s of %s", source.topic, source.topic_id, _reached(source), ends)
        if follow:
            self._follow(source, sink)
        else:
            self._drain(source, sink, ends)
        # More than once where another writer was first: it may have written less than is here.
        while any(buffer.pending for buffer in source.buffers.values()):
            self.report.add(sink.flush(source.buffers.keys()))
        source.commit()
        if source.stuck:
            raise PartitionsStuckError(source.topic, source.topic_id, source.stuck.values(), self.report)

    def _follow(self, source: TopicSource, sink: BronzeSink) -> None:
        next_refresh = next_commit = time.monotonic()
        next_retry = next_refresh + self._limits.retry_seconds
        while not self._stop():
            source.poll()
            self.report.add(sink.flush(due(source.buffers.items(), self._limits, time.monotonic())))
            now = time.monotonic()
            if now >= next_refresh:
                source.refresh()
                next_refresh = now + self._limits.check_seconds
            if now >= next_commit:
                source.commit()
                next_commit = now + _COMMIT_SECONDS
            if now >= next_retry:
                if source.stuck:
                    source.retry()
                next_retry = now + self._limits.retry_seconds

    def _drain(self, source: TopicSource, sink: BronzeSink, ends: dict[int, int]) -> None:
        moved, before = time.monotonic(), _reached(source)
        next_refresh = moved + self._limits.check_seconds
        while not self._stop() and any(
            source.buffers[partition].reached < end for partition, end in ends.items() if partition not in source.stuck
        ):
            source.poll()
            self.report.add(sink.flush(full(source.buffers.items(), self._limits)))
            now = time.monotonic()
            if (reached := _reached(source)) != before:
                moved, before = now, reached
            elif now - moved > self._limits.outage_seconds:
                raise KafkaUnavailableError(f"topic {source.topic}: nothing came, reached {reached} of {ends}")
            if now >= next_refresh:  # the client itself can be silent about a topic that was deleted
                source.refresh()
                next_refresh = now + self._limits.check_seconds

    def _conclude(self, source: TopicSource) -> None:
        self.report.gone_over += source.gone_over
        self.report.offsets[source.topic_id] = {
            partition: buffer.position for partition, buffer in sorted(source.buffers.items())
        }


def _reached(source: TopicSource) -> dict[int, int]:
    return {partition: buffer.reached for partition, buffer in source.buffers.items()}


def _log_failed_commit(error: KafkaError | None, _offsets: list[TopicPartition]) -> None:
    if error is not None:
        log.warning("the consumer group's offsets (for monitoring only) were not committed: %s", error)
