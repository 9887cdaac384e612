"""Records in envelopes of a Schema Registry, Kafka Connect and Debezium: named, or opened where that is asked."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from include.contracts.contract import CONTRACTS_FOLDER, ENVELOPES
from include.domains import DOMAINS, MERCHANTS, TRANSACTIONS, Domain
from include.lake.records import BronzeRecord
from include.quality import Outcome, Rejected, Tombstone, Valid, classify
from tests.wild import GOOD

KAFKA_TIME_MS = 1_769_904_000_000
SCHEMA = {"type": "struct", "fields": [{"field": "merchant_id", "type": "string"}], "optional": False}
SOURCE = {"connector": "postgresql", "table": "merchants", "lsn": 24023128}

Unwrapping = Callable[..., Domain]


@pytest.fixture
def unwrapping(tmp_path: Path) -> Unwrapping:
    """A domain under a contract that has these envelopes taken off."""

    def change(domain: Domain, *words: str) -> Domain:
        document = yaml.safe_load((CONTRACTS_FOLDER / domain.contract_file).read_text(encoding="utf-8"))
        document["schema"][0]["customProperties"] = [{"property": "unwrap", "value": list(words)}]
        path = tmp_path / f"{'-'.join((domain.name, *words))}.odcs.yaml"
        path.write_text(yaml.safe_dump(document), encoding="utf-8")
        return replace(domain, contract_file=str(path))

    return change


def good(domain: Domain) -> dict[str, Any]:
    return dict(GOOD[domain.name])


def framed(payload: bytes, schema_id: int = 42) -> bytes:
    return b"\x00" + schema_id.to_bytes(4, "big") + payload


def connect(payload: object) -> dict[str, object]:
    return {"schema": SCHEMA, "payload": payload}


def change(operation: str, after: object, before: object = None) -> dict[str, object]:
    return {
        "before": before,
        "after": after,
        "source": SOURCE,
        "op": operation,
        "ts_ms": 1_769_900_000_000,
        "transaction": None,
    }


def judged(domain: Domain, value: object) -> Outcome:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return classify(domain, BronzeRecord("topic", 0, 0, KAFKA_TIME_MS, raw))


def reason(outcome: Outcome) -> tuple[str, str]:
    assert isinstance(outcome, Rejected), outcome
    (only,) = outcome.reasons
    assert only.field is None
    return only.code, only.message


@pytest.mark.parametrize("domain", DOMAINS.values(), ids=str)
def test_each_envelope_has_a_reason_of_its_own(domain: Domain) -> None:
    record = good(domain)
    for value, code in (
        (framed(json.dumps(record).encode()), "schema_registry_frame"),
        (framed(json.dumps(connect(record)).encode()), "schema_registry_frame"),
        (connect(record), "connect_envelope"),
        (connect(None), "connect_envelope"),
        (connect("text"), "connect_envelope"),
        (change("c", record), "debezium_envelope"),
        (change("u", record, record), "debezium_envelope"),
        (change("d", None, record), "debezium_envelope"),
        (connect(change("r", record)), "debezium_envelope"),
    ):
        assert reason(judged(domain, value))[0] == code, value


def test_a_frame_is_named_with_the_schemas_id_and_what_it_holds() -> None:
    record = json.dumps(good(MERCHANTS)).encode()
    assert reason(judged(MERCHANTS, framed(record, 100_042)))[1] == (
        "is framed for a Schema Registry (schema id 100042); what follows is JSON"
    )
    # Avro: the length of each text, then the text. Protobuf: the index of the message, then its fields.
    for payload in (b"\x0aM0001\x08Shop", b"\x00\x0a\x05M0001\x12\x04Shop", b"", b"[]", b"null"):
        assert reason(judged(MERCHANTS, framed(payload, 7)))[1] == (
            "is framed for a Schema Registry (schema id 7); what follows is no JSON object (Avro, Protobuf, …)"
        )


def test_what_only_begins_like_a_frame_is_none() -> None:
    for value in (b"\x00", b"\x00\x00\x00\x01", json.dumps(good(MERCHANTS)).encode("utf-16-be")):
        assert reason(judged(MERCHANTS, value))[0] == "not_json"


def test_a_record_that_has_a_field_of_its_contract_is_never_taken_for_an_envelope() -> None:
    for domain in DOMAINS.values():
        record = good(domain)
        plain = judged(domain, record)
        assert isinstance(plain, Valid)
        assert judged(domain, record | connect({"any": "thing"})) == plain
        assert judged(domain, record | {"op": "c", "before": None, "after": {}}) == plain
        only = {"user_id": "U1"} if "user_id" in record else {domain.key: record[domain.key]}
        outcome = judged(domain, {**only, **connect(record)})
        assert isinstance(outcome, Rejected)
        assert {one.code for one in outcome.reasons} == {"missing"}


def test_what_only_looks_a_little_like_an_envelope_is_a_record_without_its_fields() -> None:
    for value in (
        {"schema": SCHEMA},
        {"payload": {}},
        {"op": "c"},
        {"op": 1, "after": {}},
        {"before": {}, "after": {}},
    ):
        outcome = judged(MERCHANTS, value)
        assert isinstance(outcome, Rejected)
        assert {one.code for one in outcome.reasons} == {"missing"}


@pytest.mark.parametrize("domain", DOMAINS.values(), ids=str)
def test_an_envelope_is_taken_off_where_the_contract_asks_for_it(domain: Domain, unwrapping: Unwrapping) -> None:
    record, plain = good(domain), judged(domain, good(domain))
    raw = json.dumps(record).encode()
    assert judged(unwrapping(domain, "schema_registry"), framed(raw)) == plain
    assert judged(unwrapping(domain, "connect"), connect(record)) == plain
    debezium = unwrapping(domain, "debezium")
    for value in (change("c", record), change("r", record), change("u", record, {}), connect(change("u", record))):
        assert judged(debezium, value) == plain
    every = unwrapping(domain, *sorted(ENVELOPES))
    for inner in (record, connect(record), change("c", record), connect(change("c", record))):
        assert judged(every, inner) == plain
        assert judged(every, framed(json.dumps(inner).encode())) == plain
    # What is not wrapped is taken as ever.
    assert judged(every, raw) == plain


def test_only_what_is_asked_for_is_taken_off(unwrapping: Unwrapping) -> None:
    record = good(TRANSACTIONS)
    registry, connected, debezium = (
        unwrapping(TRANSACTIONS, word) for word in ("schema_registry", "connect", "debezium")
    )
    assert reason(judged(registry, framed(json.dumps(connect(record)).encode())))[0] == "connect_envelope"
    assert reason(judged(registry, change("c", record)))[0] == "debezium_envelope"
    assert reason(judged(connected, connect(change("c", record))))[0] == "debezium_envelope"
    assert reason(judged(connected, framed(json.dumps(connect(record)).encode())))[0] == "schema_registry_frame"
    assert reason(judged(debezium, connect(record)))[0] == "connect_envelope"


def test_a_delete_is_a_tombstone(unwrapping: Unwrapping) -> None:
    debezium, connected = unwrapping(MERCHANTS, "debezium"), unwrapping(MERCHANTS, "connect")
    delete = change("d", None, good(MERCHANTS))
    assert judged(debezium, delete) == Tombstone()
    assert judged(debezium, connect(delete)) == Tombstone()
    del delete["after"]
    assert judged(debezium, delete) == Tombstone()
    assert judged(connected, connect(None)) == Tombstone()
    assert judged(connected, {"schema": None, "payload": None}) == Tombstone()


@pytest.mark.parametrize(
    "value",
    [
        change("c", None),
        change("u", None, {}),
        change("t", None),
        change("d", {"merchant_id": "M1"}),
        change("c", "text"),
        change("c", '{"merchant_id": "M1"}'),
        change("c", [1]),
        change("\u202e" * 500, None),
    ],
)
def test_a_change_without_a_record_is_rejected_and_says_its_operation(value: object, unwrapping: Unwrapping) -> None:
    code, message = reason(judged(unwrapping(MERCHANTS, "debezium"), value))
    assert code == "debezium_envelope"
    assert message.isprintable()
    assert len(message) < 600


def test_what_is_inside_is_judged_like_any_other_record(unwrapping: Unwrapping) -> None:
    every = unwrapping(MERCHANTS, *sorted(ENVELOPES))
    for value in (connect({}), change("c", {}), framed(b"{}")):
        outcome = judged(every, value)
        assert isinstance(outcome, Rejected)
        assert {one.code for one in outcome.reasons} == {"missing"}
    bad = good(MERCHANTS) | {"risk_level": "Severe", "country": "N/A"}
    assert judged(every, connect(change("u", bad))) == judged(MERCHANTS, bad)
    assert reason(judged(every, framed(b'{"a": 1, "a": 2}')))[0] == "duplicate_key"
    assert reason(judged(every, framed(b"{" + b"\xff")))[0] == "not_utf8"
    assert reason(judged(every, framed(b"\x0aM0001")))[0] == "schema_registry_frame"
    assert reason(judged(every, connect("text")))[0] == "connect_envelope"
