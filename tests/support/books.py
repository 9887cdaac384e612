"""Domains begun anew, a stream without Spark, and the question that ends each test of a fault: do the books balance?"""

from __future__ import annotations

from datetime import UTC, datetime
from threading import Event
from typing import Any

from confluent_kafka.admin import AdminClient
from psycopg.sql import SQL, Identifier

from include.backtest.cli import back_test
from include.domains import BRONZE_BUCKET, CHECKPOINTS_BUCKET, SILVER_BUCKET, TRANSACTIONS, Domain
from include.fraud.lease import acquire
from include.fraud.ledger import newest_entry
from include.fraud.promotion import rules_in_use
from include.fraud.scorer import Scorer
from include.fraud.sink import Batch, Sink
from include.kafka.topics import ensure_topics, reset_topics
from include.lake.bronze_log import BronzeLog
from include.lake.s3 import s3_client
from include.postgres import connect
from include.settings import Settings
from include.verify import Report, verify
from include.warehouse.schema import apply_schema
from tests.support.judging import classify_records
from tests.support.objects import remove_objects
from tests.support.warehouse import CLAIM_TABLES, ROLLUP_TABLES, VERDICT_TABLES

CHECKPOINT_ID = "judged-without-spark"
BATCH_RECORDS = 5_000


def begin_anew(settings: Settings, domain: Domain) -> None:
    """An empty topic with a new id, no bronze, no rows: as if this domain had never had a record."""
    renew_topic(settings, domain)
    s3 = s3_client(settings)
    remove_objects(s3, BRONZE_BUCKET, f"{domain.bronze_folder}/")
    with connect(settings.warehouse_dsn) as conn:
        apply_schema(conn)
        for table in ("quarantine", "rejected_window", "rejected_alarm"):
            conn.execute(SQL("DELETE FROM ops.{} WHERE domain = %s").format(Identifier(table)), [domain.name])
        if domain.judged:
            conn.execute(f"TRUNCATE {', '.join((*VERDICT_TABLES, *CLAIM_TABLES, *ROLLUP_TABLES, 'ops.stream_batch'))}")
        if domain.gold:
            conn.execute(f"TRUNCATE {domain.table}")
        conn.execute("DELETE FROM ops.gold_watermark WHERE domain = %s", [domain.name])
    drop_silver(settings, domain)
    for folder in (domain.silver_folder, f"_metadata/{domain.name}"):
        remove_objects(s3, SILVER_BUCKET, f"{folder}/")


def renew_topic(settings: Settings, domain: Domain) -> None:
    """An empty topic of a new id."""
    admin = AdminClient({"bootstrap.servers": settings.kafka_bootstrap_servers})
    ensure_topics(admin, [domain.topic])
    reset_topics(admin, [domain.topic], timeout=60)


def drop_silver(settings: Settings, domain: Domain) -> None:
    """As ``DROP TABLE`` does it: the catalog forgets the table, its files stay."""
    with connect(settings.warehouse_dsn) as conn:
        if conn.execute("SELECT to_regclass('lake_catalog.iceberg_tables') IS NOT NULL").fetchone() == (True,):
            conn.execute("DELETE FROM lake_catalog.iceberg_tables WHERE table_name = %s", [domain.name])


def remove_checkpoint(settings: Settings, name: str) -> None:
    """As somebody does who was told that a checkpoint cannot be used."""
    remove_objects(s3_client(settings), CHECKPOINTS_BUCKET, f"{name}/")


def judge_all(settings: Settings, domain: Domain = TRANSACTIONS) -> None:
    """Give all transactions in bronze their place: what the fraud stream does, with its own code, but without Spark.

    Goes on where it ended the last time. ``domain`` may have another contract than theirs.
    """
    bronze = BronzeLog(s3_client(settings), TRANSACTIONS)
    with connect(settings.warehouse_dsn) as conn:
        entry = newest_entry(conn, CHECKPOINT_ID)
        lease = acquire(conn, "a test")
    known = entry.positions if entry else {}
    batch_id = entry.batch_id + 1 if entry else 0
    sink = Sink(settings.warehouse_dsn, lease, Scorer(), lambda *_: False, Event())
    try:
        for topic_id, partitions in bronze.end_positions().items():
            for partition, end in partitions.items():
                start = known.get(topic_id, {}).get(partition, 0)
                records = list(bronze.read(topic_id, partition, start, end))
                for first in range(0, len(records), BATCH_RECORDS):
                    parts = [classify_records(records[first : first + BATCH_RECORDS], domain)]
                    sink.write(Batch(CHECKPOINT_ID, batch_id, parts.copy))
                    batch_id += 1
    finally:
        sink.close()


def assert_balanced(settings: Settings, *domains: Domain, wait_seconds: float = 60.0) -> Report:
    """Verify these domains (all, when none is named) from the stores themselves."""
    chosen: dict[str, Any] = {"domains": domains} if domains else {}
    report = verify(settings, wait_seconds=wait_seconds, **chosen)
    assert report.balanced, report.problems()
    return report


TINY_BEFORE = """
    SELECT (fired -> 'values' ->> 'user_tiny_online_10m')::integer
    FROM fraudtransaction, jsonb_array_elements(evidence) AS fired
    WHERE fired ->> 'rule' = 'card_testing'
    ORDER BY scored_at, bronze_offset
"""


def assert_judged_again(settings: Settings) -> list[int]:
    """Have a back-test of the rules in use give each stored verdict again.

    Returns the counts of earlier payments by which card testing was found, in the order of scoring within a partition.
    """
    with connect(settings.warehouse_dsn) as conn:
        counts = [count for (count,) in conn.execute(TINY_BEFORE)]
        (verdicts,) = conn.execute("SELECT count(*) FROM transactions").fetchone() or (0,)
        rules = rules_in_use(conn)
    result = back_test(settings, rules, datetime(1, 1, 1, tzinfo=UTC), datetime.now(UTC))
    assert result.transactions >= verdicts
    assert (result.same_version, result.different, result.unread) == (result.transactions, 0, 0)
    assert result.rules["card_testing"].fired >= len(counts)
    return counts
