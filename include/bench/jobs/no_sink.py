"""The fraud stream's query with a sink that does nothing; prints, as JSON, how long all but the first batch took."""

from __future__ import annotations

import json
import sys
import time

from pyspark.sql import DataFrame

from include.domains import TRANSACTIONS
from include.fraud.checkpoint import batch_positions
from include.lake.bronze_log import BronzeLog
from include.lake.s3 import s3_client
from include.settings import Settings
from include.spark.bronze_source import offset_ranges
from include.spark.collector import RangeCollector
from include.spark.fraud_stream import parse_options, transactions
from include.spark.session import checkpoint_location, spark_session


def main(arguments: list[str]) -> None:
    """Classify until bronze's end, and write nothing."""
    options = parse_options(arguments)
    settings = Settings.from_environment()
    spark = spark_session("bench", settings)
    s3 = s3_client(settings)
    collector = RangeCollector(spark, BronzeLog(s3, TRANSACTIONS))
    done: list[tuple[float, int]] = []

    def take(_frame: DataFrame, batch_id: int) -> None:
        ranges = offset_ranges(*batch_positions(s3, options.checkpoint, batch_id))
        records = sum(part.num_rows for part in collector.parts(ranges))
        done.append((time.monotonic(), records))

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
