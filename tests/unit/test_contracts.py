"""The contracts, and what is made from them."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.contracts import ContractError, contract, load_contract
from include.contracts.dictionary import data_dictionary
from include.domains import DOMAINS

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
