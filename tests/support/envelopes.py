"""Records as tools wrap them, and domains whose contract has the wrapping taken off."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from include.contracts.contract import CONTRACTS_FOLDER
from include.domains import Domain


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


def unwrapping(domain: Domain, folder: Path, *words: str) -> Domain:
    """The domain under a contract that has these envelopes taken off; the contract is written into the folder."""
    document: dict[str, Any] = yaml.safe_load((CONTRACTS_FOLDER / domain.contract_file).read_text(encoding="utf-8"))
    document["schema"][0]["customProperties"] = [{"property": "unwrap", "value": list(words)}]
    path = folder / f"{'-'.join((domain.name, *words))}.odcs.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return replace(domain, contract_file=str(path))
