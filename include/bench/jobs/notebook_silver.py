"""Silver as a notebook makes it: read everything, clean it, append it as Parquet.

It is no better off for that: what it appends again and again is there again and again.
"""

from __future__ import annotations

from pyspark.sql import functions as F  # noqa: N812

from include.domains import BRONZE_BUCKET, MERCHANTS, SILVER_BUCKET
from include.settings import Settings
from include.spark.session import spark_session

if __name__ == "__main__":
    spark = spark_session("bench", Settings.from_environment())
    bronze = spark.read.option("recursiveFileLookup", "true").json(f"s3a://{BRONZE_BUCKET}/{MERCHANTS.bronze_folder}")
    clean = (
        bronze.dropna(subset=[MERCHANTS.key, MERCHANTS.event_time])
        .withColumn("merchant_name", F.trim("merchant_name"))
        .withColumn(MERCHANTS.event_time, F.to_timestamp(MERCHANTS.event_time))
        .dropDuplicates([MERCHANTS.key])
    )
    clean.write.mode("append").parquet(f"s3a://{SILVER_BUCKET}/bench-notebook")
