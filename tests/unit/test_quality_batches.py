"""What Spark's workers do with an Arrow batch of bronze, without Spark: one row out for each record."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from pyspark.sql.pandas.types import to_arrow_schema

from include.domains import ACCOUNTS, REFERENCE_DOMAINS
from include.spark.bronze_source import SCHEMA
from include.spark.classified import batch_classifier, classified_schema
from include.spark.silver_schema import ORIGIN, table_schema
from tests.support.records import good

ACCOUNT = good(ACCOUNTS, current_balance="-12.5", currency="eur", last_updated="2026-01-31T13:45:00Z")
MIDNIGHT_MS = int(datetime(2026, 2, 1, tzinfo=UTC).timestamp() * 1000)


def classified(
    values: list[bytes | None], timestamps_ms: list[int], generations: tuple[str, ...] = ("first", "second")
) -> pa.RecordBatch:
    batch = pa.RecordBatch.from_arrays(
        [
            pa.array(["second"] * len(values), pa.string()),
            pa.array([3] * len(values), pa.int32()),
            pa.array(range(7, 7 + len(values)), pa.int64()),
            pa.array(timestamps_ms, pa.int64()),
            pa.array([MIDNIGHT_MS] * len(values), pa.int64()),
            pa.array(values, pa.binary()),
        ],
        names=SCHEMA.fieldNames(),
    )
    (out,) = batch_classifier(ACCOUNTS, generations)([batch])
    return out


def test_each_record_comes_out_once_with_its_coordinates() -> None:
    out = classified([json.dumps(ACCOUNT).encode(), b"\xff", None], [123] * 3)
    assert out.schema == to_arrow_schema(classified_schema(ACCOUNTS))
    valid, rejected, tombstone = out.to_pylist()
    for number, row in enumerate((valid, rejected, tombstone)):
        origin = ("second", 3, 7 + number, 1, MIDNIGHT_MS)
        assert tuple(row[column.name] for column in ORIGIN) == origin
    assert (valid["outcome"], str(valid["current_balance"]), valid["currency"]) == ("valid", "-12.5000", "EUR")
    assert (valid["last_updated"], valid["raw"]) == (datetime(2026, 1, 31, 13, 45, tzinfo=UTC), None)
    assert (rejected["outcome"], rejected["raw"], rejected["account_id"]) == ("rejected", b"\xff", None)
    assert rejected["kafka_timestamp_ms"] == 123
    assert [reason["code"] for reason in json.loads(rejected["reasons"])] == ["not_utf8"]
    assert (tombstone["outcome"], tombstone["raw"], tombstone["reasons"]) == ("tombstone", None, None)


def test_a_record_of_a_topic_that_nobody_knows_is_no_row_without_a_generation() -> None:
    with pytest.raises(KeyError, match="second"):
        classified([json.dumps(ACCOUNT).encode()], [123], ("first", "third"))


def test_any_timestamp_of_kafkas_comes_through() -> None:
    any_64_bits = [-1, 0, -62_135_596_800_001, 2**63 - 1, -(2**63)]
    out = classified([b"{}"] * len(any_64_bits), any_64_bits)
    assert out["kafka_timestamp_ms"].to_pylist() == any_64_bits


def test_silver_tables_have_the_contracts_columns_first() -> None:
    for domain in REFERENCE_DOMAINS.values():
        names = table_schema(domain).fieldNames()
        assert names[: len(domain.contract.columns)] == [column.name for column in domain.contract.columns]
        assert names[len(domain.contract.columns) :] == [
            "bronze_topic_id",
            "bronze_partition",
            "bronze_offset",
            "bronze_generation",
            "bronze_taken_ms",
            "silver_version",
        ]
