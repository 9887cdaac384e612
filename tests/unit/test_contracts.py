"""The contracts, and what is made from them."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.contracts import ContractError, contract, load_contract
from include.dictionary import data_dictionary
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


def test_the_data_dictionary_in_docs_is_what_the_contracts_say() -> None:
    assert (ROOT / "docs" / "data-dictionary.md").read_text(encoding="utf-8") == data_dictionary()


NUMERIC = "physicalType: numeric(19,4)"


@pytest.mark.parametrize(
    ("file", "old", "new", "complaint"),
    [
        ("user_profiles", "physicalType: topic", "physicalType: file", "no schema object with physicalType 'topic'"),
        ("user_profiles", "primaryKey: true", "primaryKey: false", "exactly one primaryKey"),
        ("user_profiles", "logicalType: integer", "logicalType: array", "credit_score: logicalType array is none of"),
        ("user_profiles", "metric: invalidValues", "metric: nullValues", "account_type: the only quality rule"),
        ("user_profiles", "[Savings, Current]", "[Savings, 2]", "account_type: validValues are texts"),
        ("user_profiles", "value: []", "value: [connect, avro]", "'avro', which is none of connect, debezium"),
        ("user_profiles", "value: []", "value: connect", "must be a list"),
        ("user_profiles", "value: []", "value: [[connect]]", "which is none of"),
        ("user_profiles", "value: missing", "value: welcome", "name: placeholders is 'welcome'"),
        (
            "user_profiles",
            "maxLength: 200",
            "maxLength: 501",
            "name: maxLength 501 is no number of characters up to 500",
        ),
        (
            "user_profiles",
            "minLength: 1, maxLength: 200",
            "minLength: 9, maxLength: 8",
            "no text has 9 to 8 characters",
        ),
        ("user_profiles", '"^U[0-9]+$"', '"^U[0-9+$"', "user_id: pattern"),
        ("user_profiles", "minimum: 300", "minimum: 900", "credit_score: no value is from 900 to 850"),
        ("user_profiles", "minimum: 300", "minimum: low", "credit_score: minimum 'low' is no number"),
        ("user_profiles", "minimum: 300", "least: 300", "credit_score: least: no option of type integer"),
        ("user_profiles", "Logic: name.title", "Logic: name.rank", "title: transformLogic name.rank is none of"),
        (
            "user_profiles",
            "Logic: name.title",
            "Logic: timestamp.year",
            "timestamp.year is of type integer, not string",
        ),
        ("user_profiles", "[record.name]", "[record.nick]", "title: the record has no nick"),
        ("user_profiles", "[record.name]", "[record.name, record.email]", "title: is made of one field"),
        (
            "user_profiles",
            "[record.name]",
            "[record.credit_score]",
            "credit_score is of type integer, name takes string",
        ),
        (
            "user_profiles",
            "      - *status",
            "      - {<<: *status, name: state}",
            "state: nothing in the record makes it",
        ),
        ("user_profiles", "      - *status", "      - *name", "name is there twice"),
        ("user_profiles", "version: 1", "version: [1", "expected"),
        ("user_profiles", "schema:", "schema: {}\nother:", "schema: Input should be a valid list"),
        ("account_balances", NUMERIC, "physicalType: double precision", "not stored as double precision.*no float"),
        (
            "account_balances",
            NUMERIC,
            f"{NUMERIC}\n        logicalTypeOptions: {{maxLength: 3}}",
            "no option of type number",
        ),
        (
            "account_balances",
            NUMERIC,
            f"{NUMERIC}\n        customProperties: [{{property: future, value: allowed}}]",
            "future is said of type number, not of timestamp",
        ),
    ],
)
def test_a_contract_that_cannot_be_honoured_is_refused_by_file_line_and_part(
    tmp_path: Path, file: str, old: str, new: str, complaint: str
) -> None:
    text = (contract.CONTRACTS_FOLDER / f"{file}.odcs.yaml").read_text(encoding="utf-8")
    assert old in text
    broken = tmp_path / "broken.odcs.yaml"
    broken.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ContractError, match=rf"broken.odcs.yaml:[0-9]+: .*{complaint}"):
        load_contract(str(broken))


def test_the_line_of_a_broken_contract_is_that_of_the_word_that_is_wrong(tmp_path: Path) -> None:
    lines = (contract.CONTRACTS_FOLDER / "user_profiles.odcs.yaml").read_text(encoding="utf-8").splitlines()
    wrong = next(number for number, line in enumerate(lines) if "minimum: 300" in line)
    lines[wrong] = lines[wrong].replace("300", "low")
    broken = tmp_path / "broken.odcs.yaml"
    broken.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(ContractError, match=rf"broken.odcs.yaml:{wrong + 1}: credit_score"):
        load_contract(str(broken))


def test_a_contract_that_is_not_there_is_named() -> None:
    with pytest.raises(ContractError, match=r"nowhere\.odcs\.yaml"):
        load_contract("nowhere.odcs.yaml")
