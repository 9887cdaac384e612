"""The contracts, and what is made from them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from include.contracts import ContractError, contract, load_contract
from include.contracts.dictionary import data_dictionary
from include.domains import DOMAINS
from include.quality.values import MAX_TEXT_CHARACTERS, check_for

ROOT = Path(__file__).parents[2]


def test_required_record_fields_are_the_promised_ones() -> None:
    promised = {
        "user_profiles": {"user_id", "name", "country", "account_type", "credit_score", "status", "timestamp"},
        "merchant_info": {"merchant_id", "merchant_name", "category", "risk_level", "country", "timestamp"},
        "account_balances": {"account_id", "user_id", "current_balance", "currency", "last_updated"},
        "transactions": {"txn_id", "user_id", "amount", "merchant_id", "channel", "location", "timestamp"},
    }
    required = {
        domain.topic: {field.name for field in domain.contract.record if field.required} for domain in DOMAINS.values()
    }
    assert required == promised


def test_no_envelope_is_taken_off_unless_a_contract_asks_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {domain.contract.unwrap for domain in DOMAINS.values()} == {frozenset()}
    text = (contract.CONTRACTS_FOLDER / "user_profiles.odcs.yaml").read_text(encoding="utf-8")
    monkeypatch.setattr(contract, "CONTRACTS_FOLDER", tmp_path)
    for written, wanted in (("value: [debezium, connect]", {"debezium", "connect"}), ("", set())):
        (tmp_path / "own.odcs.yaml").write_text(
            text.replace("value: []", written) if written else text.replace("property: unwrap", "property: other")
        )
        load_contract.cache_clear()
        assert load_contract("own.odcs.yaml").unwrap == wanted
    load_contract.cache_clear()


def test_placeholders_count_as_missing_where_people_write_names_and_places() -> None:
    refusing = {
        (domain.name, field.name)
        for domain in DOMAINS.values()
        for field in domain.contract.record
        if field.placeholder_is_missing
    }
    assert refusing == {
        ("profiles", "name"),
        ("profiles", "email"),
        ("profiles", "city"),
        ("merchants", "merchant_name"),
        ("merchants", "city"),
        ("transactions", "location"),
    }


def test_no_text_is_longer_than_what_is_looked_at() -> None:
    longest = {field.max_length or 0 for domain in DOMAINS.values() for field in domain.contract.record}
    assert max(longest) <= MAX_TEXT_CHARACTERS
    field = next(field for field in DOMAINS["profiles"].contract.record if field.name == "name")
    with pytest.raises(ContractError, match="name: maxLength 501 is above 500"):
        check_for(replace(field, max_length=MAX_TEXT_CHARACTERS + 1))


def test_no_money_is_a_float() -> None:
    for domain in DOMAINS.values():
        for field in (*domain.contract.record, *domain.contract.columns):
            if field.logical_type == "number":
                assert field.physical_type.startswith("numeric("), (domain.name, field.name)


def test_the_data_dictionary_in_docs_is_what_the_contracts_say() -> None:
    assert (ROOT / "docs" / "data-dictionary.md").read_text(encoding="utf-8") == data_dictionary()


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("physicalType: topic", "physicalType: file", "physicalType 'topic'"),
        ("primaryKey: true", "primaryKey: false", "exactly one primaryKey"),
        ("logicalType: integer", "logicalType: array", "logicalType array"),
        ("metric: invalidValues", "metric: nullValues", "account_type"),
        ("value: []", "value: [connect, avro]", "'avro', which is none of connect, debezium, schema_registry"),
        ("value: []", "value: connect", "must be a list"),
        ("value: []", "value: [[connect]]", "which is none of"),
        ("value: missing", "value: welcome", "placeholders is 'welcome'"),
    ],
)
def test_a_contract_that_cannot_be_honoured_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str, complaint: str
) -> None:
    text = (contract.CONTRACTS_FOLDER / "user_profiles.odcs.yaml").read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "broken.odcs.yaml").write_text(text.replace(old, new), encoding="utf-8")
    monkeypatch.setattr(contract, "CONTRACTS_FOLDER", tmp_path)
    load_contract.cache_clear()
    with pytest.raises(ContractError, match=complaint) as refused:
        load_contract("broken.odcs.yaml")
    assert "broken.odcs.yaml" in str(refused.value)
    load_contract.cache_clear()
