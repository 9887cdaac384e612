"""The fraud stream as it runs: Kafka to bronze to verdicts, with drivers killed, replaced and stopped on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from include.domains import BRONZE_BUCKET, CHECKPOINTS_BUCKET, TRANSACTIONS
from include.ingest.writer import ingest
from include.kafka.topics import ensure_topics, reset_topics
from include.lake.s3 import s3_client
from include.settings import Settings
from include.spark.fraud_stream import EXIT_REFUSED, EXIT_STALE
from include.warehouse.connect import connect
from tests.fraud import warehouse_copy, warehouse_template

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

pytestmark = pytest.mark.integration

REPOSITORY = Path(__file__).parents[2]
APPLICATION = REPOSITORY / "include" / "spark" / "fraud_stream.py"
WAIT_SECONDS = 240


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    """The condition's first true value."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {WAIT_SECONDS} s in vain until {what}"
        time.sleep(0.1)
    return value


class Driver:
    """A driver under spark-submit. ``jvm`` is the process that was started; the Python driver is its child."""

    def __init__(self, jvm: subprocess.Popen[bytes], log: Path) -> None:
        self.jvm = jvm
        self._log = log

    def output(self) -> str:
        return self._log.read_text(errors="replace")

    def frauds(self) -> list[str]:
        """The ids in the lines of frauds, in the order in which they were printed."""
        return [line.split()[3] for line in self.output().splitlines() if line.startswith("FRAUD ")]

    def python_pid(self) -> int:
        """The process id of the Python driver."""
        for process in Path("/proc").glob("[0-9]*"):
            try:
                parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
                command = (process / "cmdline").read_bytes()
            except OSError:  # it ended while we looked
                continue
            if parent == self.jvm.pid and APPLICATION.name.encode() in command:
                return int(process.name)
        raise AssertionError(f"no Python driver under process {self.jvm.pid}:\n{self.output()[-3000:]}")

    def kill(self) -> None:
        """Kill the JVM, and see that the Python driver does not outlive it."""
        pid = self.python_pid()
        self.jvm.kill()
        self.jvm.wait()
        wait_for(lambda: not Path(f"/proc/{pid}").exists(), "the orphaned driver is gone")


class World:
    """Kafka's topic, bronze, a checkpoint and a warehouse, all new, and what was produced."""

    def __init__(self, settings: Settings, dsn: str, s3: S3Client, folder: Path) -> None:
        self.settings = settings
        self.dsn = dsn
        self.s3 = s3
        self.checkpoint = f"test-{uuid4().hex[:12]}"
        self._folder = folder
        self._numbers = count(1)
        self._logs = count(1)
        self.produced = 0
        self.expected_frauds: set[str] = set()

    def produce(self, records: int) -> None:
        """Transactions of all kinds through Kafka into bronze."""
        producer = Producer({"bootstrap.servers": self.settings.kafka_bootstrap_servers, "enable.idempotence": True})
        for _ in range(records):
            producer.produce(TRANSACTIONS.topic, key="U1", value=self._value(next(self._numbers)))
        assert producer.flush(60) == 0
        self.produced += records
        report = ingest(
            TRANSACTIONS,
            consumer_config={"bootstrap.servers": self.settings.kafka_bootstrap_servers},
            s3=self.s3,
            stop=lambda: False,
        )
        assert report.records == records

    def _value(self, number: int) -> bytes | None:
        body = {
            "txn_id": f"T{number:06}",
            "user_id": "U1",
            "amount": "10.00",
            "merchant_id": "M1",
            "channel": "Online",
            "location": "Berlin",
            "timestamp": "2026-01-31 13:45:00",
        }
        match number % 10:
            case 0:
                return None
            case 1:
                return b"{"
            case 2:
                body["txn_id"] = "T000005"
            case 3:
                self.expected_frauds.add(body["txn_id"])
                body["amount"] = "30000.01"
        return json.dumps(body).encode()

    def expected(self) -> tuple[int, ...]:
        """Fraud, genuine, duplicates, quarantined, among all that was produced; the rest are tombstones."""
        numbers = range(1, self.produced + 1)
        fraud, rejected = (sum(number % 10 == digit for number in numbers) for digit in (3, 1))
        # The very first T000005 may be number 2 or number 5; one of all of them has the id.
        same_id = sum(number % 10 == 2 for number in numbers) + 1
        genuine = sum(number % 10 in (4, 5, 6, 7, 8, 9) for number in numbers)
        return fraud, genuine, same_id - 1, rejected

    def stored(self) -> tuple[int, ...]:
        with connect(self.dsn) as conn:
            return counted(conn)

    def settled(self) -> None:
        """Wait until everything that was produced is where it belongs."""
        wait_for(lambda: self.stored() == self.expected(), f"{self.expected()} are stored; there are {self.stored()}")

    @contextmanager
    def driver(self) -> Iterator[Driver]:
        """Start a driver; kill it at the end if it still runs."""
        log = self._folder / f"driver-{next(self._logs)}.log"
        command = ["spark-submit", "--master", "local[2]", "--driver-memory", "700m", str(APPLICATION)]
        with log.open("wb") as output:
            jvm = subprocess.Popen(
                [*command, "--checkpoint", self.checkpoint],
                env=self.environment(),
                cwd=self._folder,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            yield Driver(jvm, log)
        except BaseException:
            print(log.read_text(errors="replace")[-20_000:])
            raise
        finally:
            jvm.kill()
            jvm.wait()

    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONPATH": str(REPOSITORY),
            "PYSPARK_PYTHON": sys.executable,
            "WAREHOUSE_DSN": self.dsn,
        }

    def forget_newest_commit(self) -> None:
        """Leave the checkpoint as if the driver had died right after the database's commit."""
        prefix = f"{self.checkpoint}/commits/"
        listed = self.s3.list_objects_v2(Bucket=CHECKPOINTS_BUCKET, Prefix=prefix).get("Contents", [])
        numbers = [int(name) for entry in listed if (name := entry["Key"].removeprefix(prefix)).isdigit()]
        if numbers:  # otherwise it died just then
            self.s3.delete_object(Bucket=CHECKPOINTS_BUCKET, Key=f"{prefix}{max(numbers)}")


def counted(conn: psycopg.Connection) -> tuple[int, ...]:
    row = conn.execute(
        "SELECT (SELECT count(*) FROM fraudtransaction), (SELECT count(*) FROM genuinetransaction),"
        " (SELECT count(*) FROM ops.transaction_duplicate), (SELECT count(*) FROM ops.quarantine)"
    ).fetchone()
    assert row is not None
    return row


@pytest.fixture
def world(settings: Settings, tmp_path: Path) -> Iterator[World]:
    admin = AdminClient({"bootstrap.servers": settings.kafka_bootstrap_servers})
    ensure_topics(admin, [TRANSACTIONS.topic])
    reset_topics(admin, [TRANSACTIONS.topic], timeout=60)
    s3 = s3_client(settings)
    remove(s3, BRONZE_BUCKET, f"{TRANSACTIONS.bronze_folder}/")
    with warehouse_template(settings) as template, warehouse_copy(template) as dsn:
        world = World(settings, dsn, s3, tmp_path)
        yield world
        remove(s3, CHECKPOINTS_BUCKET, f"{world.checkpoint}/")


def remove(s3: S3Client, bucket: str, prefix: str) -> None:
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for entry in page.get("Contents", []):
            s3.delete_object(Bucket=bucket, Key=entry["Key"])


def test_drivers_are_killed_replaced_and_stopped_and_every_record_has_its_one_verdict(world: World) -> None:
    world.produce(200)
    with world.driver() as killed:
        world.settled()
        wait_for(lambda: len(killed.frauds()) == 20, "the frauds are on the console")
        killed.kill()
    # It died between the database's commit and the checkpoint's; records came while nobody was there.
    world.forget_newest_commit()
    world.produce(100)
    with world.driver() as older:
        world.settled()
        # The console tells at least once, the table exactly once.
        wait_for(lambda: set(killed.frauds() + older.frauds()) == world.expected_frauds, "all frauds are shown")
        with world.driver() as newer:
            wait_for(lambda: "driver with epoch 3" in newer.output(), "the newer driver has the lease")
            world.produce(100)
            world.settled()
            assert older.jvm.wait(WAIT_SECONDS) == EXIT_STALE
            assert "this driver has epoch 2" in older.output()
            os.kill(newer.python_pid(), signal.SIGTERM)
            assert newer.jvm.wait(WAIT_SECONDS) == 0
    with connect(world.dsn) as conn:
        assert counted(conn) == world.expected()
        ledger = conn.execute("SELECT sum(records), count(DISTINCT checkpoint_id) FROM ops.stream_batch").fetchone()
        assert ledger == (world.produced, 1)
        found = {txn_id for (txn_id,) in conn.execute("SELECT txn_id FROM fraudtransaction")}
    assert found == world.expected_frauds


def test_a_damaged_checkpoint_is_refused_with_advice(world: World) -> None:
    world.s3.put_object(Bucket=CHECKPOINTS_BUCKET, Key=f"{world.checkpoint}/metadata", Body=b"{")
    refused = subprocess.run(
        [sys.executable, str(APPLICATION), "--checkpoint", world.checkpoint],
        env=world.environment(),
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=False,
    )
    assert refused.returncode == EXIT_REFUSED
    assert f"{world.checkpoint}/metadata is not what Spark wrote" in refused.stderr
    assert "Traceback" not in refused.stderr
