"""The fraud stream under Spark: drivers killed at the worst moment, replaced, and robbed of their checkpoint."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from confluent_kafka import Producer

from include.domains import CHECKPOINTS_BUCKET, TRANSACTIONS
from include.fraud.checkpoint import CheckpointError, check_checkpoint
from include.fraud.lease import APPLICATION_NAME
from include.lake.s3 import s3_client
from include.settings import Settings
from include.spark.fraud_stream import EXIT_REFUSED, EXIT_STALE
from include.warehouse.connect import connect
from tests.books import assert_balanced, begin_anew, remove_checkpoint
from tests.bronze import drain
from tests.servers import Servers, wait_until
from tests.warehouse import checksum

pytestmark = pytest.mark.integration

REPOSITORY = Path(__file__).parents[2]
APPLICATION = REPOSITORY / "include" / "spark" / "fraud_stream.py"
WAIT_SECONDS = 240.0
TABLES = (
    "fraudtransaction",
    "genuinetransaction",
    "ops.transaction_seen",
    "ops.transaction_duplicate",
    "ops.quarantine",
)
COUNTS = """
    SELECT (SELECT count(*) FROM fraudtransaction), (SELECT count(*) FROM genuinetransaction),
        (SELECT count(*) FROM ops.transaction_duplicate),
        (SELECT count(*) FROM ops.quarantine WHERE domain = 'transactions')
"""


class Driver:
    """A driver under spark-submit. ``jvm`` is the process that was started; the Python driver is its child."""

    def __init__(self, jvm: subprocess.Popen[bytes], log: Path) -> None:
        self.jvm = jvm
        self._log = log

    def output(self) -> str:
        return self._log.read_text(errors="replace")

    def frauds(self) -> list[str]:
        """The ids in the lines of frauds, in the order in which they were printed."""
        whole = self.output().rpartition("\n")[0]  # the last line may still be written
        return [line.split()[3] for line in whole.splitlines() if line.startswith("FRAUD ")]

    def epoch(self) -> int:
        """The epoch of its lease, 0 as long as it has none."""
        found = re.search(r"driver with epoch (\d+)", self.output())
        return int(found[1]) if found else 0

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
        wait_until(lambda: not Path(f"/proc/{pid}").exists(), "the orphaned driver is gone")

    def stop(self) -> None:
        """Have it end in order."""
        os.kill(self.python_pid(), signal.SIGTERM)
        assert self.jvm.wait(WAIT_SECONDS) == 0


class Stream:
    """Transactions, the drivers that judge them, and their checkpoint."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings
        self.checkpoint = "fraud-driver-test"
        self._s3 = s3_client(settings)
        self._folder = folder
        self._numbers = count(1)
        self._logs = count(1)
        self.produced = 0
        self.expected_frauds: set[str] = set()

    def produce(self, records: int) -> None:
        """Transactions of all kinds through Kafka into bronze."""
        producer = Producer({"bootstrap.servers": self.settings.kafka_bootstrap_servers})
        for _ in range(records):
            producer.produce(TRANSACTIONS.topic, key="U1", value=self._value(next(self._numbers)))
        assert producer.flush(60) == 0
        self.produced += records
        assert drain(TRANSACTIONS, self.settings).records == records

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

    def stored(self) -> tuple[int, ...] | None:
        with connect(self.settings.warehouse_dsn) as conn:
            return conn.execute(COUNTS).fetchone()

    def settle(self) -> None:
        """Wait until everything that was produced is where it belongs."""
        wait_until(lambda: self.stored() == self.expected(), f"{self.expected()} in the tables", WAIT_SECONDS)

    def tables(self) -> dict[str, Any]:
        """Checksums of all rows, with the times at which they were written."""
        with connect(self.settings.warehouse_dsn) as conn:
            return {table: checksum(conn, table) for table in TABLES}

    def ledger(self) -> list[tuple[int, int]]:
        """Number and records of each batch that was committed under the checkpoint, oldest first."""
        if "metadata" not in self.names():
            return []
        checkpoint_id = json.loads(self._content("metadata"))["id"]
        entered = "SELECT batch_id, records FROM ops.stream_batch WHERE checkpoint_id = %s ORDER BY 1"
        with connect(self.settings.warehouse_dsn) as conn:
            return conn.execute(entered, [checkpoint_id]).fetchall()

    def read(self) -> int:
        """How many records the checkpoint has behind it."""
        return sum(records for _, records in self.ledger())

    def names(self) -> set[str]:
        """The names of the files in the checkpoint, without the empty objects that S3A puts there for folders."""
        prefix = f"{self.checkpoint}/"
        listed = self._s3.list_objects_v2(Bucket=CHECKPOINTS_BUCKET, Prefix=prefix).get("Contents", [])
        return {entry["Key"].removeprefix(prefix) for entry in listed if not entry["Key"].endswith("/")}

    def files(self) -> dict[str, bytes]:
        """What is in the checkpoint while no driver runs: one that does renames each file after it wrote it."""
        return {name: self._content(name) for name in self.names()}

    def _content(self, name: str) -> bytes:
        return self._s3.get_object(Bucket=CHECKPOINTS_BUCKET, Key=f"{self.checkpoint}/{name}")["Body"].read()

    def replace_files(self, files: Mapping[str, bytes]) -> None:
        """Have the checkpoint hold just these."""
        remove_checkpoint(self.settings, self.checkpoint)
        for name, content in files.items():
            self._s3.put_object(Bucket=CHECKPOINTS_BUCKET, Key=f"{self.checkpoint}/{name}", Body=content)

    @contextmanager
    def driver(self, *options: str) -> Iterator[Driver]:
        """Start a driver; kill it at the end if it still runs."""
        log = self._folder / f"driver-{next(self._logs)}.log"
        command = ["spark-submit", "--master", "local[2]", "--driver-memory", "700m", str(APPLICATION)]
        with log.open("wb") as output:
            jvm = subprocess.Popen(
                [*command, "--checkpoint", self.checkpoint, *options],
                env=self._environment(),
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

    def refusal(self) -> str:
        """Start a driver that does not get as far as to Spark; what it says."""
        refused = subprocess.run(
            [sys.executable, str(APPLICATION), "--checkpoint", self.checkpoint],
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=WAIT_SECONDS,
            check=False,
        )
        assert refused.returncode == EXIT_REFUSED, refused.stderr
        assert "Traceback" not in refused.stderr
        return refused.stderr

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONPATH": str(REPOSITORY),
            "PYSPARK_PYTHON": sys.executable,
        }


@pytest.fixture
def stream(settings: Settings, tmp_path: Path) -> Iterator[Stream]:
    begin_anew(settings, TRANSACTIONS)
    stream = Stream(settings, tmp_path)
    remove_checkpoint(settings, stream.checkpoint)
    yield stream
    remove_checkpoint(settings, stream.checkpoint)


@contextmanager
def batch_held(stream: Stream) -> Iterator[psycopg.Connection]:
    """A batch of 100 records in the middle of its database transaction, until the lock's owner commits or ends."""
    with closing(connect(stream.settings.warehouse_dsn)) as owner:
        owner.execute("BEGIN")
        owner.execute("LOCK TABLE genuinetransaction IN SHARE MODE")
        stream.produce(100)
        wait_until(lambda: batch_waits(stream.settings), "the batch waits for the lock", WAIT_SECONDS)
        yield owner


def batch_waits(settings: Settings) -> bool:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND wait_event_type = 'Lock'"
    with connect(settings.warehouse_dsn) as conn:
        return conn.execute(waiting, [APPLICATION_NAME]).fetchone() == (1,)


def kill_between_the_commits(servers: Servers, stream: Stream, driver: Driver) -> int:
    """Have the driver die when the database has committed a batch and the checkpoint has not; the batch's number.

    The batch is held in the database until MinIO stands still; then the database can commit it, and the file by which
    the checkpoint does cannot be written.
    """
    number = stream.ledger()[-1][0] + 1
    with batch_held(stream) as owner, servers.paused("minio"):
        owner.execute("COMMIT")
        wait_until(lambda: stream.stored() == stream.expected(), "the database has committed", WAIT_SECONDS)
        driver.kill()
    assert stream.ledger()[-1] == (number, 100)
    assert f"offsets/{number}" in stream.names()
    assert f"commits/{number}" not in stream.names()
    return number


def test_drivers_die_between_the_commits_and_are_replaced_and_every_record_has_its_one_verdict(
    servers: Servers, settings: Settings, stream: Stream
) -> None:
    stream.produce(200)
    with stream.driver() as killed:
        stream.settle()
        wait_until(lambda: len(killed.frauds()) == 20, "the frauds are on the console")
        number = kill_between_the_commits(servers, stream, killed)
    before, entered = stream.tables(), stream.ledger()
    with stream.driver() as older:
        wait_until(lambda: f"commits/{number}" in stream.names(), "the batch is done again", WAIT_SECONDS)
        assert (stream.tables(), stream.ledger()) == (before, entered)
        # The console tells at least once, the table exactly once.
        wait_until(lambda: set(killed.frauds() + older.frauds()) == stream.expected_frauds, "all frauds are shown")
        # In the middle of a batch, which both have then: without one they race for the next in the checkpoint.
        with batch_held(stream) as owner, stream.driver() as newer:
            wait_until(lambda: newer.epoch() == older.epoch() + 1, "the newer driver has the lease", WAIT_SECONDS)
            assert older.jvm.wait(WAIT_SECONDS) == EXIT_STALE
            assert f"this driver has epoch {older.epoch()}" in older.output()
            owner.execute("COMMIT")
            stream.settle()
            newer.stop()
    assert stream.read() == stream.produced
    assert_balanced(settings, TRANSACTIONS)


@pytest.mark.long
def test_a_driver_that_loses_postgresql_in_the_middle_of_a_batch_goes_on_by_itself(
    servers: Servers, settings: Settings, stream: Stream
) -> None:
    stream.produce(100)
    with stream.driver() as driver:
        stream.settle()
        with batch_held(stream):
            servers.kill("postgres")
        stream.settle()
        with batch_held(stream), servers.down("postgres"):
            wait_until(lambda: driver.output().count("trying again") > 2, "the batch is tried in vain", WAIT_SECONDS)
        stream.settle()
        driver.stop()
    assert [records for _, records in stream.ledger()] == [100, 100, 100]
    assert_balanced(settings, TRANSACTIONS)


Files = dict[str, bytes]


def cut(name: str) -> Callable[[Files], Files]:
    """The checkpoint with the first half of a file."""
    return lambda files: files | {name: files[name][: len(files[name]) // 2]}


def without(*names: str) -> Callable[[Files], Files]:
    """The checkpoint without these files; a name that ends in a slash means all in that folder."""
    return lambda files: {
        name: content for name, content in files.items() if not name.startswith(tuple(names)) and name not in names
    }


def with_content(name: str, content: bytes) -> Callable[[Files], Files]:
    return lambda files: files | {name: content}


OTHER_ID = b'{"id":"00000000-0000-4000-8000-000000000000"}'
DAMAGE = {
    "metadata cut": (cut("metadata"), "metadata is not what Spark wrote"),
    "metadata of something else": (with_content("metadata", b'{"id":"fraud"}'), "metadata is not what Spark wrote"),
    "metadata lost": (without("metadata"), "it has batches but no metadata"),
    "metadata and offsets lost": (without("metadata", "offsets/"), "it has batches but no metadata"),
    "newest offsets cut": (cut("offsets/3"), "offsets/3 is not what Spark wrote"),
    "offsets before the newest cut": (cut("offsets/2"), "offsets/2 is not what Spark wrote"),
    "newest offsets lost": (without("offsets/3"), "batch 3 was committed, but the offsets of that batch are missing"),
    "offsets before the newest lost": (without("offsets/2"), "the offsets of batch 2 are missing"),
    "all offsets lost": (without("offsets/"), "batch 3 was committed, but the offsets of that batch are missing"),
    "newest commits cut": (cut("commits/3"), "commits/3 is not what Spark wrote"),
    "commits of another Spark": (with_content("commits/3", b"v2\n{}"), "commits/3 is not what Spark wrote"),
}
HARMLESS = {
    "older files lost or cut": lambda files: without("offsets/1")(cut("offsets/0")(cut("commits/2")(files))),
    "newest commits lost": without("commits/3", "commits/2"),
    "all commits lost": without("commits/"),
}
CONTRADICTION = {
    "restored from before a batch": (without("offsets/3", "commits/3"), "batch 3 was committed already"),
    "of another query": (with_content("metadata", OTHER_ID), "of which the warehouse's ledger knows nothing"),
}
"""What only a batch and the ledger together show."""


def four_batches(stream: Stream) -> Files:
    """The files of a checkpoint of four batches, whose driver has stopped."""
    for _ in range(4):
        stream.produce(50)
    with stream.driver("--max-records", "50") as driver:
        stream.settle()
        wait_until(lambda: "commits/3" in stream.names(), "all batches are committed")
        driver.stop()
    files = stream.files()
    assert files.keys() - {"metadata"} == {f"{log}/{batch}" for log in ("offsets", "commits") for batch in range(4)}
    return files


def complaint(stream: Stream) -> str:
    """What is said of the checkpoint before Spark is started."""
    try:
        check_checkpoint(s3_client(stream.settings), stream.checkpoint)
    except CheckpointError as error:
        return str(error)
    return "nothing"


def test_a_damaged_checkpoint_is_refused_and_doing_what_the_refusal_says_rebuilds_the_same_tables(
    settings: Settings, stream: Stream
) -> None:
    whole = four_batches(stream)
    tables = stream.tables()
    for name, (damage, wrong) in DAMAGE.items():
        stream.replace_files(damage(whole))
        assert wrong in complaint(stream), name
    said = stream.refusal()
    assert "commits/3 is not what Spark wrote" in said
    assert "delete every object of its checkpoint" in said
    assert "commits/3" in stream.names(), "a refusal must leave the checkpoint to be looked at"

    remove_checkpoint(settings, stream.checkpoint)
    with stream.driver() as driver:
        wait_until(lambda: stream.read() == 200, "bronze is read again", WAIT_SECONDS)
        driver.stop()
    assert stream.tables() == tables
    assert_balanced(settings, TRANSACTIONS)


@pytest.mark.long
def test_damage_that_spark_can_do_without_changes_nothing_and_what_only_the_ledger_knows_is_refused(
    settings: Settings, stream: Stream
) -> None:
    whole = four_batches(stream)
    for damage in HARMLESS.values():
        stream.replace_files(damage(whole))
        forget_batches_after(stream, 3)
        stream.produce(10)
        with stream.driver() as driver:
            stream.settle()
            wait_until(lambda: "commits/4" in stream.names(), "the next batch is committed")
            driver.stop()
    stream.produce(10)
    for damage, wrong in CONTRADICTION.values():
        stream.replace_files(damage(whole))
        tables, ledger = stream.tables(), stream.ledger()
        with stream.driver() as driver:
            assert driver.jvm.wait(WAIT_SECONDS) == EXIT_REFUSED
        last = driver.output().splitlines()[-1]
        assert wrong in last
        assert "delete every object of its checkpoint" in last
        assert (stream.tables(), stream.ledger()) == (tables, ledger)

    remove_checkpoint(settings, stream.checkpoint)
    with stream.driver() as driver:
        wait_until(lambda: stream.read() == stream.produced, "bronze is read again", WAIT_SECONDS)
        driver.stop()
    assert stream.stored() == stream.expected()
    assert_balanced(settings, TRANSACTIONS)


def forget_batches_after(stream: Stream, batch: int) -> None:
    """For the ledger the checkpoint's newest batch is then this one; the records keep the places they have."""
    with connect(stream.settings.warehouse_dsn) as conn:
        conn.execute("DELETE FROM ops.stream_batch WHERE batch_id > %s", [batch])
