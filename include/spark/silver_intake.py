"""From bronze into silver, snapshot by snapshot; a record that makes a snapshot fail is refused alone."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import psycopg
from pyspark.sql import SparkSession

from include.domains import Domain
from include.lake.bronze_log import BronzeLog
from include.lake.positions import Positions
from include.quality.isolate import isolate, lies_in_records, try_twice
from include.quality.limit import RejectedLimit
from include.quarantine import landing
from include.settings import Settings
from include.spark.bronze_source import OffsetRange, ends_of, halved, offset_ranges
from include.spark.classified import classified_ranges
from include.spark.silver_job import Done, SilverJob

SNAPSHOT_BYTES = 32 * 1024 * 1024
"""So many bytes of bronze's objects one snapshot takes in: the driver holds what became of them whole."""


class Intake:
    """Takes bronze into silver, snapshot by snapshot; a record that makes a snapshot fail is refused alone."""

    def __init__(
        self,
        spark: SparkSession,
        domain: Domain,
        settings: Settings,
        lock: psycopg.Connection,
        bronze: BronzeLog,
        limit: RejectedLimit,
    ) -> None:
        self._spark = spark
        self._domain = domain
        self._settings = settings
        self._lock = lock
        self._bronze = bronze
        self._limit = limit
        self._generations = bronze.generations()

    def up_to(self, position: Positions, end: Positions, deadline: float) -> list[Done]:
        """Take in what lies between ``position``, where silver is, and ``end``, and all that is asked of quarantine.

        No snapshot is begun after ``deadline`` (of the monotonic clock) but the first.
        """
        done: list[Done] = []
        while True:
            stop = next_stop(self._bronze, position, end)
            done += self._take_in(position, stop)
            position = stop
            # More may have been asked for than one snapshot takes, or something since.
            finished = position == end and not landing.in_hand(self._lock, self._domain, position)
            if finished or time.monotonic() > deadline:
                return done

    def once(self, position: Positions, end: Positions) -> Done:
        """Take in one snapshot towards ``end``, and what is asked of quarantine, tried once."""
        return self._snapshot(next_stop(self._bronze, position, end))

    def _take_in(self, position: Positions, stop: Positions) -> list[Done]:
        try:
            return [try_twice(lambda: self._snapshot(stop), f"a snapshot of {self._domain.name}")]
        except Exception as error:
            if not lies_in_records(error):
                raise
        # What was asked of quarantine may be what cannot be processed; it stays there.
        asked = landing.requested(self._lock, self._domain, position)
        landing.refuse(self._lock, self._domain, (one.coordinates for one in asked))
        ranges: Sequence[OffsetRange] = offset_ranges(position, stop)
        if not ranges:
            return [self._snapshot(stop)]
        struck = self._struck(ranges)
        return isolate(
            ranges,
            lambda part: self._snapshot(ends_of(part), struck),
            halved,
            lambda part, error: self._snapshot(ends_of(part), {**struck, part[0]: error}),
        )

    def _struck(self, ranges: Sequence[OffsetRange]) -> dict[OffsetRange, Exception]:
        """Records that cannot be read and classified, as ranges of one offset: to find them takes no snapshots."""

        def take(part: Sequence[OffsetRange]) -> dict[OffsetRange, Exception]:
            records = classified_ranges(self._spark, self._domain, part, self._generations)
            records.write.format("noop").mode("overwrite").save()
            return {}

        found = isolate(ranges, take, halved, lambda part, error: {part[0]: error})
        return {place: error for part in found for place, error in part.items()}

    def _snapshot(self, end: Positions, struck: Mapping[OffsetRange, Exception] | None = None) -> Done:
        job = SilverJob(self._spark, self._domain, self._settings, self._lock, self._bronze)
        return job.run(end, self._generations, self._limit, struck or {})


def next_stop(bronze: BronzeLog, position: Positions, end: Positions) -> Positions:
    """How far the next snapshot goes: whole objects up to `SNAPSHOT_BYTES`, but at least one of each partition."""
    ranges = offset_ranges(position, end)
    stop = {topic_id: dict(partitions) for topic_id, partitions in position.items()}
    for one in ranges:
        start = bronze.aligned(one.topic_id, one.partition, one.start)
        reached = bronze.step(one.topic_id, one.partition, start, one.end, SNAPSHOT_BYTES // len(ranges))
        stop.setdefault(one.topic_id, {})[one.partition] = reached
    return stop if offset_ranges(stop, end) else end
