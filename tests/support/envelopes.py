"""Records as tools wrap them."""

from __future__ import annotations


def framed(payload: bytes, schema_id: int = 42) -> bytes:
    """As a Schema Registry's serializer writes it."""
    return b"\x00" + schema_id.to_bytes(4, "big") + payload


def connected(payload: object) -> dict[str, object]:
    """As Kafka Connect's JSON converter writes it."""
    fields = [{"field": "merchant_id", "type": "string"}]
    return {"schema": {"type": "struct", "fields": fields, "optional": False}, "payload": payload}


def changed(operation: str, after: object, before: object = None) -> dict[str, object]:
    """As Debezium writes it."""
    return {
        "before": before,
        "after": after,
        "source": {"connector": "postgresql", "table": "merchants", "lsn": 24023128},
        "op": operation,
        "ts_ms": 1_769_900_000_000,
        "transaction": None,
    }
