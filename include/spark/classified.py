"""Classification inside Spark: bronze records in, one row out for each, whatever became of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import BinaryType, LongType, StringType, StructField, StructType

from include.domains import Domain
from include.quality.columns import OUTCOME, REJECTED, classify_batch
from include.spark.bronze_source import OffsetRange, map_ranges
from include.spark.silver_schema import ORIGIN, contract_columns


def classified_schema(domain: Domain) -> StructType:
    """Outcome and origin of each record; the contract's columns of a valid one; why and what of a rejected one."""
    rejected = [
        StructField("reasons", StringType()),
        StructField("kafka_timestamp_ms", LongType()),
        StructField("raw", BinaryType()),
    ]
    return StructType([StructField(OUTCOME, StringType()), *ORIGIN, *rejected, *contract_columns(domain)])


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

    def classify_batches(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for outcomes in classify_batch(domain, batch):
                yield as_classified(domain, outcomes, generations)

    return classify_batches


def as_classified(domain: Domain, outcomes: pa.RecordBatch, generations: Sequence[str]) -> pa.RecordBatch:
    """Outcomes with the columns of `classified_schema`; ``outcomes`` has those of ``outcome_schema``.

    Only rejected records keep their bytes.

    Raises:
        KeyError: a record is of a topic that is none of the ``generations``.
    """
    numbers = {topic_id: number for number, topic_id in enumerate(generations)}
    own = {
        "bronze_topic_id": outcomes["topic_id"],
        "bronze_partition": outcomes["partition"],
        "bronze_offset": outcomes["offset"],
        "bronze_generation": pa.array([numbers[one] for one in outcomes["topic_id"].to_pylist()], pa.int32()),
        "bronze_taken_ms": outcomes["taken_ms"],
        "kafka_timestamp_ms": outcomes["timestamp_ms"],
        "raw": pc.if_else(pc.equal(outcomes[OUTCOME], REJECTED), outcomes["value"], None),
    }
    schema = to_arrow_schema(classified_schema(domain))
    columns = [own[name] if name in own else outcomes[name] for name in schema.names]
    return pa.RecordBatch.from_arrays(columns, schema=schema)
