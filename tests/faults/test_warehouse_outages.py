"""PostgreSQL is lost in the middle of a gold load or a micro-batch: nothing is there by halves, and all converges."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from include.domains import MERCHANTS, TRANSACTIONS
from include.fraud.lease import APPLICATION_NAME
from include.lake.catalog import SilverState
from include.local.layout import Stack
from include.local.servers import postgres
from include.local.supervision.supervisor import Supervisor
from include.postgres import connect
from include.settings import Settings
from include.warehouse.gold import GoldReport, LakeSilver, load_from
from tests.support.books import assert_balanced, begin_anew, judge_all
from tests.support.records import merchants
from tests.support.servers import Servers, own_servers
from tests.support.silver import load_gold, run_silver, worker_process
from tests.support.waiting import wait_until
from tests.support.warehouse import TRANSACTION_TABLES, checksum
from tests.support.wild import wild_values
from tests.support.world import World

pytestmark = pytest.mark.integration

GOLD_SESSION = "paylake gold"
WRITTEN = (*TRANSACTION_TABLES, "ops.stream_batch")
"""What a batch of the fraud stream writes to."""


def killed(servers: Servers) -> None:
    servers.kill("postgres")


def stopped(servers: Servers) -> None:
    with servers.down("postgres"), pytest.raises(psycopg.OperationalError):
        connect(servers.settings.warehouse_dsn)


Outage = Callable[[Servers], None]


@pytest.fixture(scope="module")
def gold_behind(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], None]]:
    """Sets the merchants of gold back to how they were one silver run ago, as often as wanted and without Spark."""
    settings = servers.settings
    world = World(settings, MERCHANTS, tmp_path_factory.mktemp("merchants"))
    world.wipe()
    saved = {table: f"{table}_before" for table in ("merchants", "ops.gold_watermark")}
    with closing(connect(settings.warehouse_dsn)) as conn, worker_process() as worker:
        world.produce(*merchants(range(300)), b"garbage")
        worker.submit(run_silver, MERCHANTS, settings).result()
        assert load_gold(MERCHANTS, settings).inserted == 300
        for table, copy in saved.items():
            conn.execute(f"CREATE TABLE {copy} AS TABLE {table}")
        world.produce(*merchants(range(200, 500), day=2, merchant_name="Newer"))
        worker.submit(run_silver, MERCHANTS, settings).result()

    def set_back() -> None:
        with connect(settings.warehouse_dsn) as conn, conn.transaction():
            for table, copy in saved.items():
                conn.execute(f"TRUNCATE {table}")
                conn.execute(f"INSERT INTO {table} SELECT * FROM {copy}")  # noqa: S608

    yield set_back
    with connect(settings.warehouse_dsn) as conn:
        conn.execute(f"DROP TABLE {', '.join(saved.values())}")


@pytest.fixture
def background() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as background:
        yield background


@contextmanager
def table_locked(settings: Settings, table: str) -> Iterator[None]:
    """Nobody can write to the table; the lock does not outlive the server."""
    with closing(connect(settings.warehouse_dsn)) as conn:
        conn.execute("BEGIN")
        conn.execute(f"LOCK TABLE {table} IN SHARE MODE")
        yield


def await_lock(settings: Settings, application: str) -> None:
    """Wait until a session of this name queues for a lock."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND wait_event_type = 'Lock'"
    with connect(settings.warehouse_dsn) as conn:
        wait_until(lambda: conn.execute(waiting, [application]).fetchone() == (1,), f"{application} waits for a lock")


def checksums(settings: Settings, tables: Iterable[str]) -> dict[str, Any]:
    with connect(settings.warehouse_dsn) as conn:
        return {table: checksum(conn, table) for table in tables}


@dataclass(frozen=True)
class HeldSilver(LakeSilver):
    """The lake's silver, which gives its rows at once but for the last, and that one when it is told to."""

    halfway: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)

    def rows_after(self, silver_version: int) -> tuple[SilverState, Iterable[pa.RecordBatch]]:
        state, batches = super().rows_after(silver_version)
        return state, self._held(pa.Table.from_batches(batches))

    def _held(self, rows: pa.Table) -> Iterator[pa.RecordBatch]:
        yield from rows.slice(0, len(rows) - 1).to_batches()
        self.halfway.set()
        assert self.go_on.wait(120)
        yield from rows.slice(len(rows) - 1).to_batches()


@contextmanager
def held_while_copying(settings: Settings, background: ThreadPoolExecutor) -> Iterator[Future[GoldReport]]:
    """A gold load in the middle of its COPY."""

    def load() -> GoldReport:
        with closing(connect(settings.warehouse_dsn, GOLD_SESSION)) as conn:
            return load_from(silver, MERCHANTS, conn)

    silver = HeldSilver(settings, MERCHANTS)
    loading = background.submit(load)
    try:
        wait_until(silver.halfway.is_set, "the load is in the middle of its COPY")
        yield loading
    finally:
        silver.go_on.set()


@contextmanager
def held_while_merging(settings: Settings, background: ThreadPoolExecutor) -> Iterator[Future[GoldReport]]:
    """A gold load that has copied all and is about to change the table."""
    with table_locked(settings, "merchants"):
        loading = background.submit(load_gold, MERCHANTS, settings)
        await_lock(settings, GOLD_SESSION)
        yield loading


Moment = Callable[[Settings, ThreadPoolExecutor], Any]


@pytest.mark.parametrize("moment", [held_while_copying, held_while_merging])
@pytest.mark.parametrize("outage", [killed, stopped])
def test_a_gold_load_that_loses_postgresql_fails_leaves_all_as_it_was_and_succeeds_when_repeated(
    servers: Servers,
    gold_behind: Callable[[], None],
    background: ThreadPoolExecutor,
    moment: Moment,
    outage: Outage,
) -> None:
    settings = servers.settings
    gold_behind()
    tables = ("merchants", "ops.gold_watermark", "ops.quarantine")
    before = checksums(settings, tables)

    with moment(settings, background) as loading:
        assert not loading.done()
        outage(servers)
    with pytest.raises(psycopg.OperationalError, match=r"terminat|closed the connection|connection to server"):
        loading.result()

    assert checksums(settings, tables) == before
    report = load_gold(MERCHANTS, settings)
    assert (report.rows_sent, report.inserted, report.updated) == (300, 200, 100)
    assert_balanced(settings, MERCHANTS)


@pytest.mark.parametrize("outage", [killed, stopped])
def test_a_micro_batch_that_loses_postgresql_is_written_once_when_it_is_back(
    servers: Servers,
    background: ThreadPoolExecutor,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    outage: Outage,
) -> None:
    settings = servers.settings
    begin_anew(settings, TRANSACTIONS)
    world = World(settings, TRANSACTIONS, tmp_path)
    values = wild_values(TRANSACTIONS, 2_000, 1_000, seed=5)
    world.produce(*values[:1_000])
    judge_all(settings)
    before = checksums(settings, WRITTEN)
    world.produce(*values[1_000:])

    with table_locked(settings, "genuinetransaction"):
        judging = background.submit(judge_all, settings)
        await_lock(settings, APPLICATION_NAME)
        assert checksums(settings, WRITTEN) == before
        outage(servers)
    judging.result()

    assert "trying again" in caplog.text
    with connect(settings.warehouse_dsn) as conn:
        entered = conn.execute("SELECT batch_id, records FROM ops.stream_batch ORDER BY 1").fetchall()
    assert entered == [(0, 1_000), (1, 1_000)]
    assert_balanced(settings, TRANSACTIONS)


@contextmanager
def servers_on_a_small_disk(folder: Path, megabytes: int) -> Iterator[tuple[Servers, Path]]:
    """Servers whose PostgreSQL has a file system of its own, and that file system."""
    assert os.geteuid() == 0, "this test mounts a file system, which only root may do"
    disks: list[Path] = []

    def mount(stack: Stack) -> None:
        disk = postgres.server(stack).data.parent
        assert disk == postgres.open_folder(stack), "the database must not share its file system with the other servers"
        disk.mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(disk)], check=True)
        disks.append(disk)

    try:
        with own_servers(folder, mount) as servers, pytest.MonkeyPatch.context() as patch:
            for name, value in servers.environment.items():
                patch.setenv(name, value)
            try:
                yield servers, disks[0]
            finally:
                servers.stop("postgres")
                subprocess.run(["umount", str(disks[0])], check=True)
    finally:
        for disk in filter(os.path.ismount, disks):  # the servers did not even start
            subprocess.run(["umount", "--lazy", str(disk)], check=True)


@contextmanager
def full(disk: Path, left_over: int) -> Iterator[None]:
    """Nothing is free on the disk but this many bytes."""
    filler = disk / "filler"
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(disk).free - left_over)
    try:
        yield
    finally:
        filler.unlink()


@pytest.fixture
def on_a_small_disk(tmp_path: Path) -> Iterator[tuple[Servers, Path]]:
    """Servers, PostgreSQL's disk, and work that waits: gold is behind silver, verdicts are behind bronze."""
    with servers_on_a_small_disk(tmp_path / "servers", 400) as (servers, disk):
        settings = servers.settings
        world, transactions = World(settings, MERCHANTS, tmp_path), World(settings, TRANSACTIONS, tmp_path)
        values = wild_values(TRANSACTIONS, 10_000, 8_000, seed=15)
        with worker_process() as worker:
            world.produce(*merchants(range(20_000)))
            worker.submit(run_silver, MERCHANTS, settings).result()
            load_gold(MERCHANTS, settings)
            world.produce(*merchants(range(40_000), day=2, merchant_name="Newer"))
            worker.submit(run_silver, MERCHANTS, settings).result()
        transactions.produce(*values[:1_000])
        judge_all(settings)
        transactions.produce(*values[1_000:])
        yield servers, disk


ON_DISK = ("merchants", "ops.gold_watermark", *WRITTEN)


@pytest.mark.long
def test_a_disk_without_room_for_rows_fails_loads_and_keeps_batches_waiting_and_all_goes_on_when_there_is_room(
    on_a_small_disk: tuple[Servers, Path], background: ThreadPoolExecutor, caplog: pytest.LogCaptureFixture
) -> None:
    servers, disk = on_a_small_disk
    settings = servers.settings
    before = checksums(settings, ON_DISK)
    with full(disk, left_over=1_000_000):
        with pytest.raises(psycopg.errors.DiskFull, match="No space left on device"):
            load_gold(MERCHANTS, settings)
        assert checksums(settings, ON_DISK) == before
        judging = background.submit(judge_all, settings)
        wait_until(lambda: caplog.text.count("No space left on device") > 1, "the batch is tried again")
        assert checksums(settings, ON_DISK) == before
    judging.result()
    assert load_gold(MERCHANTS, settings).rows_sent == 40_000
    assert_balanced(settings, MERCHANTS, TRANSACTIONS)


@pytest.mark.long
def test_a_disk_without_room_for_postgresqls_log_ends_the_server_and_all_goes_on_by_itself_when_there_is_room(
    on_a_small_disk: tuple[Servers, Path],
) -> None:
    servers, disk = on_a_small_disk
    settings = servers.settings
    before = checksums(settings, ON_DISK)
    # Room for the staged rows, which are not logged, but not for another segment of 16 MB of the log.
    with full(disk, left_over=14_000_000):
        with pytest.raises(psycopg.OperationalError, match=r"No space left on device|closed the connection"):
            load_gold(MERCHANTS, settings)
        keeper = Supervisor(servers.stack)
        wait_until(lambda: keeper.conditions()["postgres"].state == "BACKOFF", "it is started in vain")
    servers.await_well("postgres")
    assert checksums(settings, ON_DISK) == before
    judge_all(settings)
    assert load_gold(MERCHANTS, settings).rows_sent == 40_000
    assert_balanced(settings, MERCHANTS, TRANSACTIONS)
