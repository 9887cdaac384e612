"""Transactions for a test, produced by a plain Kafka client."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from confluent_kafka import Producer

from include.domains import TRANSACTIONS
from include.settings import Settings


def transaction(number: int, **changes: Any) -> bytes:
    """A valid transaction with an id of its own; every tenth is a fraud (a large amount, online)."""
    body = {
        "txn_id": f"T{number:07}",
        "user_id": f"U{number % 50}",
        "amount": "45000.00" if number % 10 == 0 else "10.00",
        "merchant_id": "M1",
        "channel": "Online",
        "location": "Lisbon",
        "timestamp": "2026-01-31 13:45:00",
    }
    return json.dumps(body | changes).encode()


def produce_transactions(settings: Settings, values: Iterable[bytes | None], partition: int | None = None) -> None:
    """Produce the values to the topic of transactions, keyed by the user where there is one."""
    # As much as a broker takes by default; the library's own default is a little less.
    limits = {"enable.idempotence": True, "message.max.bytes": 1_048_588}
    producer = Producer({"bootstrap.servers": settings.kafka_bootstrap_servers, **limits})
    for number, value in enumerate(values):
        place: dict[str, Any] = {} if partition is None else {"partition": partition}
        producer.produce(TRANSACTIONS.topic, value, key=f"U{number % 50}", **place)
        producer.poll(0)
    assert producer.flush(60) == 0
