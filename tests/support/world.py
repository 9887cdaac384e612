"""One domain from its topic to its Parquet folder."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from include.domains import BRONZE_BUCKET, SILVER_BUCKET, Domain
from include.lake.catalog import SilverState, branch_parents, data_files, silver_state
from include.lake.s3 import s3_client
from include.local.layout import CLONE
from include.postgres import connect
from include.settings import Settings
from tests.support.books import begin_anew, drop_silver, renew_topic
from tests.support.bronze import drain
from tests.support.kafka import produce
from tests.support.objects import objects
from tests.support.spark import spark_environment, spark_submit
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


JOB = CLONE / "include" / "spark" / "silver.py"
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

    def wipe(self) -> None:
        """No record, no row, a new topic."""
        begin_anew(self.settings, self.domain)

    def reset_topic(self) -> None:
        """A new topic of the same name; all else stays."""
        renew_topic(self.settings, self.domain)

    def drop_table(self) -> None:
        """The catalog forgets silver's table, its files stay."""
        drop_silver(self.settings, self.domain)

    def produce(
        self, *records: Mapping[str, Any] | bytes | None, partitions: int = 1, into_bronze: bool = True
    ) -> None:
        """Through a plain Kafka client, into these many partitions in turn, and on into bronze."""
        produce(self.settings, self.domain.topic, records, range(partitions))
        if into_bronze:
            drain(self.domain, self.settings)

    def submit(self, *python_path: Path, along: Sequence[str] = ()) -> subprocess.Popen[str]:
        """Start the job as Airflow would; it is the leader of a process group of its own.

        ``python_path`` is searched for modules by the job and its workers before everything else. ``along`` are other
        domains whose runs are waiting.
        """
        return subprocess.Popen(
            [*spark_submit(self.options), str(JOB), self.domain.name, "--along", *along],
            env=spark_environment(*python_path),
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
        return objects(self.s3, SILVER_BUCKET, f"{self.domain.silver_folder}/")

    def bronze(self) -> list[str]:
        """Keys of the objects that hold the domain's records, in order."""
        return sorted(objects(self.s3, BRONZE_BUCKET, f"{self.domain.bronze_folder}/"))

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
            order = f"{self.domain.key}, bronze_topic_id, bronze_partition, bronze_offset"
            query = f"SELECT {chosen} FROM {source} ORDER BY {order}"  # noqa: S608
            return database.execute(query).fetchall()

    def quarantined(self) -> list[tuple[int, bytes, list[str]]]:
        """Offset, original bytes and reason codes of what is in quarantine, by offset."""
        with connect(self.settings.warehouse_dsn) as conn:
            found = conn.execute(
                "SELECT record_offset, raw, reasons FROM ops.quarantine WHERE domain = %s ORDER BY record_offset",
                [self.domain.name],
            ).fetchall()
        return [(offset, raw, sorted(reason["code"] for reason in reasons)) for offset, raw, reasons in found]


def await_in_job(condition: Callable[[], bool], job: subprocess.Popen[str], what: str) -> None:
    """Wait until it holds; the job must be alive until then."""

    def holds() -> bool:
        held = condition()
        assert held or job.poll() is None, f"the job ended before {what}"
        return held

    wait_until(holds, what, SUBMIT_SECONDS, pause=0.02)


def state_of(world: World) -> SilverState:
    """The state of its silver, which must be there."""
    state = silver_state(world.settings, world.domain)
    assert state is not None
    return state


def assert_clean(world: World) -> None:
    """Nothing but the current rows in the folder, nothing but main in the catalog, and the books balance."""
    state = state_of(world)
    assert set(world.files()) == data_files(world.settings, world.domain)
    assert set(branch_parents(world.settings, world.domain)) == {"main"}
    assert len(world.rows()) == state.rows
    counts = state.counts
    total = counts.valid + counts.duplicates + counts.quarantined + counts.tombstones
    assert total == sum(end for partitions in state.position.values() for end in partitions.values())
