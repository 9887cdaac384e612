"""A Spark session with the catalog, and one job in a Python worker: what any job pays before it has done anything."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from include.settings import Settings
from include.spark.session import spark_session


def nothing(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
    """Hands on what comes."""
    return batches


if __name__ == "__main__":
    spark_session("bench", Settings.from_environment()).range(0, 1, 1, 1).mapInArrow(nothing, "id long").toArrow()
