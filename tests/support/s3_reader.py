"""A Spark driver that looks into buckets for a test, through the S3 of its JVM.

Each line of its input is a JSON object: ``uri`` of a bucket, and ``environment`` of other settings than its own, for
which S3 is opened anew. Each line of its output says ``may``, or by what error it may not.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession

from include.settings import Settings
from include.spark.session import configuration, spark_session


def look(spark: SparkSession, uri: str, environment: dict[str, str] | None) -> str:
    """List the bucket."""
    jvm: Any = spark._jvm
    own = spark.sparkContext._jsc.hadoopConfiguration()
    path = jvm.org.apache.hadoop.fs.Path(uri)
    try:
        if environment is None:
            path.getFileSystem(own).listStatus(path)
            return "may"
        other = jvm.org.apache.hadoop.conf.Configuration()
        for name, value in configuration(Settings.from_environment(environment)).items():
            if name.startswith("spark.hadoop."):
                other.set(name.removeprefix("spark.hadoop."), str(value))
        jvm.org.apache.hadoop.fs.FileSystem.newInstance(path.toUri(), other).listStatus(path)
    except Py4JJavaError as error:
        return str(error.java_exception.getClass().getSimpleName())
    return "may"


def main() -> None:
    """Answer until the input ends."""
    spark = spark_session("looks into buckets", Settings.from_environment(), source=False)
    for line in sys.stdin:
        print(look(spark, **json.loads(line)), flush=True)
    spark.stop()


if __name__ == "__main__":
    main()
