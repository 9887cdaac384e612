"""Transactions from Kafka into MinIO by Spark's own source and writer; prints, as JSON, what the second time took.

At the first time a JVM compiles what it runs; a job that follows a topic pays for that once.
"""

from __future__ import annotations

import json
import time

from include.domains import BRONZE_BUCKET, TRANSACTIONS
from include.settings import Settings
from include.spark.session import spark_session


def main() -> None:
    """Copy all of the topic, twice."""
    settings = Settings.from_environment()
    spark = spark_session("bench", settings)
    source = spark.read.format("kafka").option("kafka.bootstrap.servers", settings.kafka_bootstrap_servers)
    records = source.option("subscribe", TRANSACTIONS.topic).option("startingOffsets", "earliest").load()
    # What bronze keeps, too.
    kept = records.selectExpr("CAST(value AS STRING) AS value", "partition", "offset", "timestamp")
    seconds = 0.0
    for _ in range(2):
        began = time.monotonic()
        kept.write.mode("append").json(f"s3a://{BRONZE_BUCKET}/bench-spark")
        seconds = time.monotonic() - began
    print(json.dumps({"records": records.count(), "seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
