"""What two domains from a folder outside the repository go through, told as JSON; run by ``test_added_domain.py``.

A process of its own, because the registry is made when it is imported.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from include.domains import DOMAINS, Domain
from include.kafka.topics import ensure_topics, reset_topics
from include.postgres import connect
from include.settings import Settings
from include.spark.session import spark_session
from include.verify import verify
from include.warehouse.schema import apply_schema
from tests.support.bronze import drain
from tests.support.silver import load_gold, run_silver
from tests.support.world import World

BRANCHES, DISPUTES = DOMAINS["branches"], DOMAINS["disputes"]
AHEAD = "2999-12-31T09:00:00Z"
SHOWN = {
    BRANCHES.name: "branch_id, name, seat_code, cash_limit::text, next_audit::text, audit_year, changed_on::text",
    DISPUTES.name: "dispute_id, txn_id, amount::text, answer_due::text, opened_at::text",
}


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


def dispute(number: int, **changes: Any) -> bytes:
    """A record of the disputes' topic."""
    record = {
        "dispute_id": f"D{number}",
        "txn_id": f"T{number}",
        "amount": 12.5,
        "answer_due": AHEAD,
        "opened_at": "2026-01-31 13:45:00",
    }
    return json.dumps(record | changes).encode()


def take(settings: Settings, domain: Domain, *values: bytes | None) -> dict[str, Any]:
    """Send the values by a plain client, without keys, and carry them into gold; tell what is there then."""
    producer = Producer({"bootstrap.servers": settings.kafka_bootstrap_servers})
    for number, value in enumerate(values):
        producer.produce(domain.topic, value, partition=number % domain.partitions)
    assert producer.flush(60) == 0
    drain(domain, settings)
    run_silver(domain, settings)
    load_gold(domain, settings)
    with connect(settings.warehouse_dsn) as conn:
        reasons = conn.execute(
            "SELECT reasons FROM ops.quarantine WHERE domain = %s ORDER BY partition_id, record_offset", [domain.name]
        )
        refused = [sorted((one["field"], one["code"]) for one in row[0]) for row in reasons]
        conn.execute("SET ROLE paylake_reader")
        query = f"SELECT {SHOWN[domain.name]} FROM {domain.table} ORDER BY {domain.key}"  # noqa: S608
        rows = conn.execute(query).fetchall()
    report = verify(settings, domains=[domain], wait_seconds=60)
    (books,) = report.domains
    return {"rows": rows, "refused": refused, "silver": books.silver, "problems": report.problems()}


def lake(settings: Settings, domain: Domain) -> dict[str, Any]:
    """What a plain Parquet reader finds in the domain's folder, and the folders of days in it."""
    with TemporaryDirectory() as folder:
        world = World(settings, domain, Path(folder))
        rows = sorted(world.rows(domain.key, "amount::text", f"{domain.event_time}::text"))
        return {"rows": rows, "days": sorted({key.split("/")[1] for key in world.files()})}


def main() -> None:
    """Take in records, reset a topic, take in more."""
    settings = Settings.from_environment()
    admin = AdminClient({"bootstrap.servers": settings.kafka_bootstrap_servers})
    with connect(settings.warehouse_dsn) as conn:
        apply_schema(conn)
    ensure_topics(admin, [BRANCHES.topic, DISPUTES.topic])
    told = {}
    told["branches"] = take(
        settings,
        BRANCHES,
        branch(1),
        branch(2, seat="Atlantis", cash_limit=-1),
        branch(1, cash_limit=99, changed_at="2026-02-01T00:00:00+02:00"),
        branch(3, next_audit=None),
        branch(4, changed_at=AHEAD),
    )
    told["disputes"] = take(
        settings,
        DISPUTES,
        dispute(1),
        dispute(2, amount=0),
        dispute(1, amount=99, opened_at="2026-02-01T00:30:00+02:00"),
        None,
        dispute(3, opened_at="1999-12-31T23:59:59Z"),
        dispute(4, opened_at=AHEAD),
    )
    told["lake"] = lake(settings, DISPUTES)
    report = verify(settings, domains=[replace(DISPUTES, gold=False)])
    (books,) = report.domains
    told["disputes, if they had no table"] = {"silver": books.silver, "gold": books.gold, "problems": report.problems()}
    reset_topics(admin, [BRANCHES.topic, DISPUTES.topic])
    told["branches after a reset"] = take(settings, BRANCHES, branch(3, seat="PT"))
    told["disputes after a reset"] = take(settings, DISPUTES, dispute(3), dispute(1, opened_at="2026-01-01 00:00:00"))
    spark_session("test", settings).stop()
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
