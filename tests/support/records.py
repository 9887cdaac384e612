"""A valid record of each domain, and how tests change it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from include.domains import MERCHANTS, TRANSACTIONS, Domain
from include.lake.records import BronzeRecord

GOOD: dict[str, dict[str, Any]] = {
    "profiles": {
        "user_id": "U1",
        "name": "A B",
        "country": "DE",
        "account_type": "Savings",
        "credit_score": 700,
        "status": "active",
        "timestamp": "2026-01-31 13:45:00",
    },
    "merchants": {
        "merchant_id": "M1",
        "merchant_name": "Shop",
        "category": "Fuel",
        "risk_level": "Low",
        "country": "FR",
        "timestamp": "2026-01-31 13:45:00",
    },
    "accounts": {
        "account_id": "A1",
        "user_id": "U1",
        "current_balance": 1,
        "currency": "EUR",
        "last_updated": "2026-01-31 13:45:00",
    },
    "transactions": {
        "txn_id": "T1",
        "user_id": "U1",
        "amount": 10,
        "merchant_id": "M1",
        "channel": "ATM",
        "location": "Berlin",
        "timestamp": "2026-01-31 13:45:00",
    },
}
"""A record of each domain that keeps its contract."""


def good(domain: Domain, **changes: Any) -> dict[str, Any]:
    """A record that keeps the domain's contract, but for the changes."""
    return GOOD[domain.name] | changes


def encoded(record: Mapping[str, Any]) -> bytes:
    """The record as a producer sends it."""
    return json.dumps(record).encode()


def merchant(number: int, day: int = 1, **changes: Any) -> dict[str, Any]:
    """A record of the merchants' topic, of that day of January 2026."""
    named = {"merchant_id": f"M{number:04}", "merchant_name": f"Shop {number}", "country": "Portugal"}
    return good(MERCHANTS, **named, timestamp=f"2026-01-{day:02} 12:00:00") | changes


def merchants(numbers: Iterable[int], day: int = 1, **changes: Any) -> list[dict[str, Any]]:
    """Several of them."""
    return [merchant(number, day, **changes) for number in numbers]


def transaction(number: int, **changes: Any) -> dict[str, Any]:
    """A transaction with an id of its own; every tenth is a fraud (a large amount, online)."""
    amount = "45000.00" if number % 10 == 0 else "10.00"
    own = {"txn_id": f"T{number:07}", "user_id": f"U{number % 50}", "amount": amount}
    return good(TRANSACTIONS, **own, channel="Online") | changes


def payment(txn_id: str, **changes: Any) -> dict[str, Any]:
    """The transaction of that id."""
    return good(TRANSACTIONS, txn_id=txn_id) | changes


def transactions(count: int, padding: int = 0) -> list[bytes]:
    """Transactions of now with ids that no others have, genuine and fraudulent, each ``padding`` bytes longer."""
    run = uuid.uuid4().hex[:12]
    shared = {
        "channel": "Online",
        "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
        "padding": "x" * padding,
    }
    return [
        encoded(
            good(TRANSACTIONS, txn_id=f"T{run}-{number}", amount=45_000 if number % 50 == 0 else 10 + number, **shared)
        )
        for number in range(1, count + 1)
    ]


TOPIC_ID = "topic-one-------------"
# 2026-02-01 12:00:00 UTC, after every time that the records state.
ARRIVED_MS = 1_769_947_200_000


def in_bronze(offset: int, value: Mapping[str, Any] | bytes | None, partition: int = 0) -> BronzeRecord:
    """A record as it is read from bronze."""
    raw = encoded(value) if isinstance(value, Mapping) else value
    return BronzeRecord(TOPIC_ID, partition, offset, ARRIVED_MS, ARRIVED_MS, raw)
