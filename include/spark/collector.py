"""Transactions in ranges of bronze: read, classified and judged by Spark's workers, collected as columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import chain

import pyarrow as pa
from pyspark.sql import SparkSession

from include.domains import TRANSACTIONS
from include.fraud.judged import JUDGED_SCHEMA, judge
from include.fraud.rules import Rules
from include.lake.bronze_log import BronzeLog
from include.quality import Rejected
from include.quality.columns import classify_batch, outcome_batch
from include.quality.isolate import isolate, lies_in_records, try_twice, unprocessable
from include.spark.bronze_source import OffsetRange, halved, read_range, readable, tasks_for

PART_OFFSETS = 20_000
"""A part has about so many offsets, or one range: while the driver writes it, the workers are at the next one."""


class RangeCollector:
    """Collects what lies in ranges of bronze; a record that makes that fail comes as rejected, ``unprocessable``.

    ``jobs`` counts Spark's jobs that have ended, those that failed, too: by that a long batch shows that it moves.
    """

    def __init__(self, spark: SparkSession, bronze: BronzeLog, rules: Rules) -> None:
        self._spark = spark
        self._bronze = bronze
        self._rules = rules
        self.jobs = 0

    def parts(self, ranges: Sequence[OffsetRange]) -> Iterator[pa.Table]:
        """What becomes of the records of the ranges, range by range in order, as tables with `JUDGED_SCHEMA`.

        The first part is collected at once, each other one while its caller is busy with the one before.
        """
        first, *others = _parted(ranges) or [[]]
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
            chunks = of_ranges.mapPartitions(partial(judged, self._rules)).collect()
        finally:
            self.jobs += 1
        tables = [pa.ipc.open_stream(chunk).read_all() for chunk in chunks]
        return pa.concat_tables([JUDGED_SCHEMA.empty_table(), *tables])

    def _refuse(self, ranges: Sequence[OffsetRange], error: Exception) -> pa.Table:
        outcome = Rejected((unprocessable(error),))
        records = (record for one in ranges for record in readable(self._bronze, one))
        refused = outcome_batch(TRANSACTIONS, ((record, outcome) for record in records))
        return pa.Table.from_batches([judge(refused, self._rules)])


def judged(rules: Rules, ranges: Iterable[OffsetRange]) -> Iterator[bytes]:
    """What becomes of the records in the ranges: tables with `JUDGED_SCHEMA`, each an Arrow stream.

    As bytes, because the JVM would take columns apart into rows, and make columns of these again for the driver.
    """
    for one in ranges:
        for batch in read_range(TRANSACTIONS, one):
            chunk = pa.BufferOutputStream()
            with pa.ipc.new_stream(chunk, JUDGED_SCHEMA) as stream:
                for outcomes in classify_batch(TRANSACTIONS, batch):
                    stream.write_batch(judge(outcomes, rules))
            yield chunk.getvalue().to_pybytes()


def _parted(ranges: Sequence[OffsetRange]) -> list[list[OffsetRange]]:
    """The ranges in their order, in parts of `PART_OFFSETS` or, where one range has more, of one range."""
    parts: list[list[OffsetRange]] = []
    left = 0
    for one in ranges:
        if not parts or one.end - one.start > left:
            parts.append([])
            left = PART_OFFSETS
        parts[-1].append(one)
        left -= one.end - one.start
    return parts
