"""What the tests of the page share: a warehouse in which something has happened, and who asks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from include.lake.records import BronzeRecord
from include.postgres import connect
from include.settings import Settings
from tests.support.fraud_sink import judge
from tests.support.records import encoded, payment
from tests.support.warehouse import rate_merchant, warehouse_copy

NOW = datetime.now(UTC)
HOSTILE = "<script>alert(1)</script> " + "\u05e9\u05dc\u05d5\u05dd " + "x" * 60
FORMULA = '=HYPERLINK("http://evil","x")'
FROM_THE_PAGE = {"X-Requested-With": "paylake"}


@contextmanager
def furnished_warehouse(template: str) -> Iterator[str]:
    """The DSN of a warehouse with five frauds of two users, and genuine payments around one of them."""

    def paid(txn_id: str, minutes: float, **changes: Any) -> dict[str, Any]:
        when = (NOW - timedelta(minutes=minutes)).isoformat()
        usual = {"timestamp": when, "user_id": "U1", "channel": "POS", "amount": "20", "location": "Porto"}
        return payment(txn_id, **(usual | changes))

    records = [
        *(paid(f"TG{number}", 60 - number) for number in range(4)),
        paid("TF1", 50, amount="200000.5"),
        paid("TF2", 40, amount="45000", channel="Online", location=HOSTILE),
        paid("TF3", 30, amount="150000", user_id="U2", merchant_id="M2", location=FORMULA),
        paid("TF4", 20, amount="150000", user_id="U2", merchant_id="M2"),
        paid("TF5", 10, merchant_id="M9999", user_id="U2"),
    ]
    with warehouse_copy(template) as dsn:
        with connect(dsn) as conn:
            rate_merchant(conn, "M2", "Low")
        came = int(NOW.timestamp() * 1000)
        judge(dsn, *(BronzeRecord("t", 0, n, came, came, encoded(record)) for n, record in enumerate(records)))
        yield dsn


def connections(settings: Settings, dsn: str) -> dict[str, str]:
    """Airflow's connections to the tests' servers, and to the warehouse at ``dsn``, by id."""
    warehouse = psycopg.conninfo.conninfo_to_dict(dsn)
    place = f"{warehouse['host']}:{warehouse['port']}/{warehouse['dbname']}"
    kafka = {"bootstrap.servers": settings.kafka_bootstrap_servers, "group.id": "paylake"}
    lake = {"endpoint_url": settings.s3_endpoint_url, "region_name": settings.s3_region}
    keys = {"login": settings.s3_access_key_id, "password": settings.s3_secret_access_key}
    return {
        "warehouse": f"postgres://{warehouse['user']}:{warehouse['password']}@{place}",
        "kafka_default": json.dumps({"conn_type": "kafka", "extra": kafka}),
        "lake_s3": json.dumps({"conn_type": "aws", **keys, "extra": lake}),
    }
