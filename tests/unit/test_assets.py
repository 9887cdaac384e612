"""The registry of assets: what it says of each, and which column is made of which."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from include.assets import code, columns, registry
from include.assets.code import code_version
from include.assets.columns import AssetColumn, Source
from include.assets.registry import ASSETS
from include.assets.spec import MOST_BYTES, Measured
from include.contracts import ContractError, load_contract
from include.contracts.contract import CONTRACTS_FOLDER
from include.domains import DOMAINS, GOLD_DOMAINS, PROFILES, TRANSACTIONS
from include.spark.silver_schema import table_schema
from include.warehouse import columns as warehouse
from include.warehouse.tables import domain_tables

MADE_ANEW = {
    "silver": {"silver_version"},
    "gold": {"loaded_at"},
    "fraud": {"rules_version", "scored_at", "lists_version"},
    "bronze": {"topic_id", "partition", "offset", "timestamp_ms", "taken_ms"},
}
"""Columns of no other asset's, by the group of the asset that makes them."""


def column(asset: str, name: str) -> AssetColumn:
    return next(one for one in ASSETS[asset].columns if one.name == name)


def test_every_column_of_a_layer_comes_from_a_column_before_it_or_is_said_to_be_made_there() -> None:
    for spec in ASSETS.values():
        before = {*spec.inputs, *spec.looks_at}
        for one in spec.columns:
            if one.name in MADE_ANEW.get(spec.group, ()) or spec.group in ("kafka", "checks"):
                assert one.sources == (), (spec.name, one.name)
            else:
                assert one.sources, f"nobody says what {spec.name}.{one.name} is made of"
            assert one.made_by
            for source in one.sources:
                assert source.asset in before
                assert source.column in {other.name for other in ASSETS[source.asset].columns}


def test_the_columns_are_those_of_the_tables() -> None:
    tables = {table.name: [(one.name, one.type, one.required) for one in table.columns] for table in domain_tables()}
    told = {
        spec.name.split("/")[1].lower(): [(one.name, one.type, one.required) for one in spec.columns]
        for spec in ASSETS.values()
        if spec.group in ("gold", "fraud")
    }
    assert told == tables
    for domain in DOMAINS.values():
        schema = [(one.name, one.dataType.simpleString()) for one in table_schema(domain)]
        assert [(one.name, one.type) for one in registry.silver(domain).columns] == schema


def test_a_column_that_a_contract_does_not_say_how_to_make_is_refused(tmp_path: Path) -> None:
    text = (CONTRACTS_FOLDER / PROFILES.contract_file).read_text()
    added = (
        "      - name: shoe_size\n        logicalType: integer\n        physicalType: integer\n        description: d\n"
    )
    file = tmp_path / "user_profiles.odcs.yaml"
    file.write_text(text + added)
    with pytest.raises(ContractError, match="shoe_size: nothing in the record makes it"):
        load_contract(str(file))


def test_a_column_that_paylake_adds_needs_its_lineage(monkeypatch: pytest.MonkeyPatch) -> None:
    added = (*warehouse.GOLD_COLUMNS, warehouse.Column("seen_by", "text", "Who."))
    monkeypatch.setattr(warehouse, "GOLD_COLUMNS", added)
    with pytest.raises(KeyError, match="seen_by"):
        registry.gold(PROFILES)


def test_a_column_tells_its_cleaner_its_rule_and_that_it_is_personal() -> None:
    first_name = column("silver/processed-profiles", "first_name")
    assert (first_name.made_by, first_name.sources) == ("name.first_name", (Source("bronze/profiles-folder", "name"),))
    assert (first_name.personal, first_name.required, first_name.type) == (True, True, "string")
    score = column("gold/USERS", "credit_score")
    assert (score.rule, score.sources) == (
        "from 300; up to 850",
        (Source("silver/processed-profiles", "credit_score"),),
    )
    assert column("transactions", "channel").rule == "one of ATM, POS, Online"
    evidence = column("fraud/FraudTransaction", "evidence")
    assert evidence.personal, "it quotes amounts and places"
    assert Source("gold/MERCHANTS", "risk_level") in evidence.sources
    assert Source("bronze/transactions-folder", "amount") in evidence.sources


def test_each_has_owners_a_group_a_description_and_versions() -> None:
    for spec in ASSETS.values():
        told = spec.extra()
        assert told["owners"]
        assert len(told["description"]) > 20
        assert len(told["code_version"]) == 12
        assert spec.contract is None or told["contract_version"] == spec.contract.version
        assert told["columns_left_out"] == 0
        assert len(json.dumps(told)) <= MOST_BYTES
        assert json.loads(json.dumps(told)) == told
    assert ASSETS["gold/USERS"].extra()["owners"] == ["customer-data"]
    assert ASSETS["checks/books"].extra()["owners"] == ["paylake"]


def test_of_a_very_wide_table_columns_are_left_out() -> None:
    spec = ASSETS["gold/USERS"]
    wide = replace(spec, columns=spec.columns * 100).extra()
    assert len(json.dumps(wide)) <= MOST_BYTES + len(' "columns_left_out": 10000,')
    assert len(wide["columns"]) + wide["columns_left_out"] == 100 * len(spec.columns)
    assert wide["columns"]


def test_every_layer_has_a_limit_and_a_source_may_be_silent_unless_its_domain_says_for_how_long() -> None:
    for spec in ASSETS.values():
        assert (spec.freshness is None) == (spec.group == "kafka"), spec.name
    assert registry.limit_of("silver", TRANSACTIONS) > 15 * 60 > registry.limit_of("verdicts", TRANSACTIONS)
    assert {registry.limit_of("gold", domain) for domain in GOLD_DOMAINS.values()} == {600}


def test_a_version_of_code_is_that_of_its_content_wherever_it_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = ("include/cleaning", "include/domains.py")
    here = code_version(places)
    for folder in ("include/cleaning/__pycache__", "include/sql"):
        (tmp_path / folder).mkdir(parents=True)
    for file in (code.ROOT / "include/cleaning").glob("*.py"):
        shutil.copy(file, tmp_path / "include/cleaning")
    shutil.copy(code.ROOT / "include/domains.py", tmp_path / "include")
    (tmp_path / "include/cleaning/__pycache__/text.cpython-311.pyc").write_bytes(b"\0")
    monkeypatch.setattr(code, "ROOT", tmp_path)
    code_version.cache_clear()
    assert code_version(places) == here
    with (tmp_path / "include/cleaning/text.py").open("a") as copy:
        copy.write("\n# other\n")
    code_version.cache_clear()
    assert code_version(places) != here
    with pytest.raises(FileNotFoundError):
        code_version(("include/no_such_file.py",))
    code_version.cache_clear()


def test_a_topic_that_may_not_be_silent_for_long_has_its_limit() -> None:
    from datetime import timedelta

    spec = registry.topic(replace(TRANSACTIONS, silent_for=timedelta(minutes=5)))
    assert spec.freshness is not None
    assert (spec.freshness.seconds, spec.freshness.measured) == (300, Measured.UPDATE)


def test_message_columns_are_the_record() -> None:
    assert [one.name for one in columns.message_columns(PROFILES)] == [one.name for one in PROFILES.contract.record]
