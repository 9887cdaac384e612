"""Fills the merchants' table with rows of the ids in [begin, end), all at once, as if silver runs had made them.

They are the one row there is under other ids, so they have its columns, and the snapshot says what the one before it
says, so silver runs go on from it.
"""

from __future__ import annotations

import json
import sys

from pyspark.sql import functions as F  # noqa: N812

from include.domains import MERCHANTS
from include.lake.catalog import CATALOG, COUNTS, NAMESPACE
from include.settings import Settings
from include.spark.session import spark_session

FILES = 4
_FILLED_AT = "2026-01-01 00:00:00"


def main(begin: int, end: int) -> None:
    """Append the rows in one snapshot."""
    spark = spark_session("bench", Settings.from_environment())
    name = f"{CATALOG}.{NAMESPACE}.{MERCHANTS.name}"
    table = spark.table(name)
    (newest,) = spark.sql(f"SELECT summary FROM {name}.snapshots ORDER BY committed_at DESC LIMIT 1").collect()  # noqa: S608
    summary = {key: value for key, value in newest["summary"].items() if key.startswith("paylake.")}
    counts = json.loads(summary[COUNTS])
    summary[COUNTS] = json.dumps({**counts, "valid": counts["valid"] + end - begin})

    number = F.col("id")
    changed = {
        MERCHANTS.key: F.format_string("M%08d", number),
        "merchant_name": F.format_string("Shop %d", number),
        MERCHANTS.event_time: F.to_timestamp(F.lit(_FILLED_AT)) + F.make_dt_interval(secs=number % 3600),
        "bronze_offset": number,
    }
    one = table.where(F.col(MERCHANTS.key) == "M00000000").drop(*changed)
    rows = one.crossJoin(spark.range(begin, end, 1, FILES)).withColumns(changed).select(*table.columns)
    writer = rows.writeTo(name)
    for key, value in summary.items():
        writer = writer.option(f"snapshot-property.{key}", value)
    writer.append()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
