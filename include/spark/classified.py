"""Classification inside Spark: bronze records in, one row out for each, whatever became of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import BinaryType, LongType, StringType, StructField, StructType

from include.domains import Domain
from include.lake.records import BronzeRecord
from include.quality import Reason, Rejected, Tombstone, Valid, classify
from include.spark.bronze_source import OffsetRange, bronze_records, map_ranges
from include.spark.silver_schema import COORDINATES, contract_columns

OUTCOME = "outcome"
VALID, REJECTED, TOMBSTONE = "valid", "rejected", "tombstone"


def classified_schema(domain: Domain) -> StructType:
    """Outcome and coordinates of each record; the contract's columns of a valid one; why and what of a rejected one."""
    rejected = [
        StructField("reasons", StringType()),
        StructField("kafka_timestamp_ms", LongType()),
        StructField("raw", BinaryType()),
    ]
    return StructType([StructField(OUTCOME, StringType()), *COORDINATES, *rejected, *contract_columns(domain)])


def classified_ranges(
    spark: SparkSession, domain: Domain, ranges: Sequence[OffsetRange], generations: Sequence[str]
) -> DataFrame:
    """The records in these ranges of bronze with what became of them.

    ``generations`` are the domain's topic ids, oldest first.
    """
    return map_ranges(spark, domain, ranges, batch_classifier(domain, generations), classified_schema(domain))


def classified(domain: Domain, bronze: DataFrame, generations: Sequence[str]) -> DataFrame:
    """The same for records in a frame that has the columns of the data source ``bronze``."""
    return bronze.mapInArrow(batch_classifier(domain, generations), classified_schema(domain))


def batch_classifier(
    domain: Domain, generations: Sequence[str]
) -> Callable[[Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]]:
    """The function that Spark's workers run on batches of bronze."""
    by_topic = {topic_id: number for number, topic_id in enumerate(generations)}

    def classify_batches(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        schema = to_arrow_schema(classified_schema(domain))
        for batch in batches:
            rows = [_row(domain, record, by_topic) for record in bronze_records(batch)]
            yield pa.RecordBatch.from_pylist(rows, schema=schema)

    return classify_batches


def rejected_row(record: BronzeRecord, generation: int, reasons: Iterable[Reason]) -> dict[str, Any]:
    """The row of a record that was rejected for these reasons."""
    return {
        **_coordinates(record, generation),
        OUTCOME: REJECTED,
        "reasons": json.dumps([reason.as_dict() for reason in reasons], ensure_ascii=False),
        "kafka_timestamp_ms": record.timestamp_ms,
        "raw": record.value,
    }


def _row(domain: Domain, record: BronzeRecord, generations: dict[str, int]) -> dict[str, Any]:
    coordinates = _coordinates(record, generations[record.topic_id])
    match classify(domain, record):
        case Valid(row):
            return {**row, **coordinates, OUTCOME: VALID}
        case Rejected(reasons):
            return rejected_row(record, generations[record.topic_id], reasons)
        case Tombstone():
            return {**coordinates, OUTCOME: TOMBSTONE}


def _coordinates(record: BronzeRecord, generation: int) -> dict[str, Any]:
    return {
        "bronze_topic_id": record.topic_id,
        "bronze_partition": record.partition,
        "bronze_offset": record.offset,
        "bronze_generation": generation,
        "bronze_taken_ms": record.taken_ms,
    }
