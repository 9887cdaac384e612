"""Verification on real servers: it balances when all is well, and names exactly what somebody broke."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import TYPE_CHECKING

import pytest
import typer
from confluent_kafka.admin import AdminClient
from psycopg.conninfo import make_conninfo
from typer.testing import CliRunner

from include.domains import BRONZE_BUCKET, TRANSACTIONS
from include.kafka.topics import end_offsets, topic_id
from include.lake.bronze_log import BronzeLog
from include.lake.incoming import IncomingRecords
from include.lake.objects import encode, object_key
from include.lake.records import IncomingRecord
from include.lake.s3 import s3_client
from include.postgres import connect
from include.settings import Settings
from include.verify import Finding, Report, verify
from include.verify.cli import verify_command
from include.verify.kafka_log import fix_end
from include.verify.transactions import TransactionsCheck
from tests.support.books import assert_balanced, begin_anew, judge_all
from tests.support.bronze import drain
from tests.support.kafka import produce
from tests.support.records import transaction
from tests.support.waiting import wait_until
from tests.support.warehouse import TRANSACTION_TABLES

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

pytestmark = pytest.mark.integration

WITHOUT_WAITING = 0.0


class Books:
    """Transactions of every kind in all partitions of a new topic, each in its place."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.s3: S3Client = s3_client(settings)
        self.log = BronzeLog(self.s3, TRANSACTIONS)
        begin_anew(settings, TRANSACTIONS)
        self.admin = AdminClient({"bootstrap.servers": settings.kafka_bootstrap_servers})
        found = topic_id(self.admin, TRANSACTIONS.topic)
        assert found is not None
        self.topic_id = found
        for first in (0, 100, 200):
            self.produce(range(first, first + 100))
            drain(TRANSACTIONS, settings)
            judge_all(settings)
        for _ in range(3):
            produce(settings, TRANSACTIONS.topic, [None, b"{", transaction(5), transaction(7, amount="8.00")], [0])
            drain(TRANSACTIONS, settings)
        judge_all(settings)

    def produce(self, numbers: range) -> None:
        produce(self.settings, TRANSACTIONS.topic, (transaction(number) for number in numbers))

    def verify(self) -> Report:
        return verify(self.settings, domains=[TRANSACTIONS], wait_seconds=WITHOUT_WAITING)

    def only(self, check: str) -> Finding:
        """The one finding there is, which is of this kind."""
        report = self.verify()
        assert [finding.check for finding in report.findings] == [check], report.problems()
        return report.findings[0]

    def damage(self, statement: str) -> None:
        """Change the warehouse; it must change something."""
        with connect(self.settings.warehouse_dsn) as conn:
            assert conn.execute(statement).rowcount > 0

    def objects(self, partition: int = 0) -> list[int]:
        return [listed.start for listed in self.log.objects(self.topic_id, partition)]

    def names(self) -> set[str]:
        pages = self.s3.get_paginator("list_objects_v2").paginate(
            Bucket=BRONZE_BUCKET, Prefix=TRANSACTIONS.bronze_folder
        )
        return {entry["Key"] for page in pages for entry in page.get("Contents", [])}

    def read(self, key: str) -> tuple[bytes, dict[str, str]]:
        answer = self.s3.get_object(Bucket=BRONZE_BUCKET, Key=key)
        return answer["Body"].read(), answer["Metadata"]

    def key(self, start: int, partition: int = 0) -> str:
        return object_key(TRANSACTIONS.bronze_folder, self.topic_id, partition, start)


@pytest.fixture(scope="module")
def books(settings: Settings) -> Books:
    return Books(settings)


@pytest.fixture
def mended(books: Books) -> Iterator[Books]:
    """Books that a test may damage: all is put back afterwards."""
    objects = {key: books.read(key) for key in books.names()}
    with connect(books.settings.warehouse_dsn) as conn:
        for number, table in enumerate(TRANSACTION_TABLES):
            conn.execute(f"CREATE TEMPORARY TABLE saved_{number} AS TABLE {table}")
        yield books
        for number, table in enumerate(TRANSACTION_TABLES):
            with conn.transaction():
                conn.execute(f"TRUNCATE {table}")
                conn.execute(f"INSERT INTO {table} TABLE saved_{number}")
    for key in books.names() - objects.keys():
        books.s3.delete_object(Bucket=BRONZE_BUCKET, Key=key)
    for key, (body, metadata) in objects.items():
        books.s3.put_object(Bucket=BRONZE_BUCKET, Key=key, Body=body, Metadata=metadata)
    assert_balanced(books.settings, TRANSACTIONS)


def test_books_that_balance_are_counted_by_partition(books: Books) -> None:
    report = assert_balanced(books.settings, TRANSACTIONS)
    (domain,) = report.domains
    assert domain.total("produced") == domain.total("bronze") == report.records == 312
    assert (domain.total("valid"), domain.total("fraud")) == (300, 30)
    assert (domain.total("duplicates"), domain.conflicts) == (6, 3)
    assert (domain.total("quarantined"), domain.total("tombstones")) == (3, 3)
    ends = end_offsets(books.admin, TRANSACTIONS.topic)
    assert {(one.topic_id, one.partition): one.end for one in domain.books} == {
        (books.topic_id, partition): end for partition, end in ends.items()
    }


def test_an_object_that_is_gone_is_named_with_its_offsets(mended: Books) -> None:
    start, end = mended.objects()[1:3]
    mended.s3.delete_object(Bucket=BRONZE_BUCKET, Key=mended.key(start))
    found = {finding.check: finding for finding in mended.verify().findings}
    assert found.keys() == {"bronze_hole", "not_in_bronze", "only_in_a_table"}
    assert found["bronze_hole"].ranges == found["not_in_bronze"].ranges == ((start, end - 1),)
    assert found["bronze_hole"].objects == (mended.key(end),)


def test_an_object_that_was_changed_is_named_with_the_offset(mended: Books) -> None:
    start = mended.objects()[1]
    body, metadata = mended.read(mended.key(start))
    body = body.replace(b'"45000.00"', b'"45000.01"', 1)
    mended.s3.put_object(Bucket=BRONZE_BUCKET, Key=mended.key(start), Body=body, Metadata=metadata)
    assert mended.only("other_bytes").count == 1
    mended.s3.put_object(Bucket=BRONZE_BUCKET, Key=mended.key(start), Body=body[:-9], Metadata=metadata)
    found = {finding.check: finding for finding in mended.verify().findings}
    assert found["bronze_object"].objects == (mended.key(start),)


def test_an_overlap_and_a_stranger_are_named(mended: Books) -> None:
    end = mended.objects()[1]
    (record,) = mended.log.read(mended.topic_id, 0, end - 1, end)
    (twice,) = encode(
        IncomingRecords.of([IncomingRecord(record.offset, record.timestamp_ms, None, record.value)]),
        topic=TRANSACTIONS.topic,
        key_fields=TRANSACTIONS.key_fields,
        partition=0,
        start=end - 1,
        end=end,
        now_ms=record.taken_ms,
    )
    mended.s3.put_object(Bucket=BRONZE_BUCKET, Key=mended.key(end - 1), Body=twice.body, Metadata=twice.metadata)
    stranger = f"{TRANSACTIONS.bronze_folder}/{mended.topic_id}/0/notes.txt"
    mended.s3.put_object(Bucket=BRONZE_BUCKET, Key=stranger, Body=b"?")
    found = {finding.check: finding for finding in mended.verify().findings}
    assert found.keys() == {"bronze_overlap", "bronze_double", "bronze_foreign"}
    assert found["bronze_overlap"].ranges == found["bronze_double"].ranges == ((end - 1, end - 1),)
    assert found["bronze_foreign"].objects == (stranger,)


@pytest.mark.parametrize(
    ("damage", "checks"),
    [
        (
            "DELETE FROM genuinetransaction WHERE txn_id = 'T0000123'",
            {"nowhere", "claim_without_verdict"},
        ),
        (
            "DELETE FROM ops.quarantine WHERE domain = 'transactions'",
            {"nowhere"},
        ),
        (
            "DELETE FROM ops.transaction_duplicate",
            {"nowhere"},
        ),
        (
            "UPDATE genuinetransaction SET bronze_topic_id = 'other' WHERE txn_id = 'T0000123'",
            {"nowhere", "only_in_a_table", "verdict_without_claim"},
        ),
        (
            "DELETE FROM ops.transaction_seen WHERE txn_id = 'T0000005'",
            {"verdict_without_claim", "duplicate_of_nothing"},
        ),
        (
            "UPDATE ops.transaction_seen SET record_offset = other.record_offset, partition_id = other.partition_id"
            " FROM ops.transaction_seen AS other"
            " WHERE (transaction_seen.txn_id, other.txn_id)"
            " IN (('T0000123', 'T0000124'), ('T0000124', 'T0000123'))",
            {"verdict_without_claim"},
        ),
        (
            "UPDATE ops.transaction_seen SET verdict = other.verdict FROM ops.transaction_seen AS other"
            " WHERE (transaction_seen.txn_id, other.txn_id)"
            " IN (('T0000123', 'T0000120'), ('T0000120', 'T0000123'))",
            {"verdict_without_claim"},
        ),
        (
            "INSERT INTO ops.quarantine"
            " SELECT 'transactions', 'transactions', topic_id, partition_id, record_offset, 0, '', '[{}]', '1'"
            " FROM ops.transaction_seen WHERE txn_id = 'T0000123'",
            {"two_places"},
        ),
    ],
)
def test_damage_in_the_warehouse_is_named(mended: Books, damage: str, checks: set[str]) -> None:
    mended.damage(damage)
    assert {finding.check for finding in mended.verify().findings} == checks


def test_verdicts_and_claims_that_do_not_say_of_which_record_they_are_are_named(mended: Books) -> None:
    with connect(mended.settings.warehouse_dsn) as conn:
        for table, prefix in (("genuinetransaction", "bronze_"), ("ops.transaction_seen", "record_")):
            conn.execute(f"ALTER TABLE {table} ALTER {prefix}offset DROP NOT NULL")
        try:
            mended.damage("UPDATE genuinetransaction SET bronze_offset = NULL WHERE txn_id = 'T0000123'")
            found = {finding.check: finding for finding in mended.verify().findings}
            assert found.keys() == {"nowhere", "verdict_without_claim"}
            mended.damage("UPDATE ops.transaction_seen SET record_offset = NULL WHERE txn_id = 'T0000123'")
            found = {finding.check: finding for finding in mended.verify().findings}
            assert found.keys() == {"nowhere", "verdict_without_claim"}
            assert found["verdict_without_claim"].ids == ("T0000123",)
        finally:
            for table, prefix in (("genuinetransaction", "bronze_"), ("ops.transaction_seen", "record_")):
                conn.execute(f"DELETE FROM {table} WHERE {prefix}offset IS NULL")  # noqa: S608 - names from above
                conn.execute(f"ALTER TABLE {table} ALTER {prefix}offset SET NOT NULL")


@pytest.mark.parametrize(
    ("interrupted", "code", "said"), [(True, 130, "interrupted"), (False, 2, "lock timeout")], ids=["Ctrl-C", "error"]
)
def test_it_does_not_wait_for_kafka_when_it_cannot_go_on(
    books: Books, monkeypatch: pytest.MonkeyPatch, interrupted: bool, code: int, said: str
) -> None:
    """Kafka answers no more while the verification waits for the warehouse, and then that fails."""
    let_go, patience = Event(), "5min" if interrupted else "1s"
    monkeypatch.setattr("include.verify.domain.read_topic", lambda *_: let_go.wait(120))
    dsn = make_conninfo(books.settings.warehouse_dsn, options=f"-c lock_timeout={patience}")
    monkeypatch.setenv("WAREHOUSE_DSN", dsn)
    app = typer.Typer()
    app.command()(verify_command)
    waits = (
        "SELECT FROM pg_stat_activity WHERE application_name = 'paylake verify' AND wait_event_type = 'Lock'"
        " AND datname = current_database()"
    )

    def interrupt() -> None:
        with connect(books.settings.warehouse_dsn) as conn:
            wait_until(lambda: conn.execute(waits).fetchone() is not None, "the verification waits for the lock")
        os.kill(os.getpid(), signal.SIGINT)

    # A session of Spark that an earlier test had in this process leaves a handler of its own.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with connect(books.settings.warehouse_dsn) as owner, owner.transaction(), ThreadPoolExecutor(1) as pool:
            owner.execute("LOCK TABLE ops.transaction_duplicate")
            if interrupted:
                pool.submit(interrupt)
            started = time.monotonic()
            found = CliRunner().invoke(app, ["--domain", "transactions", "--wait", "0"])
            took = time.monotonic() - started
    finally:
        signal.signal(signal.SIGINT, handler)
    let_go.set()
    assert (found.exit_code, took < 30) == (code, True), (found.output, found.exc_info)
    (line,) = found.stderr.splitlines()
    assert said in line


def test_a_transaction_with_two_verdicts_is_named(mended: Books) -> None:
    columns = (
        "txn_id, user_id, amount, merchant_id, channel, location, timestamp, date, time, month, year,"
        " rules_version, bronze_topic_id, bronze_partition, bronze_offset"
    )
    mended.damage(
        f"INSERT INTO fraudtransaction ({columns}, reasons, evidence)"  # noqa: S608 - names from above
        f" SELECT {columns}, '{{huge_amount}}', '[{{}}]' FROM genuinetransaction WHERE txn_id = 'T0000123'"
    )
    found = {finding.check: finding for finding in mended.verify().findings}
    assert found.keys() == {"two_verdicts", "two_places", "verdict_without_claim"}
    assert found["two_verdicts"].ids == ("T0000123",)
    assert found["two_places"].count == 1


def test_what_comes_while_it_runs_is_left_out_and_what_lags_is_named(books: Books) -> None:
    books.produce(range(1000, 1001))
    behind = books.only("bronze_behind")
    drain(TRANSACTIONS, books.settings)
    late = books.only("stream_behind")
    assert behind.ranges == late.ranges
    assert behind.partition == late.partition
    judge_all(books.settings)
    assert_balanced(books.settings, TRANSACTIONS)


def test_what_was_produced_ingested_and_judged_while_it_runs_is_no_loss(books: Books) -> None:
    config = books.settings.kafka_config
    check = TransactionsCheck(books.settings, TRANSACTIONS, books.s3, config, fix_end(config, TRANSACTIONS))
    books.produce(range(2000, 2050))
    drain(TRANSACTIONS, books.settings)
    judge_all(books.settings)
    assert not check.run().findings


def test_names_that_nobody_expects_stop_nothing(mended: Books) -> None:
    folder = TRANSACTIONS.bronze_folder
    strangers = (f"{folder}/notes.txt", f"{folder}/x/y/f", f"{folder}/x/f", f"{folder}/{mended.topic_id}/temporary/f")
    for key in strangers:
        mended.s3.put_object(Bucket=BRONZE_BUCKET, Key=key, Body=b"?")
    assert set(mended.only("bronze_foreign").objects) == set(strangers)
    assert mended.log.generations() == [mended.topic_id]


def test_a_topic_that_is_no_more_still_balances(books: Books) -> None:
    books.admin.delete_topics([TRANSACTIONS.topic])[TRANSACTIONS.topic].result()
    try:
        report = assert_balanced(books.settings, TRANSACTIONS)
        assert report.records == 363
        last = books.objects()[-1]
        books.s3.delete_object(Bucket=BRONZE_BUCKET, Key=books.key(last))
        found = {finding.check: finding for finding in books.verify().findings}
        assert found.keys() == {"only_in_a_table", "bronze_lost"}
        assert found["only_in_a_table"].ranges[0][0] >= last
        assert found["bronze_lost"].ranges[0][0] == last
    finally:
        begin_anew(books.settings, TRANSACTIONS)
