"""Transactions in ranges of bronze: read and classified by Spark's workers, collected as columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import chain

import pyarrow as pa
from pyspark.sql import SparkSession

from include.domains import TRANSACTIONS
from include.lake.bronze_log import BronzeLog
from include.quality import Rejected
from include.quality.columns import classify_batch, outcome_batch, outcome_schema
from include.quality.isolate import isolate, lies_in_records, try_twice, unprocessable
from include.spark.bronze_source import OffsetRange, halved, read_range, readable, tasks_for

SCHEMA = outcome_schema(TRANSACTIONS)
PART_OFFSETS = 20_000
"""A part has about so many offsets: while the driver writes it, the workers are at the next one."""


class RangeCollector:
    """Collects what lies in ranges of bronze; a record that makes that fail comes as rejected, ``unprocessable``.

    ``jobs`` counts Spark's jobs that have ended, those that failed, too: by that a long batch shows that it moves.
    """

    def __init__(self, spark: SparkSession, bronze: BronzeLog) -> None:
        self._spark = spark
        self._bronze = bronze
        self.jobs = 0

    def parts(self, ranges: Sequence[OffsetRange]) -> Iterator[pa.Table]:
        """What becomes of the records of the ranges, as tables with `SCHEMA`.

        Each part goes on in all ranges, so that partitions stay in step with each other. The first is collected at
        once, each other one while its caller is busy with the one before.
        """
        first, *others = _parted(ranges)
        return chain([self._collect(first)], self._ahead(others))

    def _ahead(self, parts: Sequence[Sequence[OffsetRange]]) -> Iterator[pa.Table]:
        with ThreadPoolExecutor(1, "collector") as pool:
            following: list[Future[pa.Table]] = [pool.submit(self._collect, part) for part in parts]
            try:
                for one in following:
                    yield one.result()
            finally:
                pool.shutdown(cancel_futures=True)

    def _collect(self, ranges: Sequence[OffsetRange]) -> pa.Table:
        try:
            return try_twice(lambda: self._take(ranges), "reading a batch")
        except Exception as error:
            if not lies_in_records(error):
                raise
            return pa.concat_tables(isolate(ranges, self._take, halved, self._refuse))

    def _take(self, ranges: Sequence[OffsetRange]) -> pa.Table:
        # No DataFrame: to plan one takes longer than all else that is done for a small batch.
        of_ranges = self._spark.sparkContext.parallelize(ranges, tasks_for(ranges))
        try:
            chunks = of_ranges.mapPartitions(classified).collect()
        finally:
            self.jobs += 1
        tables = [pa.ipc.open_stream(chunk).read_all() for chunk in chunks]
        return pa.concat_tables([SCHEMA.empty_table(), *tables])

    def _refuse(self, ranges: Sequence[OffsetRange], error: Exception) -> pa.Table:
        outcome = Rejected((unprocessable(error),))
        records = (record for one in ranges for record in readable(self._bronze, one))
        return pa.Table.from_batches([outcome_batch(TRANSACTIONS, ((record, outcome) for record in records))])


def classified(ranges: Iterable[OffsetRange]) -> Iterator[bytes]:
    """What becomes of the records in the ranges: tables with `SCHEMA`, each an Arrow stream.

    As bytes, because the JVM would take columns apart into rows, and make columns of these again for the driver.
    """
    for one in ranges:
        for batch in read_range(TRANSACTIONS, one):
            chunk = pa.BufferOutputStream()
            with pa.ipc.new_stream(chunk, SCHEMA) as stream:
                for outcomes in classify_batch(TRANSACTIONS, batch):
                    stream.write_batch(outcomes)
            yield chunk.getvalue().to_pybytes()


def _parted(ranges: Sequence[OffsetRange]) -> list[list[OffsetRange]]:
    """The ranges in parts of about `PART_OFFSETS`, each with the same share of every range; at least one part."""
    parts = max(1, -(-sum(one.end - one.start for one in ranges) // PART_OFFSETS))
    cut = [[_share(one, number, parts) for one in ranges] for number in range(parts)]
    return [[one for one in part if one.start < one.end] for part in cut]


def _share(one: OffsetRange, number: int, parts: int) -> OffsetRange:
    length = one.end - one.start
    return replace(one, start=one.start + length * number // parts, end=one.start + length * (number + 1) // parts)
