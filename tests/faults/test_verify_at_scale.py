"""Verification of ten million records: it ends in minutes and in bounded memory, and finds the one that is wrong."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from include.domains import TRANSACTIONS
from include.kafka.topics import end_offsets, topic_id
from include.postgres import connect
from include.settings import Settings
from tests.support.books import begin_anew
from tests.support.bronze import drain

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(3600)]

RECORDS = int(os.environ.get("PAYLAKE_SCALE_RECORDS", "10000000"))
REPOSITORY = Path(__file__).parents[2]
SECONDS_PER_MILLION = 30  # measured: 4.5, on two processors that had other work, too
KILOBYTES = 2_500_000  # measured: 1,200,000 for ten million

CLAIMS = """
    INSERT INTO ops.transaction_seen (txn_id, verdict, body_hash, topic_id, partition_id, record_offset)
    SELECT 'T' || n, 'genuine', '', %(topic_id)s, n %% %(partitions)s, n / %(partitions)s
    FROM generate_series(0, %(records)s - 1) AS n
"""
VERDICTS = """
    INSERT INTO genuinetransaction (txn_id, user_id, amount, merchant_id, channel, location, timestamp, date, time,
        month, year, rules_version, bronze_topic_id, bronze_partition, bronze_offset)
    SELECT txn_id, 'U1', 10, 'M1', 'POS', 'Lisbon', '2026-01-31 13:45Z', '2026-01-31', '13:45', 1,
        2026, '1', topic_id, partition_id, record_offset
    FROM ops.transaction_seen
"""


def produce(settings: Settings, partitions: int) -> None:
    """Record ``n`` goes to partition ``n mod partitions``, so it gets offset ``n / partitions``."""
    producer = Producer({"bootstrap.servers": settings.kafka_bootstrap_servers, "linger.ms": 50, "acks": "all"})
    body = (
        b'{"txn_id": "T%d", "user_id": "U1", "amount": "10.00", "merchant_id": "M1", "channel": "POS",'
        b' "location": "Lisbon", "timestamp": "2026-01-31 13:45:00"}'
    )
    for number in range(RECORDS):
        while True:
            try:
                producer.produce(TRANSACTIONS.topic, body % number, partition=number % partitions)
                break
            except BufferError:
                producer.poll(0.1)
    assert producer.flush(120) == 0


def verify_as_a_user(home: Path) -> tuple[int, dict[str, Any]]:
    """Run the command; its exit code and its JSON."""
    command = [sys.executable, "-P", "-m", "include.cli", "verify", "--domain", "transactions", "--json"]
    # The rows were not put there by the stream, whose ledger therefore says nothing of them.
    command += ["--wait", "0"]
    environment = os.environ | {"PAYLAKE_HOME": str(home), "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=3000, check=False)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_ten_million_records_are_verified_in_minutes_and_one_missing_verdict_is_found(
    settings: Settings, tmp_path: Path
) -> None:
    begin_anew(settings, TRANSACTIONS)
    admin = AdminClient({"bootstrap.servers": settings.kafka_bootstrap_servers})
    partitions = len(end_offsets(admin, TRANSACTIONS.topic))
    started = time.monotonic()
    produce(settings, partitions)
    print(f"produced {RECORDS:,} in {time.monotonic() - started:.0f} s", flush=True)
    report = drain(TRANSACTIONS, settings)
    assert report.records == RECORDS
    print(f"ingested in {report.seconds:.0f} s, {report.objects:,} objects", flush=True)
    numbers = {"topic_id": topic_id(admin, TRANSACTIONS.topic), "partitions": partitions, "records": RECORDS}
    with connect(settings.warehouse_dsn) as conn:
        conn.execute(CLAIMS, numbers)
        conn.execute(VERDICTS)
        conn.execute("ANALYZE genuinetransaction, ops.transaction_seen")
    print(f"prepared in {time.monotonic() - started:.0f} s", flush=True)

    code, found = verify_as_a_user(tmp_path)
    print(f"verified {found['records']:,} records in {found['seconds']} s", flush=True)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(f"peak memory {peak / 1e6:.2f} GB", flush=True)
    assert (code, found["balanced"], found["records"]) == (0, True, RECORDS), found
    assert found["seconds"] < SECONDS_PER_MILLION * max(1, RECORDS / 1e6)
    assert peak < KILOBYTES

    with connect(settings.warehouse_dsn) as conn:
        conn.execute("DELETE FROM genuinetransaction WHERE txn_id = %s", [f"T{RECORDS // 2}"])
    code, found = verify_as_a_user(tmp_path)
    assert code == 1
    (domain,) = found["domains"]
    assert {finding["check"]: finding["count"] for finding in domain["findings"]} == {
        "stream_behind": 1,
        "claim_without_verdict": 1,
    }
    begin_anew(settings, TRANSACTIONS)
