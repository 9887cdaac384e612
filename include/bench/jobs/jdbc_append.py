"""The rows of all verdicts appended to another table of PostgreSQL by Spark's JDBC writer.

Prints, as JSON, what the second time took: at the first time a JVM compiles what it runs.
"""

from __future__ import annotations

import json
import time

from psycopg import sql

from include.domains import TRANSACTIONS
from include.postgres import connect
from include.settings import Settings
from include.spark.session import jdbc_url, spark_session
from include.warehouse.tables import verdict_tables

_TABLE = "bench_verdicts"
_DRIVER = {"driver": "org.postgresql.Driver"}


def main() -> None:
    """Read the rows of both tables, as far as they have the same columns, and append them twice."""
    settings = Settings.from_environment()
    spark = spark_session("bench", settings)
    url, credentials = jdbc_url(settings.warehouse_dsn, "public")
    fraud, genuine = verdict_tables(TRANSACTIONS.contract)
    properties = credentials | _DRIVER
    names = [column.name for column in genuine.columns]
    both = [spark.read.jdbc(url, table.name, properties=properties).select(*names) for table in (fraud, genuine)]
    rows = both[0].unionByName(both[1]).repartition(spark.sparkContext.defaultParallelism).cache()
    count, seconds = rows.count(), 0.0
    with connect(settings.warehouse_dsn, "paylake bench") as conn:
        like = sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL)")
        conn.execute(like.format(sql.Identifier(_TABLE), sql.Identifier(genuine.name)))
        try:
            for _ in range(2):
                conn.execute(sql.SQL("TRUNCATE {}").format(sql.Identifier(_TABLE)))
                began = time.monotonic()
                rows.write.jdbc(url, _TABLE, mode="append", properties=properties)
                seconds = time.monotonic() - began
        finally:
            conn.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(_TABLE)))
    print(json.dumps({"records": count, "seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
