"""The DDL that contracts become, as far as it can be told without a database."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from include.contracts import ContractError
from include.domains import DOMAINS, PROFILES, REFERENCE_DOMAINS, Domain
from include.sql import SQL_FOLDER, load_sql
from include.warehouse.tables import column_definition, contract_column, domain_tables, gold_table

POSTGRES_NAME_LIMIT = 63


def test_every_table_of_the_design_is_there() -> None:
    names = {table.name for table in domain_tables()}
    assert names == {"users", "accounts", "merchants", "fraudtransaction", "genuinetransaction", "daily_fraud"}


@pytest.mark.parametrize("domain", REFERENCE_DOMAINS.values(), ids=REFERENCE_DOMAINS)
def test_gold_has_the_contracts_columns_in_their_order(domain: Domain) -> None:
    columns = [column.name for column in gold_table(domain.contract).columns]
    stated = [field.name for field in domain.contract.columns]
    assert columns[: len(stated)] == stated
    assert domain.event_time in columns
    assert domain.key in columns


def test_constraint_names_are_unique_and_not_cut_off() -> None:
    for table in domain_tables():
        assert all(len(name) <= POSTGRES_NAME_LIMIT for name in table.constraints())
        assert len({column.name for column in table.columns}) == len(table.columns)


def test_every_rule_of_a_contract_becomes_a_constraint() -> None:
    for domain in DOMAINS.values():
        for field in domain.contract.columns:
            kinds = {kind for kind, _ in contract_column(field).checks}
            bounds = (field.minimum, field.maximum, field.exclusive_minimum)
            assert ("pattern" in kinds) == (field.pattern is not None)
            assert ("values" in kinds) == bool(field.valid_values)
            assert ("range" in kinds) == any(bound is not None for bound in bounds)
            assert ("length" in kinds) == (field.min_length is not None or field.max_length is not None)


def test_bounds_of_zero_count() -> None:
    # 0 is false in Python and a bound all the same.
    amount = next(field for field in DOMAINS["transactions"].contract.columns if field.name == "amount")
    checks = {kind: expression.as_string(None) for kind, expression in contract_column(amount).checks}
    assert checks["range"].replace("'", "") == '"amount" > 0'


def test_physical_type_cannot_carry_other_sql() -> None:
    field = replace(PROFILES.contract.columns[0], physical_type="text; DROP TABLE users")
    with pytest.raises(ContractError, match="no type"):
        column_definition(contract_column(field))


def test_sql_files_are_loaded_by_name() -> None:
    assert load_sql("schema/ops").startswith("-- Paylake's own books")
    with pytest.raises(FileNotFoundError):
        load_sql("schema/no_such_statement")


def test_each_sql_file_is_loaded_by_somebody_and_each_that_is_loaded_is_there() -> None:
    files = {str(path.relative_to(SQL_FOLDER).with_suffix("")) for path in SQL_FOLDER.rglob("*.sql")}
    code = "\n".join(path.read_text() for path in SQL_FOLDER.parent.rglob("*.py"))
    named = set(re.findall(r'load_sql\(\s*"([^"]+)"', code))
    # Those of some modules, which load a statement of their own folder by its name alone.
    for owner, function in (
        ("fraud", "_statement"),
        ("quarantine", "_selecting"),
        ("quarantine", "_landing"),
        ("desk", "_chosen"),
    ):
        named |= {f"{owner}/{name}" for name in re.findall(rf'{function}\(\s*"([^"]+)"', code)}
    assert named == files
