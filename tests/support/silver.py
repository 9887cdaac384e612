"""What the tests of silver share: a domain wiped clean, plain clients to fill it, plain readers to look at it, and runs
in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from include.domains import BRONZE_BUCKET, SILVER_BUCKET, Domain
from include.kafka.topics import ensure_topics, reset_topics
from include.lake.s3 import s3_client
from include.postgres import connect
from include.quality.limit import RejectedLimit
from include.settings import Settings
from include.spark.session import spark_session
from include.spark.silver_run import SilverReport, run
from include.warehouse import gold
from include.warehouse.gold import GoldReport
from tests.support.books import begin_anew
from tests.support.bronze import drain

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

REPOSITORY = Path(__file__).parents[2]
JOB = REPOSITORY / "include" / "spark" / "silver.py"
SUBMIT_SECONDS = 420


@dataclass
class World:
    """One domain from its topic to its Parquet folder, seen by clients that are not ours.

    ``options`` are spark-submit's.
    """

    settings: Settings
    domain: Domain
    folder: Path
    options: Sequence[str] = ("--master", "local[2]")

    def __post_init__(self) -> None:
        self.s3: S3Client = s3_client(self.settings)
        self._kafka: dict[str, Any] = {"bootstrap.servers": self.settings.kafka_bootstrap_servers}

    def wipe(self) -> None:
        """No record, no row, a new topic."""
        begin_anew(self.settings, self.domain)

    def reset_topic(self) -> None:
        admin = AdminClient(self._kafka)
        ensure_topics(admin, [self.domain.topic])
        reset_topics(admin, [self.domain.topic], timeout=60)

    def drop_table(self) -> None:
        """As ``DROP TABLE`` does it: the catalog forgets the table, its files stay."""
        with connect(self.settings.warehouse_dsn) as conn:
            if conn.execute("SELECT to_regclass('lake_catalog.iceberg_tables') IS NOT NULL").fetchone() == (True,):
                conn.execute("DELETE FROM lake_catalog.iceberg_tables WHERE table_name = %s", [self.domain.name])

    def produce(
        self, *records: Mapping[str, Any] | bytes | None, partitions: int = 1, into_bronze: bool = True
    ) -> None:
        """Through a plain Kafka client, into these many partitions in turn, and on into bronze."""
        producer = Producer(self._kafka)
        for number, record in enumerate(records):
            value = json.dumps(record).encode() if isinstance(record, Mapping) else record
            producer.produce(self.domain.topic, value, b"k", number % partitions, on_delivery=_raise)
        assert producer.flush(60) == 0
        if into_bronze:
            drain(self.domain, self.settings)

    def submit(self, *python_path: Path, along: Sequence[str] = ()) -> subprocess.Popen[str]:
        """Start the job as Airflow would; it is the leader of a process group of its own.

        ``python_path`` is searched for modules by the job and its workers before everything else. ``along`` are other
        domains whose runs are waiting.
        """
        binary = Path(sys.executable).with_name("spark-submit")
        options = [*self.options, "--driver-memory", "700m"]
        paths = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        modules = os.pathsep.join(map(str, [*python_path, REPOSITORY]))
        return subprocess.Popen(
            [str(binary), *options, str(JOB), self.domain.name, "--along", *along],
            env={**os.environ, "PATH": paths, "PYTHONPATH": modules, "PYSPARK_PYTHON": sys.executable},
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=(self.folder / "stderr.log").open("a"),
            text=True,
            start_new_session=True,
        )

    def report_of(self, job: subprocess.Popen[str]) -> dict[str, Any]:
        """Wait for the job's end and read its last line."""
        output, _ = job.communicate(timeout=SUBMIT_SECONDS)
        assert job.returncode == 0, (self.folder / "stderr.log").read_text()[-8000:]
        report: dict[str, Any] = json.loads(output.strip().splitlines()[-1])
        return report

    def files(self) -> dict[str, str]:
        """Key and entity tag of all that is in the folder."""
        return self._listed(SILVER_BUCKET, f"{self.domain.silver_folder}/")

    def bronze(self) -> list[str]:
        """Keys of the objects that hold the domain's records, in order."""
        return sorted(self._listed(BRONZE_BUCKET, f"{self.domain.bronze_folder}/"))

    def rows(self, *columns: str) -> list[tuple[Any, ...]]:
        """The folder read as plain Parquet, by DuckDB, sorted."""
        copy = self.folder / f"copy-{time.monotonic_ns()}"
        copy.mkdir()
        for number, key in enumerate(self.files()):
            self.s3.download_file(SILVER_BUCKET, key, str(copy / f"{number}.parquet"))
        if not any(copy.iterdir()):
            return []
        chosen = ", ".join(columns or ("* EXCLUDE (silver_version)",))
        with duckdb.connect() as database:
            database.execute("SET TimeZone = 'UTC'")
            source = f"read_parquet('{copy}/*.parquet', union_by_name = true)"
            query = f"SELECT {chosen} FROM {source} ORDER BY {self.domain.key}"  # noqa: S608
            return database.execute(query).fetchall()

    def quarantined(self) -> list[tuple[int, bytes, list[str]]]:
        """Offset, original bytes and reason codes of what is in quarantine, by offset."""
        with connect(self.settings.warehouse_dsn) as conn:
            found = conn.execute(
                "SELECT record_offset, raw, reasons FROM ops.quarantine WHERE domain = %s ORDER BY record_offset",
                [self.domain.name],
            ).fetchall()
        return [(offset, raw, sorted(reason["code"] for reason in reasons)) for offset, raw, reasons in found]

    def _listed(self, bucket: str, prefix: str) -> dict[str, str]:
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return {entry["Key"]: entry["ETag"] for page in pages for entry in page.get("Contents", [])}


def _raise(error: KafkaError | None, _: object) -> None:
    if error is not None:
        raise KafkaException(error)


@contextmanager
def worker_process() -> Iterator[ProcessPoolExecutor]:
    """A process that does one thing after the other, `run_silver` say, and keeps its Spark warm in between.

    Not the process of the tests: Spark's workers know the servers from the environment in which the JVM was started,
    and a process has one JVM for all its life.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        yield pool


def run_silver(domain: Domain, settings: Settings, limit: float = 1.0) -> SilverReport:
    """A silver run in this process; with a ``limit`` of 1.0 however many records it rejects."""
    return run(domain, settings, RejectedLimit(limit), lambda: spark_session("silver-test", settings, source=False))


def load_gold(domain: Domain, settings: Settings) -> GoldReport:
    """A gold load, under the name that its task gives the session."""
    with connect(settings.warehouse_dsn, "paylake gold") as conn:
        return gold.load(domain, conn, settings)


def await_condition(condition: Callable[[], bool], job: subprocess.Popen[str], what: str) -> None:
    """Wait until it holds; the job must be alive until then."""
    deadline = time.monotonic() + SUBMIT_SECONDS
    while not condition():
        assert job.poll() is None, f"the job ended before {what}"
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)


def merchant(number: int, day: int = 1, **changes: Any) -> dict[str, Any]:
    """A record of the merchants' topic, of that day of January 2026."""
    record = {
        "merchant_id": f"M{number:04}",
        "merchant_name": f"Shop {number}",
        "category": "Fuel",
        "risk_level": "Low",
        "country": "Portugal",
        "timestamp": f"2026-01-{day:02} 12:00:00",
    }
    return record | changes


def merchants(numbers: Sequence[int] | range, day: int = 1, **changes: Any) -> list[dict[str, Any]]:
    """Several of them."""
    return [merchant(number, day, **changes) for number in numbers]
