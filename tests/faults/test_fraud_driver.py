"""The fraud stream under Spark: drivers killed at the worst moment, replaced, and robbed of their checkpoint."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest

from include.domains import TRANSACTIONS
from include.fraud.checkpoint import CheckpointError, check_checkpoint
from include.fraud.lease import APPLICATION_NAME
from include.heartbeat import SILENCE_SECONDS, VARIABLE, Silence
from include.lake.s3 import s3_client
from include.postgres import connect
from include.settings import Settings
from include.spark.fraud_stream import EXIT_REFUSED, EXIT_STALE
from tests.support.books import assert_balanced, assert_judged_again, begin_anew, remove_checkpoint
from tests.support.fraud_stream import WAIT_SECONDS, Driver, Stream
from tests.support.servers import Servers
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration


@pytest.fixture
def stream(settings: Settings, tmp_path: Path) -> Iterator[Stream]:
    begin_anew(settings, TRANSACTIONS)
    stream = Stream(settings, tmp_path)
    remove_checkpoint(settings, stream.checkpoint)
    yield stream
    remove_checkpoint(settings, stream.checkpoint)


SLOW_ONCE = """
import os, sys, time
if "pyspark.sql.streaming.python_streaming_source_runner" in sys.orig_argv:
    try:
        os.mkdir({mark!r})
    except FileExistsError:
        pass
    else:
        time.sleep(15)
"""
"""Python reads it before anything else; the first process of a streaming source then takes longer than Spark waits."""


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


def assert_whole(stream: Stream) -> None:
    """Each record has its one place, and each verdict is the one that its features ask for."""
    assert_balanced(stream.settings, TRANSACTIONS)
    counts = assert_judged_again(stream.settings)
    tiny = sum(number % 10 == 6 for number in range(1, stream.produced + 1))
    assert tiny > 1
    assert counts == list(range(1, tiny)), "each has every tiny payment before it behind it, once"


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
        wait_until(lambda: set(killed.frauds()) == stream.expected_frauds, "the frauds are on the console")
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
    assert_whole(stream)


@pytest.fixture
def silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Silence:
    """Of the drivers that a test starts."""
    silence = Silence(tmp_path / "heartbeats")
    monkeypatch.setenv(VARIABLE, silence.file)
    return silence


def await_beats(silence: Silence, number: int, what: str) -> None:
    """Wait for so many beats, of which none may come too late."""
    for _ in range(number):
        wait_until(lambda: silence.silent_for() > 0.0, f"silence after {what}")
        wait_until(lambda: silence.silent_for() == 0.0, what, SILENCE_SECONDS)


def test_a_driver_that_stands_still_falls_silent_and_writes_nothing_more_when_it_goes_on(
    settings: Settings, stream: Stream, silence: Silence
) -> None:
    stream.produce(100)
    with stream.driver() as frozen:
        stream.settle()
        await_beats(silence, 2, "a beat, though nothing comes")
        with batch_held(stream) as owner:
            os.kill(frozen.python_pid(), signal.SIGSTOP)
            wait_until(lambda: silence.silent_for() > SILENCE_SECONDS / 2, "silence", SILENCE_SECONDS)
            owner.execute("COMMIT")
            with stream.driver() as newer:
                wait_until(lambda: newer.epoch() == frozen.epoch() + 1, "the newer driver has the lease", WAIT_SECONDS)
                stream.settle()
                os.kill(frozen.python_pid(), signal.SIGCONT)
                assert frozen.jvm.wait(WAIT_SECONDS) == EXIT_STALE
                newer.stop()
    assert stream.read() == stream.produced
    assert_whole(stream)


@pytest.mark.long
def test_a_driver_that_waits_for_a_server_does_not_stand_still(
    servers: Servers, settings: Settings, stream: Stream, silence: Silence
) -> None:
    stream.produce(100)
    with stream.driver() as driver:
        stream.settle()
        with batch_held(stream) as owner:
            # The first may be of before, the second tells of waiting alone.
            await_beats(silence, 3, "a beat while the batch waits for the warehouse")
            owner.execute("COMMIT")
        stream.settle()
        with servers.paused("minio"):
            await_beats(silence, 3, "a beat while S3 is away")
        os.kill(driver.jvm.pid, signal.SIGSTOP)
        wait_until(silence.too_long, "too long a silence", 2 * SILENCE_SECONDS)
        os.kill(driver.jvm.pid, signal.SIGCONT)
        stream.produce(100)
        stream.settle()
        driver.stop()
    assert_whole(stream)


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
    assert_whole(stream)


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
    assert_whole(stream)


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
    assert_whole(stream)


def forget_batches_after(stream: Stream, batch: int) -> None:
    """For the ledger the checkpoint's newest batch is then this one; the records keep the places they have."""
    with connect(stream.settings.warehouse_dsn) as conn:
        conn.execute("DELETE FROM ops.stream_batch WHERE batch_id > %s", [batch])


def test_a_source_whose_python_process_starts_too_slowly_is_started_again(settings: Settings, tmp_path: Path) -> None:
    begin_anew(settings, TRANSACTIONS)
    mark = tmp_path / "was slow"
    (tmp_path / "sitecustomize.py").write_text(SLOW_ONCE.format(mark=str(mark)))
    stream = Stream(settings, tmp_path, tmp_path)
    remove_checkpoint(settings, stream.checkpoint)
    stream.produce(10)
    with stream.driver() as driver:
        stream.settle()
        assert mark.is_dir()
        assert "not there in ten seconds (1 of" in driver.output()
        driver.stop()
    remove_checkpoint(settings, stream.checkpoint)
