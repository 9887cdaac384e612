"""The fraud stream under spark-submit: its drivers, the transactions it judges, and its checkpoint."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count, islice
from pathlib import Path
from typing import Any

import psutil

from include.domains import CHECKPOINTS_BUCKET, TRANSACTIONS
from include.lake.s3 import s3_client
from include.local.layout import CLONE
from include.postgres import connect
from include.settings import Settings
from include.spark.fraud_stream import EXIT_REFUSED
from tests.support.books import remove_checkpoint
from tests.support.bronze import drain
from tests.support.kafka import produce
from tests.support.processes import command_line
from tests.support.records import good
from tests.support.spark import spark_environment, spark_submit
from tests.support.waiting import wait_until
from tests.support.warehouse import TRANSACTION_TABLES, checksum

APPLICATION = CLONE / "include" / "spark" / "fraud_stream.py"
WAIT_SECONDS = 240.0
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
        """All that it has printed."""
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
        for child in psutil.Process(self.jvm.pid).children():
            if APPLICATION.name in command_line(child.pid):
                return child.pid
        raise AssertionError(f"no Python driver under process {self.jvm.pid}:\n{self.output()[-3000:]}")

    def kill(self) -> None:
        """Kill the JVM, and see that the Python driver does not outlive it."""
        pid = self.python_pid()
        self.jvm.kill()
        self.jvm.wait()
        wait_until(lambda: not psutil.pid_exists(pid), "the orphaned driver is gone")

    def stop(self) -> None:
        """Have it end in order."""
        os.kill(self.python_pid(), signal.SIGTERM)
        assert self.jvm.wait(WAIT_SECONDS) == 0


class Stream:
    """Transactions, the drivers that judge them, and their checkpoint.

    ``python_path`` is searched for modules by the drivers and their workers before everything else; ``options`` are
    spark-submit's.
    """

    def __init__(
        self, settings: Settings, folder: Path, *python_path: Path, options: Sequence[str] = ("--master", "local[2]")
    ) -> None:
        self._python_path = python_path
        self._options = options
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
        values = [self._value(number) for number in islice(self._numbers, records)]
        produce(self.settings, TRANSACTIONS.topic, values, [0], keyed=False)
        self.produced += records
        assert drain(TRANSACTIONS, self.settings).records == records

    def _value(self, number: int) -> dict[str, Any] | bytes | None:
        body = good(TRANSACTIONS, txn_id=f"T{number:06}", channel="Online")
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
            case 6:
                # Card testing, but for the first: by how many of the user's came before.
                body["amount"] = "3.00"
                if number > 6:
                    self.expected_frauds.add(body["txn_id"])
        return body

    def expected(self) -> tuple[int, ...]:
        """Fraud, genuine, duplicates, quarantined, among all that was produced; the rest are tombstones."""
        numbers = range(1, self.produced + 1)
        rejected = sum(number % 10 == 1 for number in numbers)
        # The very first T000005 may be number 2 or number 5; one of all of them has the id.
        duplicates = sum(number % 10 == 2 for number in numbers)
        valid = sum(number % 10 in (3, 4, 5, 6, 7, 8, 9) for number in numbers)
        fraud = len(self.expected_frauds)
        return fraud, valid - fraud, duplicates, rejected

    def stored(self) -> tuple[int, ...] | None:
        """The same four counts, as the tables have them now."""
        with connect(self.settings.warehouse_dsn) as conn:
            return conn.execute(COUNTS).fetchone()

    def settle(self) -> None:
        """Wait until everything that was produced is where it belongs."""
        wait_until(lambda: self.stored() == self.expected(), f"{self.expected()} in the tables", WAIT_SECONDS)

    def tables(self) -> dict[str, Any]:
        """Checksums of all rows, with the times at which they were written."""
        with connect(self.settings.warehouse_dsn) as conn:
            return {table: checksum(conn, table) for table in TRANSACTION_TABLES}

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
        command = [*spark_submit(self._options), str(APPLICATION)]
        with log.open("wb") as output:
            jvm = subprocess.Popen(
                [*command, "--checkpoint", self.checkpoint, *options],
                env=spark_environment(*self._python_path),
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
            env=spark_environment(*self._python_path),
            capture_output=True,
            text=True,
            timeout=WAIT_SECONDS,
            check=False,
        )
        assert refused.returncode == EXIT_REFUSED, refused.stderr
        assert "Traceback" not in refused.stderr
        return refused.stderr
