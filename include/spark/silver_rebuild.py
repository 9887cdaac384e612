"""Days of a domain of events made anew from bronze, in one snapshot."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StructType

from include.domains import Domain
from include.lake.bronze_log import BronzeLog
from include.lake.coordinates import Coordinates, Span
from include.lake.s3 import s3_client
from include.lake.silver_files import remove_stray_files
from include.quality.columns import OUTCOME, VALID
from include.quarantine import landing
from include.settings import Settings
from include.spark.bronze_source import offset_ranges
from include.spark.classified import classified_ranges
from include.spark.silver_job import SilverJob
from include.spark.silver_run import domain_lock
from include.spark.silver_schema import COORDINATES, VERSION_COLUMN, table_schema
from include.spark.silver_table import Book, SilverTable

log = logging.getLogger("paylake.silver")


class OtherRecordsError(RuntimeError):
    """By today's code other records belong to these days than silver holds: it has to be made anew as a whole."""


def rebuild_days(domain: Domain, settings: Settings, spark: SparkSession, first: date, last: date) -> int:
    """Clean all records of the days from ``first`` to ``last`` (UTC) anew and put them in the place of what is there.

    Reads all of bronze up to where silver is, for a record of a day may have come at any time. Returns how many rows
    these days have. It may die anywhere: what is published is whole.

    Raises:
        OtherRecordsError: other records would be in these days than are now; nothing was changed.
        ConflictError: another run has published meanwhile, though this one held the lock once; nothing was changed.
    """
    with domain_lock(settings, domain) as lock:
        bronze = BronzeLog(s3_client(settings), domain)
        state = SilverJob(spark, domain, settings, lock, bronze).take_over()
        ranges = offset_ranges({}, state.position)
        spans = [Span(one.topic_id, one.partition, one.start, one.end - 1) for one in ranges]
        records = classified_ranges(spark, domain, ranges, bronze.generations())
        moment = F.col(domain.event_time)
        of_days = (moment >= F.lit(_midnight(first))) & (moment < F.lit(_midnight(last) + timedelta(days=1)))
        version = state.silver_version + 1
        rows = (
            _without(spark, records.where(F.col(OUTCOME) == VALID).where(of_days), landing.unsettled(lock, spans))
            .withColumn(VERSION_COLUMN, F.lit(version).cast("bigint"))
            .select(*table_schema(domain).fieldNames())
            # A day is one task's, and the days of a task come one after the other.
            .repartition(F.to_date(moment))
            .sortWithinPartitions(moment)
        )
        table = SilverTable(spark, domain, settings)
        table.evolve()
        table.begin(state.snapshot_id)
        table.replace(rows, of_days, replace(Book.of(state), version=version))
        held, made = table.published().where(of_days), table.prepared().where(of_days)
        before, count = held.count(), made.count()
        ours = [column.name for column in COORDINATES]
        same = count == before and made.join(held, ours, "left_anti").isEmpty()
        if same:
            table.publish(state.snapshot_id)
            log.info("%s: %d rows of %s to %s were made anew", domain.name, count, first, last)
        table.tidy()
        remove_stray_files(settings, domain)
        if not same:
            raise OtherRecordsError(
                f"{domain.name}: from {first} to {last} silver holds {before} records, and today's code and contract"
                f" make {count}, or others, of them. Drop the table; the next run rebuilds it from bronze."
            )
        return count


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _without(spark: SparkSession, records: DataFrame, left_out: Iterable[Coordinates]) -> DataFrame:
    """The records but those, which wait in quarantine or silver has yet to take in."""
    schema = StructType(list(COORDINATES))
    places = [dict(zip(schema.fieldNames(), one, strict=True)) for one in left_out]
    if not places:
        return records
    frame = spark.createDataFrame(pa.Table.from_pylist(places, to_arrow_schema(schema)), schema)
    return records.join(F.broadcast(frame), schema.fieldNames(), "left_anti")
