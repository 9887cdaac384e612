"""The fraud stream: bronze transactions in, a verdict for each in the warehouse, fraud on the console.

    spark-submit include/spark/fraud_stream.py

The workers classify (see ``include/spark/collector.py``), the driver asks the rules and writes: each micro-batch goes
into the warehouse in one transaction (see ``include/fraud/sink.py``, which also states what is promised). Spark's
checkpoint only says where to go on.

SIGTERM to this process (the JVM's child) ends the stream in order, with code 0. The end of the JVM, however it comes
about, ends this process. As long as the query or a batch of it moves, the process shows it (``include/heartbeat.py``).
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import socket
import sys
from collections.abc import Callable
from threading import Event

from pyspark.errors import StreamingQueryException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from include.domains import TRANSACTIONS
from include.fraud.checkpoint import CHECKPOINT, CheckpointError, batch_positions, check_checkpoint
from include.fraud.console import fraud_line
from include.fraud.lease import APPLICATION_NAME, StaleLeaseError, acquire
from include.fraud.progress import Progress
from include.fraud.promotion import put_in
from include.fraud.rulebook import RulesError, rules_path
from include.fraud.scorer import Scorer
from include.fraud.sink import PATIENCE_SECONDS, Batch, Sink
from include.heartbeat import beating
from include.lake.bronze_log import BronzeLog
from include.lake.s3 import s3_away, s3_client
from include.lifetime import die_with_parent, stop_on_signals
from include.postgres import connect
from include.settings import MissingSettingError, Settings
from include.spark.bronze_source import DEFAULT_MAX_BYTES, DEFAULT_MAX_RECORDS, OffsetRange, offset_ranges
from include.spark.collector import RangeCollector
from include.spark.late_worker import outlasting_late_workers
from include.spark.session import checkpoint_location, spark_session
from include.warehouse.schema import apply_schema

EXIT_REFUSED = 2
"""Settings, rules or the checkpoint need a person."""
EXIT_STALE = 3
"""A newer driver took over."""

QUERY_ID = "sql.streaming.queryId"
GARBAGE = 500_000
"""So many objects more than there were before are made before Python looks for garbage among the young ones."""

log = logging.getLogger("fraud_stream")


class BatchWriter:
    """What ``foreachBatch`` calls. ``failure`` keeps the error that ended it; Spark only passes its text on.

    ``ranges_of`` says which ranges of bronze a micro-batch holds.
    """

    def __init__(
        self, sink: Sink, progress: Progress, collector: RangeCollector, ranges_of: Callable[[int], list[OffsetRange]]
    ) -> None:
        self._sink = sink
        self._progress = progress
        self._collector = collector
        self._ranges_of = ranges_of
        self.failure: BaseException | None = None

    def __call__(self, frame: DataFrame, batch_id: int) -> None:
        """Have one micro-batch judged, write it, and show its frauds."""
        try:
            self._write(frame, batch_id)
        except BaseException as error:
            self.failure = error
            raise

    def _write(self, frame: DataFrame, batch_id: int) -> None:
        # The query's id is kept in its checkpoint, so it names the checkpoint.
        checkpoint_id = frame.sparkSession.sparkContext.getLocalProperty(QUERY_ID)
        if not checkpoint_id:
            raise RuntimeError(f"Spark does not tell the query's id in {QUERY_ID}")
        # Not of the frame: its records would go through the JVM between the worker that reads and one that classifies.
        ranges = self._ranges_of(batch_id)
        written = self._sink.write(Batch(checkpoint_id, batch_id, lambda: self._collector.parts(ranges)))
        if written.frauds:
            print("\n".join(map(fraud_line, written.frauds)), flush=True)
        self._progress.add(written.counts, written.newest_taken_ms)


def transactions(spark: SparkSession, options: argparse.Namespace) -> DataFrame:
    """The stream of what bronze holds of transactions."""
    reader = spark.readStream.format("bronze").option("domain", TRANSACTIONS.name)
    bounded = reader.option("maxRecordsPerBatch", str(options.max_records))
    bounded = bounded.option("maxBytesPerBatch", str(options.max_bytes))
    return bounded.option("lookSeconds", str(options.look_seconds)).load()


def start_query(spark: SparkSession, writer: BatchWriter, options: argparse.Namespace) -> StreamingQuery:
    """Start the query from its checkpoint, or at the beginning of bronze."""
    return (
        transactions(spark, options)
        .writeStream.queryName(options.checkpoint)
        .option("checkpointLocation", checkpoint_location(options.checkpoint))
        # The source says when there is something: it knows how much came, Spark's trigger only the time.
        .trigger(processingTime="0 seconds")
        .foreachBatch(writer)
        .start()
    )


def newest_trigger(query: StreamingQuery) -> str | None:
    """When the newest trigger began of which Spark tells: each that had a batch, and an idle one every ten seconds."""
    progress = query.lastProgress
    return None if progress is None else progress.timestamp


def run(settings: Settings, options: argparse.Namespace, stop: Event) -> None:
    """Run the stream until ``stop`` is set.

    Raises:
        CheckpointError: the checkpoint is damaged or contradicts the warehouse.
        RulesError: the rules file makes no sense, or the rules in use are none that this version understands.
        StaleLeaseError: another driver was started after this one.
        psycopg.Error: the warehouse stayed away, or refused a batch.
        StreamingQueryException: Spark failed, for instance because S3 stayed away.
    """
    s3 = s3_client(settings)
    bronze = BronzeLog(s3, TRANSACTIONS)
    check_checkpoint(s3, options.checkpoint)
    spark = spark_session("paylake fraud stream", settings)
    spark.sparkContext.setLogLevel("WARN")
    # PySpark set handlers of its own.
    stop_on_signals(stop)
    with connect(settings.warehouse_dsn, APPLICATION_NAME) as conn:
        apply_schema(conn)
        lease = acquire(conn, f"{socket.gethostname()}:{os.getpid()}")
        rules = put_in(conn, rules_path()).rules()
    log.info("driver with epoch %d, rules version %s", lease.epoch, rules.version)
    # What is remembered of users has no cycles, and to look through it for some takes longer than to score.
    gc.freeze()
    gc.set_threshold(GARBAGE)

    def has_records(topic_id: str, partition: int, start: int, end: int) -> bool:
        return any(True for _ in bronze.read(topic_id, partition, start, end))

    scorer = Scorer()
    sink = Sink(settings.warehouse_dsn, lease, scorer, has_records, stop, options.patience_seconds)
    collector = RangeCollector(spark, bronze)
    writer = BatchWriter(
        sink,
        Progress(),
        collector,
        lambda batch_id: offset_ranges(*batch_positions(s3, options.checkpoint, batch_id)),
    )
    probe = s3_client(settings, attempts=1, timeout=5)

    def judge() -> None:
        query = start_query(spark, writer, options)
        with beating(
            lambda: (collector.jobs, scorer.recalled, newest_trigger(query)), lambda: sink.waits() or s3_away(probe)
        ):
            while not stop.is_set() and not query.awaitTermination(1):
                pass
        query.stop()

    try:
        outlasting_late_workers(judge)
    except StreamingQueryException:
        if writer.failure is None:
            raise
    finally:
        sink.close()
    if writer.failure is not None and not stop.is_set():
        raise writer.failure


def parse_options(arguments: list[str]) -> argparse.Namespace:
    """The command line's options."""
    parser = argparse.ArgumentParser(description="Give every transaction its fraud verdict.")
    parser.add_argument("--checkpoint", default=CHECKPOINT, help=f"folder in the bucket checkpoints ({CHECKPOINT})")
    parser.add_argument("--max-records", type=int, default=DEFAULT_MAX_RECORDS, help="most records in a micro-batch")
    parser.add_argument("--max-bytes", type=int, default=DEFAULT_MAX_BYTES, help="most bytes of objects in one")
    parser.add_argument(
        "--look-seconds",
        type=float,
        default=1.0,
        help="longest time between two looks at bronze while little comes (1.0)",
    )
    parser.add_argument(
        "--patience-seconds",
        type=float,
        default=PATIENCE_SECONDS,
        help="how long to wait for a warehouse that is away (%(default)s)",
    )
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Run the stream; return the process's exit code."""
    options = parse_options(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("py4j").setLevel(logging.WARNING)
    stop = Event()
    die_with_parent()
    try:
        run(Settings.from_environment(), options, stop)
    except (MissingSettingError, RulesError, CheckpointError) as error:
        log.error("%s", error)
        return EXIT_REFUSED
    except StaleLeaseError as error:
        log.error("%s", error)
        return EXIT_STALE
    log.info("stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
