"""Does once what Spark jobs do here, so that the JVM that runs it meets the classes they need.

    spark-submit --conf spark.driver.extraJavaOptions=-XX:ArchiveClassesAtExit=<file> include/spark/class_archive_job.py

It needs no server and leaves nothing behind: its tables and its stream lie in a temporary folder. At the addresses of
S3 and PostgreSQL nobody answers; the way there is what is needed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable

import pyarrow as pa
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812

from include.settings import Settings
from include.spark.session import CATALOG, Configuration, configuration

NOWHERE = Settings(
    kafka_bootstrap_servers="127.0.0.1:1",
    s3_endpoint_url="http://127.0.0.1:1",
    s3_access_key_id="nobody",
    s3_secret_access_key="nobody",  # noqa: S106 (of nobody)
    s3_region="us-east-1",
    warehouse_dsn="postgresql://nobody@127.0.0.1:1/nowhere",
)
ROWS = pa.table({"key": ["a", "b"], "amount": pa.array([1, 2], pa.int64())})
TABLE = f"{CATALOG}.archive.rows"


def main() -> None:
    """Do all of it."""
    with tempfile.TemporaryDirectory() as folder:
        spark = _session(folder)
        _silver(spark)
        _stream(spark, folder)
        _servers(spark)
        spark.stop()


def _session(folder: str) -> SparkSession:
    settings = configuration(NOWHERE)
    catalog = f"spark.sql.catalog.{CATALOG}"
    # Beside the catalog that jobs use one of the same name as theirs, which needs no server.
    aside = {name.replace(CATALOG, "nowhere", 1): value for name, value in settings.items() if name.startswith(catalog)}
    files: Configuration = {f"{catalog}.type": "hadoop", f"{catalog}.warehouse": f"file://{folder}/tables"}
    once: Configuration = {"spark.hadoop.fs.s3a.attempts.maximum": "1", "spark.hadoop.fs.s3a.retry.limit": "0"}
    kept = {name: value for name, value in settings.items() if not name.startswith(f"{catalog}.")}
    everything = kept | {catalog: settings[catalog]} | files | aside | once
    return SparkSession.builder.appName("class archive").config(map=everything).getOrCreate()


def _silver(spark: SparkSession) -> None:
    """A table, read and changed as silver does it."""
    spark.conf.set("spark.sql.codegen.wholeStage", False)
    spark.conf.set("spark.sql.codegen.factoryMode", "NO_CODEGEN")
    rows = spark.createDataFrame(ROWS)
    rows.limit(0).writeTo(TABLE).using("iceberg").tableProperty("write.merge.mode", "copy-on-write").create()
    for branch in ("first", "second"):
        spark.sql(f"ALTER TABLE {TABLE} CREATE BRANCH {branch}")
        found = spark.range(1).mapInArrow(_same, "id long").toArrow()
        current = spark.table(f"{TABLE}.branch_{branch}")
        current.join(F.broadcast(rows.select("key")), "key", "left_semi").select("key").toArrow()
        name = f"{TABLE}.branch_{branch}"
        if branch == "first":
            rows.coalesce(1).writeTo(name).option("snapshot-property.rows", str(len(found))).append()
        else:
            merge = rows.alias("changes").mergeInto(name, F.expr(f"branch_{branch}.key = changes.key"))
            merge.whenMatched().updateAll().whenNotMatched().insertAll().merge()
        spark.sql(f"CALL {CATALOG}.system.fast_forward(table => '{TABLE}', branch => 'main', to => '{branch}')")
        spark.sql(f"ALTER TABLE {TABLE} DROP BRANCH {branch}")
    table = spark._jvm.org.apache.iceberg.spark.Spark3Util.loadIcebergTable(spark._jsparkSession, TABLE)  # type: ignore[union-attr]
    table.expireSnapshots().retainLast(1).commit()


def _stream(spark: SparkSession, folder: str) -> None:
    """A few micro-batches, with compiled queries."""
    spark.conf.unset("spark.sql.codegen.wholeStage")
    spark.conf.unset("spark.sql.codegen.factoryMode")

    def take(frame: DataFrame, _batch_id: int) -> None:
        frame.mapInArrow(_same, "value long").toArrow()

    source = spark.readStream.format("rate-micro-batch").option("rowsPerBatch", "10").load().select("value")
    query = source.writeStream.option("checkpointLocation", f"{folder}/checkpoint").foreachBatch(take).start()
    while query.isActive and not (query.lastProgress and query.lastProgress["batchId"] > 0):
        query.awaitTermination(1)
    query.stop()


def _servers(spark: SparkSession) -> None:
    """Ask for what lies on servers."""
    for statement in ("SELECT * FROM parquet.`s3a://nobody/rows`", "SHOW NAMESPACES IN nowhere"):
        try:
            spark.sql(statement).collect()
        except (Py4JJavaError, PySparkException):
            continue
        raise RuntimeError(f"{statement}: there was an answer")


def _same(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
    return batches


if __name__ == "__main__":
    main()
