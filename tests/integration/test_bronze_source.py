"""The data source ``bronze`` in a real Spark, on real objects: batches, streams, and a stream that is started again."""

from __future__ import annotations

import gc
import sys
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.datasource import InputPartition
from pyspark.sql.streaming.query import StreamingQuery
from pyspark.sql.types import StructType

from include.domains import BRONZE_BUCKET, TRANSACTIONS
from include.lake.bronze_log import BronzeLog
from include.lake.incoming import IncomingRecords
from include.lake.objects import encode, object_key
from include.lake.positions import Positions, positions_to_json
from include.lake.records import IncomingRecord
from include.lake.s3 import s3_client
from include.quality.columns import OUTCOME, VALID
from include.settings import Settings
from include.spark import bronze_source
from include.spark.bronze_source import BronzeDataSource, BronzeStreamReader, OffsetRange, without
from include.spark.collector import RangeCollector
from include.spark.late_worker import outlasting_late_workers
from include.spark.session import checkpoint_location, spark_session
from tests.support.bronze import any_topic_id
from tests.support.records import encoded, transaction

if TYPE_CHECKING:
    from botocore.model import OperationModel
    from mypy_boto3_s3 import S3Client

pytestmark = pytest.mark.integration

MARCH = 1_772_000_000_123
TAKEN = MARCH + 86_400_000


@pytest.fixture(scope="module")
def s3(settings: Settings) -> S3Client:
    return s3_client(settings)


@pytest.fixture(scope="module")
def spark(settings: Settings) -> Iterator[SparkSession]:
    environment = {
        "KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
        "S3_ENDPOINT_URL": settings.s3_endpoint_url or "",
        "AWS_ACCESS_KEY_ID": settings.s3_access_key_id or "",
        "AWS_SECRET_ACCESS_KEY": settings.s3_secret_access_key or "",
        "WAREHOUSE_DSN": settings.warehouse_dsn,
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        session = spark_session("bronze-source-test", settings)
        yield session
        session.stop()


class Chain:
    """One partition of a topic of its own in the transactions' bronze, to which objects are added."""

    def __init__(self, s3: S3Client) -> None:
        self.topic_id = any_topic_id()
        self.end = 0
        self._s3 = s3

    def add(self, values: list[bytes | None], gap: int = 0, times: list[int] | None = None) -> None:
        """One object: a gap, then the values."""
        times = times or [MARCH + place for place in range(len(values))]
        records = [
            IncomingRecord(self.end + gap + place, time, None, value)
            for place, (time, value) in enumerate(zip(times, values, strict=True))
        ]
        end = self.end + gap + len(values)
        for made in encode(
            IncomingRecords.of(records),
            topic=TRANSACTIONS.topic,
            key_fields=TRANSACTIONS.key_fields,
            partition=0,
            start=self.end,
            end=end,
            now_ms=TAKEN,
        ):
            self._s3.put_object(
                Bucket=BRONZE_BUCKET,
                Key=object_key(TRANSACTIONS.bronze_folder, self.topic_id, 0, made.start),
                Body=made.body,
                Metadata=made.metadata,
            )
        self.end = end


@pytest.fixture
def others(s3: S3Client) -> Positions:
    """Where everything ends that other tests have put into bronze."""
    return BronzeLog(s3, TRANSACTIONS).end_positions()


def numbered(start: int, end: int) -> list[bytes | None]:
    return [b'{"n":%d}' % number for number in range(start, end)]


def read(spark: SparkSession, **options: str) -> list[tuple[str, int, int, int, bytes | None]]:
    rows = spark.read.format("bronze").options(domain="transactions", **options).load().collect()
    assert {row.taken_ms for row in rows} <= {TAKEN}
    return sorted((row.topic_id, row.partition, row.offset, row.timestamp_ms, row.value) for row in rows)


def test_a_batch_has_exactly_the_wanted_offsets(spark: SparkSession, s3: S3Client, others: Positions) -> None:
    chain = Chain(s3)
    chain.add([b'{"a": 1}', None, b"", b"\xff\xfe"])
    chain.add([b'{\n"b": 2}', b'{"c": 3}'], gap=10)
    rows = [
        (chain.topic_id, 0, offset, MARCH + place, value)
        for offset, place, value in [
            (0, 0, b'{"a": 1}'),
            (1, 1, None),
            (2, 2, b""),
            (3, 3, b"\xff\xfe"),
            (14, 0, b'{\n"b": 2}'),
            (15, 1, b'{"c": 3}'),
        ]
    ]
    assert read(spark, start=positions_to_json(others)) == rows
    start, end = ({**others, chain.topic_id: {0: offset}} for offset in (2, 15))
    assert read(spark, start=positions_to_json(start), end=positions_to_json(end)) == rows[2:5]
    assert read(spark, start=positions_to_json(end), end=positions_to_json(end)) == []
    backwards = read_error(spark, start=positions_to_json(end), end=positions_to_json(start))
    assert "cannot read from 15 back to 2" in backwards


def test_any_timestamp_of_a_producer_comes_through_and_records_can_be_left_out(
    spark: SparkSession, s3: S3Client, others: Positions
) -> None:
    any_64_bits = [-(2**63), -62_135_596_800_001, -1, 0, 1_769_904_000, 253_402_300_800_000, 2**63 - 1]
    chain = Chain(s3)
    chain.add([encoded(transaction(number)) for number in range(len(any_64_bits))], times=any_64_bits)
    assert [at for *_, at, _ in read(spark, start=positions_to_json(others))] == any_64_bits
    places = [OffsetRange(chain.topic_id, 0, offset, offset + 1) for offset in (0, 4, 5)]
    ranges = without([OffsetRange(chain.topic_id, 0, 0, chain.end)], places)
    classified = pa.concat_tables(RangeCollector(spark, BronzeLog(s3, TRANSACTIONS)).parts(ranges))
    assert classified.select(["offset", "timestamp_ms", OUTCOME]).to_pylist() == [
        {"offset": offset, "timestamp_ms": any_64_bits[offset], OUTCOME: VALID} for offset in (1, 2, 3, 6)
    ]


def test_no_task_reads_archives_or_collects_what_all_workers_share(spark: SparkSession) -> None:
    def look(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        places = [Path(place) for place in [*sys.path, *sys.path_importer_cache]]
        archives = [place for place in places if any(part.is_file() for part in [place, *place.parents])]
        for _ in batches:
            counts = {"archives": len(archives), "frozen": gc.get_freeze_count(), "own": len(gc.get_objects())}
            yield pa.RecordBatch.from_pylist([counts])

    for _ in range(2):  # the second one may be done by a worker that has worked before
        (row,) = spark.range(0, 1, 1, 1).mapInArrow(look, "archives long, frozen long, own long").collect()
        assert row.archives == 0
        assert row.own < row.frozen / 4


def read_error(spark: SparkSession, **options: str) -> str:
    with pytest.raises(PySparkException) as caught:
        read(spark, **options)
    return str(caught.value)


class Collector:
    """Starts the same streaming query as often as wanted and remembers each micro-batch."""

    def __init__(self, spark: SparkSession, start: Positions, name: str) -> None:
        self.batches: list[list[int]] = []
        self.fail = False
        self._checkpoint = checkpoint_location(name)
        self._stream = (
            spark.readStream.format("bronze")
            .options(domain="transactions", start=positions_to_json(start), maxRecordsPerBatch="25")
            .load()
        )

    def catch_up(self) -> StreamingQuery:
        """Start the query, and wait until it has taken in all there is."""
        return outlasting_late_workers(self._catch_up)

    def _catch_up(self) -> StreamingQuery:
        query = (
            self._stream.writeStream.foreachBatch(self._take)
            .option("checkpointLocation", self._checkpoint)
            .trigger(processingTime="0 seconds")
            .start()
        )
        query.processAllAvailable()
        return query

    def _take(self, frame: DataFrame, _batch_id: int) -> None:
        offsets = sorted(row.offset for row in frame.select("offset").collect())
        if self.fail:
            raise RuntimeError("as if the driver had died")
        self.batches.append(offsets)


def test_a_stream_goes_on_from_its_checkpoint_in_bounded_steps(
    spark: SparkSession, s3: S3Client, others: Positions
) -> None:
    chain = Chain(s3)
    for number in range(10):
        chain.add(numbered(10 * number, 10 * number + 10))
    collector = Collector(spark, others, chain.topic_id)

    query = collector.catch_up()
    query.stop()
    assert [offset for batch in collector.batches for offset in batch] == list(range(100))
    assert max(map(len, collector.batches)) <= 25
    seen = len(collector.batches)

    # Started again when its last micro-batch was finished: it does not repeat it, and does not take all at once.
    for number in range(10, 16):
        chain.add(numbered(10 * number, 10 * number + 10))
    query = collector.catch_up()
    assert [offset for batch in collector.batches[seen:] for offset in batch] == list(range(100, 160))
    assert max(map(len, collector.batches)) <= 25
    seen = len(collector.batches)

    # Dies within a micro-batch: the next start repeats exactly that one, then goes on.
    collector.fail = True
    chain.add(numbered(160, 170))
    with pytest.raises(PySparkException):
        query.processAllAvailable()
    collector.fail = False
    chain.add(numbered(170, 180), gap=5)
    query = collector.catch_up()
    query.stop()
    assert collector.batches[seen:] == [list(range(160, 170)), list(range(175, 185))]


def test_no_task_of_a_stream_asks_for_a_listing(
    spark: SparkSession, s3: S3Client, others: Positions, tmp_path: Path
) -> None:
    asked = tmp_path / "asked"

    def note(model: OperationModel, **_: object) -> None:
        with asked.open("a") as lines:
            lines.write(f"{model.name}\n")

    class NotingReader(BronzeStreamReader):
        def read(self, partition: InputPartition | None) -> Iterator[pa.RecordBatch]:
            events = bronze_source._s3().meta.events
            events.register("before-call.s3", note)
            try:
                yield from super().read(partition)
            finally:  # the worker goes on to other tests
                events.unregister("before-call.s3", note)

    class NotingSource(BronzeDataSource):
        @classmethod
        def name(cls) -> str:
            return "noting"

        def streamReader(self, schema: StructType) -> NotingReader:  # noqa: N802  # Spark's name
            return NotingReader(self._options())

    spark.dataSource.register(NotingSource)
    chain = Chain(s3)
    for number in range(6):
        chain.add(numbered(10 * number, 10 * number + 10))
    batches: list[int] = []
    stream = spark.readStream.format("noting").options(domain="transactions", maxRecordsPerBatch="25")
    writer = (
        stream.option("start", positions_to_json(others))
        .load()
        .writeStream.foreachBatch(lambda frame, _: batches.append(len(frame.collect())))
        .option("checkpointLocation", checkpoint_location(chain.topic_id))
    )

    def catch_up() -> StreamingQuery:
        query = writer.start()
        query.processAllAvailable()
        return query

    outlasting_late_workers(catch_up).stop()
    assert sum(batches) == 60
    assert len(batches) > 1
    # Each object once: also a micro-batch that begins where the one before it ended knows its first object's name.
    assert asked.read_text().split() == ["GetObject"] * 6


def test_iceberg_and_plain_parquet_work_on_this_store(spark: SparkSession) -> None:
    name = f"check_{uuid.uuid4().hex[:8]}"
    table = f"lake.bronze_test.{name}"
    spark.sql("CREATE NAMESPACE IF NOT EXISTS lake.bronze_test")
    spark.sql(f"CREATE TABLE {table} (id STRING, amount DECIMAL(19, 4)) USING iceberg")
    try:
        spark.conf.set("spark.sql.iceberg.snapshot-property.paylake.position", '{"t":{"0":1}}')
        merge = f"""MERGE INTO {table} t USING (SELECT 'A1' AS id, 2.5 AS amount) s ON t.id = s.id
                    WHEN MATCHED THEN UPDATE SET amount = s.amount WHEN NOT MATCHED THEN INSERT *"""
        spark.sql(merge)
        summaries = spark.sql(f"SELECT summary['paylake.position'] AS position FROM {table}.snapshots").collect()  # noqa: S608
        assert [row.position for row in summaries] == ['{"t":{"0":1}}']
        plain = f"s3a://silver/{name}"
        spark.table(table).write.parquet(plain)
        assert [str(row.amount) for row in spark.read.parquet(plain).collect()] == ["2.5000"]
    finally:
        spark.conf.unset("spark.sql.iceberg.snapshot-property.paylake.position")
        spark.sql(f"DROP TABLE {table} PURGE")
