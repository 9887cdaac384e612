"""Records in envelopes of a Schema Registry, Kafka Connect and Debezium: named, or opened where that is asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from include.contracts.contract import ENVELOPES
from include.domains import DOMAINS, MERCHANTS, TRANSACTIONS, Domain
from include.lake.records import BronzeRecord
from include.quality import Outcome, Rejected, Tombstone, Valid, classify
from tests.support.domains import unwrapping
from tests.support.envelopes import changed, connected, framed
from tests.support.records import GOOD

KAFKA_TIME_MS = 1_769_904_000_000


def good(domain: Domain) -> dict[str, Any]:
    return dict(GOOD[domain.name])


def judged(domain: Domain, value: object) -> Outcome:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return classify(domain, BronzeRecord("topic", 0, 0, KAFKA_TIME_MS, KAFKA_TIME_MS, raw))


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
        (framed(json.dumps(connected(record)).encode()), "schema_registry_frame"),
        (connected(record), "connect_envelope"),
        (connected(None), "connect_envelope"),
        (connected("text"), "connect_envelope"),
        (changed("c", record), "debezium_envelope"),
        (changed("u", record, record), "debezium_envelope"),
        (changed("d", None, record), "debezium_envelope"),
        (connected(changed("r", record)), "debezium_envelope"),
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
        assert judged(domain, record | connected({"any": "thing"})) == plain
        assert judged(domain, record | {"op": "c", "before": None, "after": {}}) == plain
        only = {"user_id": "U1"} if "user_id" in record else {domain.key: record[domain.key]}
        outcome = judged(domain, {**only, **connected(record)})
        assert isinstance(outcome, Rejected)
        assert {one.code for one in outcome.reasons} == {"missing"}


def test_what_only_looks_a_little_like_an_envelope_is_a_record_without_its_fields() -> None:
    values: list[dict[str, object]] = [
        {"schema": {}},
        {"payload": {}},
        {"op": "c"},
        {"op": 1, "after": {}},
        {"before": {}, "after": {}},
    ]
    for value in values:
        outcome = judged(MERCHANTS, value)
        assert isinstance(outcome, Rejected)
        assert {one.code for one in outcome.reasons} == {"missing"}


@pytest.mark.parametrize("domain", DOMAINS.values(), ids=str)
def test_an_envelope_is_taken_off_where_the_contract_asks_for_it(domain: Domain, tmp_path: Path) -> None:
    record, plain = good(domain), judged(domain, good(domain))
    raw = json.dumps(record).encode()
    assert judged(unwrapping(domain, tmp_path, "schema_registry"), framed(raw)) == plain
    assert judged(unwrapping(domain, tmp_path, "connect"), connected(record)) == plain
    debezium = unwrapping(domain, tmp_path, "debezium")
    for value in (
        changed("c", record),
        changed("r", record),
        changed("u", record, {}),
        connected(changed("u", record)),
    ):
        assert judged(debezium, value) == plain
    every = unwrapping(domain, tmp_path, *sorted(ENVELOPES))
    for inner in (record, connected(record), changed("c", record), connected(changed("c", record))):
        assert judged(every, inner) == plain
        assert judged(every, framed(json.dumps(inner).encode())) == plain
    # What is not wrapped is taken as ever.
    assert judged(every, raw) == plain


def test_only_what_is_asked_for_is_taken_off(tmp_path: Path) -> None:
    record = good(TRANSACTIONS)
    registry, connect, debezium = (
        unwrapping(TRANSACTIONS, tmp_path, word) for word in ("schema_registry", "connect", "debezium")
    )
    assert reason(judged(registry, framed(json.dumps(connected(record)).encode())))[0] == "connect_envelope"
    assert reason(judged(registry, changed("c", record)))[0] == "debezium_envelope"
    assert reason(judged(connect, connected(changed("c", record))))[0] == "debezium_envelope"
    assert reason(judged(connect, framed(json.dumps(connected(record)).encode())))[0] == "schema_registry_frame"
    assert reason(judged(debezium, connected(record)))[0] == "connect_envelope"


def test_a_delete_is_a_tombstone(tmp_path: Path) -> None:
    debezium, connect = unwrapping(MERCHANTS, tmp_path, "debezium"), unwrapping(MERCHANTS, tmp_path, "connect")
    delete = changed("d", None, good(MERCHANTS))
    assert judged(debezium, delete) == Tombstone()
    assert judged(debezium, connected(delete)) == Tombstone()
    del delete["after"]
    assert judged(debezium, delete) == Tombstone()
    assert judged(connect, connected(None)) == Tombstone()
    assert judged(connect, {"schema": None, "payload": None}) == Tombstone()


@pytest.mark.parametrize(
    "value",
    [
        changed("c", None),
        changed("u", None, {}),
        changed("t", None),
        changed("d", {"merchant_id": "M1"}),
        changed("c", "text"),
        changed("c", '{"merchant_id": "M1"}'),
        changed("c", [1]),
        changed("\u202e" * 500, None),
    ],
)
def test_a_change_without_a_record_is_rejected_and_says_its_operation(value: object, tmp_path: Path) -> None:
    code, message = reason(judged(unwrapping(MERCHANTS, tmp_path, "debezium"), value))
    assert code == "debezium_envelope"
    assert message.isprintable()
    assert len(message) < 600


def test_what_is_inside_is_judged_like_any_other_record(tmp_path: Path) -> None:
    every = unwrapping(MERCHANTS, tmp_path, *sorted(ENVELOPES))
    for value in (connected({}), changed("c", {}), framed(b"{}")):
        outcome = judged(every, value)
        assert isinstance(outcome, Rejected)
        assert {one.code for one in outcome.reasons} == {"missing"}
    bad = good(MERCHANTS) | {"risk_level": "Severe", "country": "N/A"}
    assert judged(every, connected(changed("u", bad))) == judged(MERCHANTS, bad)
    assert reason(judged(every, framed(b'{"a": 1, "a": 2}')))[0] == "duplicate_key"
    assert reason(judged(every, framed(b"{" + b"\xff")))[0] == "not_utf8"
    assert reason(judged(every, framed(b"\x0aM0001")))[0] == "schema_registry_frame"
    assert reason(judged(every, connected("text")))[0] == "connect_envelope"
