"""How far each layer is behind, and what waits, asked of real servers; and whatever is broken, an answer."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import StringIO
from typing import Any
from urllib.parse import urlsplit

import pytest
from confluent_kafka import Producer
from rich.console import Console

from include.assets.registry import SELDOM_SECONDS
from include.domains import BRONZE_BUCKET, PROFILES, TRANSACTIONS
from include.ingest import PartitionsStuckError
from include.kafka.topics import end_offsets, topic_id
from include.lake.bronze_log import BronzeLog
from include.postgres import connect
from include.settings import Settings
from include.status import lag, waiting
from include.status.flow import Flow, flow
from include.status.layers import layer_parts
from include.status.render import render
from include.status.stores import Stores
from include.status.waiting import OPEN_TRANSACTION, Waiting, behind_open_transactions
from include.verify import verify
from include.warehouse.schema import apply_schema
from paylake_airflow.behind import all_behind
from paylake_airflow.behind import behind as behind_by_connections
from tests.support.books import begin_anew, judge_all
from tests.support.bronze import drain
from tests.support.kafka import Kafka, produce
from tests.support.records import encoded, transaction
from tests.support.waiting import wait_until
from tests.support.warehouse import scratch_database

pytestmark = pytest.mark.integration


@pytest.fixture
def stores(settings: Settings) -> Iterator[Stores]:
    """With an empty topic of transactions and nothing behind it."""
    begin_anew(settings, TRANSACTIONS)
    yield Stores(settings)
    begin_anew(settings, TRANSACTIONS)


def behind(stores: Stores) -> tuple[int, int]:
    """How many transactions wait for bronze, and how many for their verdict."""
    return lag.bronze(stores, TRANSACTIONS).lag.records, lag.verdicts(stores).lag.records


def test_transactions_are_counted_where_they_wait(stores: Stores, settings: Settings) -> None:
    assert behind(stores) == (0, 0)
    before = time.time()
    produce(settings, TRANSACTIONS.topic, map(transaction, range(40)))
    found = lag.bronze(stores, TRANSACTIONS).lag
    assert found.records == 40
    assert found.seconds is not None
    assert 0 <= found.seconds <= time.time() - before + 1
    drain(TRANSACTIONS, settings)
    assert behind(stores) == (0, 40)
    judge_all(settings)
    assert behind(stores) == (0, 0)
    assert lag.verdicts(stores).lag.seconds is None

    produce(settings, TRANSACTIONS.topic, map(transaction, range(40, 47)), [1])
    drain(TRANSACTIONS, settings)
    produce(settings, TRANSACTIONS.topic, map(transaction, range(47, 50)), [2])
    assert behind(stores) == (3, 7)


def test_marks_of_transactions_are_no_records_that_wait(stores: Stores, settings: Settings) -> None:
    kafka = Kafka(settings)
    kafka.produce_transaction(TRANSACTIONS.topic, [encoded(transaction(number)) for number in range(5)], commit=True)
    drain(TRANSACTIONS, settings)
    judge_all(settings)
    # The mark is in bronze, and no stream will ever read it.
    assert behind(stores) == (0, 0)
    kafka.produce_transaction(
        TRANSACTIONS.topic, [encoded(transaction(number)) for number in range(5, 10)], commit=False
    )
    assert behind(stores) == (0, 0)
    drain(TRANSACTIONS, settings)
    assert behind(stores) == (0, 0)
    produce(settings, TRANSACTIONS.topic, [transaction(10)], [0])
    assert behind(stores) == (1, 0)
    drain(TRANSACTIONS, settings)
    assert behind(stores) == (0, 1)


@contextmanager
def open_transaction(settings: Settings, count: int) -> Iterator[Producer]:
    """A producer that has written so many records to partition 1 and neither commits nor aborts them in the block."""
    config = {"bootstrap.servers": settings.kafka_bootstrap_servers, "transactional.id": f"open-{uuid.uuid4().hex}"}
    producer = Producer(config)
    producer.init_transactions(60)
    producer.begin_transaction()
    for number in range(count):
        producer.produce(TRANSACTIONS.topic, encoded(transaction(900 + number)), partition=1)
    assert producer.flush(60) == 0
    try:
        yield producer
    finally:
        producer.abort_transaction(60)


def test_records_behind_an_open_transaction_are_named(
    stores: Stores, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    produce(settings, TRANSACTIONS.topic, map(transaction, range(4)), [1])
    drain(TRANSACTIONS, settings)
    judge_all(settings)
    with open_transaction(settings, 3):
        produce(settings, TRANSACTIONS.topic, map(transaction, range(4, 6)), [1])
        drain(TRANSACTIONS, settings)
        assert behind(stores) == (0, 0), "no layer can have what Kafka gives nobody"

        (held,) = behind_open_transactions(stores, TRANSACTIONS)
        assert replace(held, seconds=None) == Waiting(
            OPEN_TRANSACTION, TRANSACTIONS.name, 5, None, TRANSACTIONS.topic, 1, 4
        )
        assert held.seconds is not None
        assert held.seconds < 60
        found = flow(settings)
        of_transactions = [one for one in found.waiting if one.domain == TRANSACTIONS.name]
        assert [replace(one, seconds=None) for one in of_transactions] == [replace(held, seconds=None)]
        assert OPEN_TRANSACTION not in {problem.check for problem in found.problems}
        report = verify(settings, domains=[TRANSACTIONS], wait_seconds=0)
        assert report.balanced, report.problems()
        assert [one.records for one in report.domains[0].waiting] == [5]

        # After a minute it is no matter of timing any more.
        monkeypatch.setattr(waiting, "OPEN_SECONDS", 0.0)
        (problem,) = [problem for problem in flow(settings).problems if problem.check == OPEN_TRANSACTION]
        assert "up to 5 records, the first for" in problem.message
        assert "partition 1, from offset 4" in problem.message
        (finding,) = verify(settings, domains=[TRANSACTIONS], wait_seconds=0).findings
        assert (finding.check, finding.count, finding.partition) == (OPEN_TRANSACTION, 5, 1)
        assert finding.ranges == ((4, 8),)
    kafka = Kafka(settings)
    wait_until(lambda: end_offsets(kafka.admin, TRANSACTIONS.topic)[1] >= 9, "the end of the open transaction")
    assert behind_open_transactions(stores, TRANSACTIONS) == []
    drain(TRANSACTIONS, settings)
    judge_all(settings)
    assert verify(settings, domains=[TRANSACTIONS]).balanced


def test_what_retention_took_unread_is_a_problem(stores: Stores, settings: Settings) -> None:
    produce(settings, TRANSACTIONS.topic, map(transaction, range(5)), [0])
    drain(TRANSACTIONS, settings)
    produce(settings, TRANSACTIONS.topic, map(transaction, range(5, 12)), [0])
    Kafka(settings).delete_before(TRANSACTIONS.topic, 0, 8)
    delay = lag.bronze(stores, TRANSACTIONS)
    (problem,) = delay.problems
    assert problem.check == "gap"
    assert "offsets 5 to 7 of transactions/0" in problem.message
    assert delay.lag.records == 4


def produce_zeros(settings: Settings, size: int) -> None:
    """One record of so many bytes, which zstd makes small."""
    limits = {"message.max.bytes": 300_000_000, "compression.type": "zstd", "queue.buffering.max.kbytes": 400_000}
    producer = Producer({"bootstrap.servers": settings.kafka_bootstrap_servers, **limits})
    producer.produce(TRANSACTIONS.topic, bytes(size), partition=2)
    assert producer.flush(60) == 0


def test_what_is_too_large_for_the_ingestion_is_a_problem_with_its_reason(stores: Stores, settings: Settings) -> None:
    produce_zeros(settings, 20_000_000)
    with pytest.raises(PartitionsStuckError):
        drain(TRANSACTIONS, settings)
    (problem,) = lag.bronze(stores, TRANSACTIONS).problems
    assert problem.check == "stuck"
    assert "transactions, partition 2 is stuck at offset 0" in problem.message
    assert "quarantine skip" in problem.message


def test_what_no_client_can_read_is_a_problem_of_its_partition(stores: Stores, settings: Settings) -> None:
    produce_zeros(settings, 130_000_000)
    produce(settings, TRANSACTIONS.topic, map(transaction, range(3)), [0])
    delay = lag.bronze(stores, TRANSACTIONS)
    (problem,) = delay.problems
    assert problem.check == "unreadable"
    assert problem.message.startswith("transactions/2 cannot be read at offset 0: ")
    assert delay.lag.records == 4
    assert delay.lag.seconds is not None, "the other partition tells its time"


def text_of(found: Flow) -> str:
    output = StringIO()
    render(found, Console(file=output, width=100))
    return output.getvalue()


def broken(found: Flow) -> dict[str, str]:
    """What could not be asked, and why; the rest has answered."""
    assert text_of(found)
    return {problem.subject: problem.message for problem in found.problems if problem.check == "no_answer"}


@pytest.mark.parametrize(
    ("change", "silent", "speaks"),
    [
        ({"kafka_bootstrap_servers": "127.0.0.1:1"}, "bronze profiles", "gold/users"),
        ({"s3_endpoint_url": "http://127.0.0.1:1"}, "bronze/profiles-folder", "gold/users"),
        ({"s3_secret_access_key": "wrong"}, "bronze/profiles-folder", "gold/users"),
        ({"s3_endpoint_url": "no address"}, "bronze/profiles-folder", "gold/users"),
        ({"warehouse_dsn": "postgresql://paylake:wrong@127.0.0.1:1/warehouse"}, "gold/users", "bronze/profiles-folder"),
        ({"warehouse_dsn": "no address"}, "gold/users", "bronze/profiles-folder"),
        ({"kafka_options": {"no.such.option": "1"}}, "open transactions, profiles", "bronze/profiles-folder"),
    ],
)
def test_a_store_that_is_away_silences_its_own_parts(
    settings: Settings, change: dict[str, Any], silent: str, speaks: str
) -> None:
    started = time.monotonic()
    found = flow(replace(settings, **change))
    assert time.monotonic() - started < 30
    assert broken(found)[silent]
    assert speaks.partition("/")[2] in {part.name for part in found.layers}


def test_a_warehouse_without_tables_is_told_part_by_part(settings: Settings) -> None:
    with scratch_database(settings) as dsn:
        found = broken(flow(replace(settings, warehouse_dsn=dsn)))
        assert found["gold/users"] == "there is no table public.users; the next start makes it"
        assert "ops.stream_batch" in found["verdicts transactions"]
        assert "bronze/profiles-folder" not in found


def test_a_table_of_an_old_schema_silences_itself_only(settings: Settings) -> None:
    with scratch_database(settings) as dsn:
        with connect(dsn) as conn:
            apply_schema(conn)
            conn.execute("ALTER TABLE users DROP COLUMN loaded_at CASCADE")
            conn.execute("ALTER TABLE ops.gold_watermark DROP COLUMN loaded_at")
            conn.execute("DROP TABLE merchants CASCADE")
        found = flow(replace(settings, warehouse_dsn=dsn))
        assert broken(found).keys() == {
            "gold/users",
            "gold/merchants",
            *(f"gold {name}" for name in ("profiles", "merchants", "accounts")),
        }
        assert {part.name for part in found.layers} >= {"accounts", "fraudtransaction", "genuinetransaction"}


def test_a_table_that_takes_too_long_to_count_is_estimated(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("include.status.stores.STATEMENT_TIMEOUT", "200ms")
    with scratch_database(settings) as dsn:
        with connect(dsn) as conn:
            apply_schema(conn)
        stores = Stores(replace(settings, warehouse_dsn=dsn))
        with connect(dsn) as conn, conn.transaction():
            conn.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
            part = layer_parts(stores)["gold/users"]()
        assert not part.exact
        assert part.rows == 0


def test_garbage_in_bronze_silences_its_folder_only(stores: Stores, settings: Settings) -> None:
    produce(settings, TRANSACTIONS.topic, map(transaction, range(4)), [0])
    drain(TRANSACTIONS, settings)
    live = topic_id(stores.admin, TRANSACTIONS.topic)
    key = f"{TRANSACTIONS.bronze_folder}/{live}/0/{7:020}.json"
    stores.s3.put_object(Bucket=BRONZE_BUCKET, Key=key, Body=b"garbage")
    found = broken(flow(settings))
    assert found.keys() == {
        f"bronze/{TRANSACTIONS.bronze_folder}",
        "bronze transactions",
        "silver transactions",
        "verdicts transactions",
        "ingested transactions",
    }
    assert all(key in message for message in found.values())


def test_transactions_may_wait_for_silver_longer_than_for_their_verdict(stores: Stores, settings: Settings) -> None:
    produce(settings, TRANSACTIONS.topic, map(transaction, range(3)), [0])
    drain(TRANSACTIONS, settings)
    judge_all(settings)
    waiting = lag.silver(stores, TRANSACTIONS).lag
    assert (waiting.records, waiting.limit_seconds) == (3, SELDOM_SECONDS)
    assert SELDOM_SECONDS > 15 * 60 > lag.verdicts(stores).lag.limit_seconds


def test_events_tell_the_same_numbers_and_never_fail_a_run(
    stores: Stores, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse = urlsplit(settings.warehouse_dsn)
    connections: dict[str, dict[str, Any]] = {
        "KAFKA_DEFAULT": {"conn_type": "kafka", "extra": {"bootstrap.servers": settings.kafka_bootstrap_servers}},
        "LAKE_S3": {
            "conn_type": "aws",
            "login": settings.s3_access_key_id,
            "password": settings.s3_secret_access_key,
            "extra": {"endpoint_url": settings.s3_endpoint_url, "region_name": settings.s3_region},
        },
        "WAREHOUSE": {
            "conn_type": "postgres",
            "host": warehouse.hostname,
            "port": warehouse.port,
            "login": warehouse.username,
            "password": warehouse.password,
            "schema": warehouse.path.strip("/"),
        },
    }
    for name, connection in connections.items():
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", json.dumps(connection))
    produce(settings, TRANSACTIONS.topic, map(transaction, range(3)), [0])
    told = behind_by_connections("bronze", TRANSACTIONS)
    assert told["records"] == 3
    assert told["seconds"] >= 0
    drain(TRANSACTIONS, settings)
    assert behind_by_connections("bronze", TRANSACTIONS) == {"records": 0, "seconds": None}
    assert all_behind()["verdicts"]["transactions"]["records"] == 3
    assert {layer: len(domains) for layer, domains in all_behind().items()} == {
        "bronze": 4,
        "silver": 4,
        "gold": 4,
        "verdicts": 1,
    }

    connections["LAKE_S3"]["extra"]["endpoint_url"] = "http://127.0.0.1:1"
    monkeypatch.setenv("AIRFLOW_CONN_LAKE_S3", json.dumps(connections["LAKE_S3"]))
    told = behind_by_connections("bronze", TRANSACTIONS)
    assert (told["records"], told["seconds"]) == (None, None)
    assert "127.0.0.1:1" in told["problem"]
    monkeypatch.setenv("AIRFLOW_CONN_KAFKA_DEFAULT", "{}")
    assert set(behind_by_connections("bronze", TRANSACTIONS)) == {"records", "seconds", "problem"}


def test_a_topic_that_is_missing_is_named(stores: Stores, settings: Settings) -> None:
    stores.admin.delete_topics([TRANSACTIONS.topic])[TRANSACTIONS.topic].result()
    log = BronzeLog(stores.s3, TRANSACTIONS)
    assert log.end_positions() == {}
    found = broken(flow(settings))
    assert found["bronze transactions"] == f"there is no topic {TRANSACTIONS.topic}"
    assert f"bronze {PROFILES.name}" not in found
