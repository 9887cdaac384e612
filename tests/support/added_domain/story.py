"""What a domain from a folder outside the repository goes through, told as JSON; run by ``test_added_domain.py``.

A process of its own, because the registry is made when it is imported.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from include.domains import DOMAINS
from include.kafka.topics import ensure_topics, reset_topics
from include.postgres import connect
from include.settings import Settings
from include.spark.session import spark_session
from include.verify import verify
from include.warehouse.schema import apply_schema
from tests.support.bronze import drain
from tests.support.silver import load_gold, run_silver

BRANCHES = DOMAINS["branches"]
AHEAD = "2999-12-31T09:00:00Z"


def branch(number: int, **changes: Any) -> bytes:
    """A record of the branches' topic."""
    record = {
        "branch_id": f"B{number}",
        "name": f"Dr. Branch {number}",
        "seat": "u.s.a.",
        "cash_limit": 12.5,
        "next_audit": AHEAD,
        "changed_at": "2026-01-31 13:45:00",
    }
    return json.dumps(record | changes).encode()


def take(settings: Settings, *values: bytes | None) -> dict[str, Any]:
    """Send the values by a plain client, without keys, and carry them into gold; tell what is there then."""
    producer = Producer({"bootstrap.servers": settings.kafka_bootstrap_servers})
    for number, value in enumerate(values):
        producer.produce(BRANCHES.topic, value, partition=number % BRANCHES.partitions)
    assert producer.flush(60) == 0
    drain(BRANCHES, settings)
    run_silver(BRANCHES, settings)
    load_gold(BRANCHES, settings)
    with connect(settings.warehouse_dsn) as conn:
        reasons = conn.execute("SELECT reasons FROM ops.quarantine WHERE domain = 'branches' ORDER BY record_offset")
        refused = [sorted((one["field"], one["code"]) for one in row[0]) for row in reasons]
        conn.execute("SET ROLE paylake_reader")
        wanted = "branch_id, name, seat_code, cash_limit::text, next_audit::text, audit_year, changed_on::text"
        rows = conn.execute(f"SELECT {wanted} FROM branches ORDER BY branch_id").fetchall()  # noqa: S608
    report = verify(settings, domains=[BRANCHES], wait_seconds=60)
    return {"rows": rows, "refused": refused, "problems": report.problems()}


def main() -> None:
    """Take in records, reset the topic, take in more."""
    settings = Settings.from_environment()
    admin = AdminClient({"bootstrap.servers": settings.kafka_bootstrap_servers})
    with connect(settings.warehouse_dsn) as conn:
        apply_schema(conn)
    ensure_topics(admin, [BRANCHES.topic])
    first = take(
        settings,
        branch(1),
        branch(2, seat="Atlantis", cash_limit=-1),
        branch(1, cash_limit=99, changed_at="2026-02-01T00:00:00+02:00"),
        branch(3, next_audit=None),
        branch(4, changed_at=AHEAD),
    )
    reset_topics(admin, [BRANCHES.topic])
    second = take(settings, branch(3, seat="PT"))
    spark_session("test", settings).stop()
    json.dump({"first": first, "second": second}, sys.stdout)


if __name__ == "__main__":
    main()
