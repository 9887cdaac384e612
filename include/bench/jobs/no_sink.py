"""The fraud stream's query with a sink that does nothing; prints, as JSON, how long all but the first batch took."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator

import pyarrow as pa
from pyspark.sql import DataFrame

from include.settings import Settings
from include.spark.fraud_stream import classify_batches, parse_options, transactions
from include.spark.session import checkpoint_location, spark_session


def classify_and_count(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Do a worker's work, and hand on how many records it was."""
    for outcomes in classify_batches(batches):
        yield pa.record_batch({"records": [outcomes.num_rows]})


def main(arguments: list[str]) -> None:
    """Judge nothing until bronze's end."""
    options = parse_options(arguments)
    spark = spark_session("bench", Settings.from_environment())
    done: list[tuple[float, int]] = []

    def take(frame: DataFrame, _batch_id: int) -> None:
        counts = frame.mapInArrow(classify_and_count, "records long").toArrow()["records"].to_pylist()
        done.append((time.monotonic(), sum(counts)))

    started = (
        transactions(spark, options)
        .writeStream.option("checkpointLocation", checkpoint_location(options.checkpoint))
        .trigger(processingTime="0 seconds")
        .foreachBatch(take)
        .start()
    )
    started.processAllAvailable()
    started.stop()
    full = [(at, records) for at, records in done if records]
    seconds = full[-1][0] - full[0][0]
    print(json.dumps({"records": sum(records for _, records in full[1:]), "seconds": seconds}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
