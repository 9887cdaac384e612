"""Checks of assets: what is declared, and what each kind finds in rows that pass and in rows that fail."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pydantic import BaseModel, ConfigDict

from include.assets.registry import ASSETS
from include.checks import dataquality
from include.checks.declared import CHECKS, Check, CheckError, CheckKind, Severity, checks_by_asset, read_checks
from include.checks.drift import day_drift, table_drift
from include.checks.result import CheckFailedError, Result, Stored, blocking
from include.checks.rows import MOST_DAYS, RowChecks
from include.domains import DOMAINS, PROFILES, TRANSACTIONS
from include.quality.columns import arrow_type
from include.spark.silver_schema import table_schema
from tests.support.silver_rows import user_row

USERS = PROFILES.silver_asset
PAYMENTS = TRANSACTIONS.silver_asset
DAY = date(2026, 1, 31)


def users(*changes: dict[str, Any]) -> RowChecks:
    """Rows of silver's users, with these changes."""
    rows = [user_row(f"U{number}") | change for number, change in enumerate(changes, 1)]
    types = {column.name: arrow_type(column) for column in PROFILES.contract.columns}
    types |= {"bronze_topic_id": pa.string(), "bronze_partition": pa.int32(), "bronze_offset": pa.int64()}
    return RowChecks(PROFILES, pa.Table.from_pylist(rows, pa.schema(list(types.items()))))


def payments(*rows: tuple[str, str, datetime]) -> RowChecks:
    """Rows of silver's transactions: amount, channel, time; one offset after the other."""
    columns = {
        "txn_id": [f"T{number}" for number in range(len(rows))],
        "user_id": [f"U{number}" for number in range(len(rows))],
        "amount": pa.array([Decimal(amount) for amount, _, _ in rows], pa.decimal128(19, 4)),
        "channel": [channel for _, channel, _ in rows],
        "timestamp": pa.array([moment for _, _, moment in rows], pa.timestamp("us", "UTC")),
        "bronze_topic_id": ["topic"] * len(rows),
        "bronze_partition": [0] * len(rows),
        "bronze_offset": list(range(len(rows))),
    }
    return RowChecks(TRANSACTIONS, pa.table(columns))


def contract_check(asset: str, name: str) -> Check:
    return next(one for one in CHECKS[asset] if one.name == name)


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("credit_score_not_null", {"credit_score": 300}, {"credit_score": None}),
        ("credit_score_range", {"credit_score": 850}, {"credit_score": 851}),
        ("credit_score_range", {"credit_score": None}, {"credit_score": 299}),
        ("status_accepted_values", {"status": "closed"}, {"status": "Active"}),
        ("country_code_pattern", {"country_code": "PT"}, {"country_code": "PTX"}),
        ("country_code_pattern", {"country_code": None}, {"country_code": "PT\n"}),
        ("name_length", {"name": "x" * 200}, {"name": ""}),
        ("user_id_unique", {"user_id": "U9"}, {"user_id": "U2"}),
    ],
)
def test_each_kind_takes_good_rows_and_names_bad_ones(name: str, good: dict[str, Any], bad: dict[str, Any]) -> None:
    check = contract_check(USERS, name)
    assert check.blocks
    (passed,) = users(good, {}).results([check])
    assert (passed.passed, passed.rows, passed.failing, passed.examples) == (True, 2, 0, ())
    (failed,) = users(bad, {}).results([check])
    assert (failed.passed, failed.rows, failed.failing) == (False, 2, 2 if name == "user_id_unique" else 1)
    example = failed.examples[0]
    assert example["bronze_offset"] == 1
    assert ("name" in example) is False, "personal data is not copied"
    json.dumps(failed.examples)


def test_of_events_each_day_has_a_result_and_those_of_wrong_clocks_share_one() -> None:
    rows = payments(
        ("10", "ATM", datetime(2026, 1, 31, 0, 0, tzinfo=UTC)),
        ("-0.0001", "ATM", datetime(2026, 1, 31, 23, 59, 59, 999999, tzinfo=UTC)),
        ("10", "ATM", datetime(2026, 2, 1, tzinfo=UTC)),
        ("0", "ATM", datetime(1950, 2, 1, 12, tzinfo=UTC)),
    )
    found = list(rows.results([contract_check(PAYMENTS, "amount_range")]))
    assert [(one.day, one.passed, one.rows, one.failing) for one in found] == [
        (date(2026, 2, 1), True, 1, 0),
        (DAY, False, 2, 1),
        (date(1950, 2, 1), False, 1, 1),
    ]
    assert [example["bronze_offset"] for one in found for example in one.examples] == [1, 3]
    assert "amount" not in found[1].examples[0]

    many = payments(*(("1", "Cash", datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day)) for day in range(50)))
    found = list(many.results([contract_check(PAYMENTS, "channel_accepted_values")]))
    assert len(found) == MOST_DAYS + 1
    assert (found[-1].day, found[-1].rows, found[-1].failing) == (None, 50 - MOST_DAYS, 50 - MOST_DAYS)
    assert [example["bronze_offset"] for example in found[-1].examples] == [0, 1, 2, 3, 4]


def test_a_record_is_there_once() -> None:
    moment = datetime(2026, 1, 31, tzinfo=UTC)
    rows = payments(("1", "ATM", moment), ("1", "ATM", moment))
    check = contract_check(PAYMENTS, "record_unique")
    (passed,) = rows.results([check])
    twice = pa.concat_tables([rows._rows, rows._rows.slice(0, 1)])
    (failed,) = RowChecks(TRANSACTIONS, twice).results([check])
    assert (passed.passed, failed.passed, failed.failing) == (True, False, 2)


def test_a_share_may_fail_if_the_check_says_so() -> None:
    moment = datetime(2026, 1, 31, tzinfo=UTC)
    rows = payments(*(("1", "ATM", moment),) * 20)
    check = contract_check(PAYMENTS, "user_id_reference")
    assert rows.values("user_id").to_pylist() == [f"U{number}" for number in range(20)]
    (one,) = rows.reference(check, ["U3"])
    (two,) = rows.reference(check, ["U3", "U4"])
    assert [(found.failing, found.value, found.passed) for found in (one, two)] == [(1, 0.05, True), (2, 0.1, False)]
    assert one.examples[0]["user_id"] == "U3"


def test_days_drift_beside_those_before_and_today_only_upwards() -> None:
    (check,) = (one for one in CHECKS[PAYMENTS] if one.kind is CheckKind.ROW_COUNT_DRIFT)
    counts = {DAY - timedelta(ago): 100 for ago in range(1, 6)} | {DAY: 10}

    def drift(touched: date, today: date) -> list[tuple[date | None, float | None, bool]]:
        return [(one.day, one.value, one.passed) for one in day_drift(check, counts, {touched}, today)]

    assert drift(DAY, DAY) == [(DAY, 0.1, True), (DAY - timedelta(1), 1.0, True)]
    assert drift(DAY, DAY + timedelta(1)) == [(DAY, 0.1, False)]
    counts[DAY] = 501
    assert drift(DAY, DAY)[0] == (DAY, 5.01, False)
    assert drift(DAY - timedelta(4), DAY + timedelta(1)) == [(DAY, 5.01, False)], "too few days before the other one"


def test_tables_drift_beside_what_they_had() -> None:
    (check,) = (one for one in CHECKS["gold/USERS"] if one.kind is CheckKind.ROW_COUNT_DRIFT)
    assert table_drift(check, 0, 100) == []
    assert [one.passed for one in (*table_drift(check, 100, 90), *table_drift(check, 100, 89))] == [True, False]


def test_what_blocks_ends_the_run_with_name_number_and_example() -> None:
    found = list(users({"credit_score": 1}, {}).results(CHECKS[USERS]))
    assert [one.check.name for one in blocking(found)] == ["credit_score_range"]
    with pytest.raises(CheckFailedError, match=r"credit_score_range: 1 of 2 rows .*\"user_id\": \"U1\".*see there"):
        raise CheckFailedError(USERS, found, ". see there", 1)


BAD_ENTRIES: list[tuple[str, str]] = [
    ("{asset: silver/nowhere, kind: not_null, column: name}", "no such asset of silver or gold"),
    ("{asset: gold/USERS, kind: not_null}", "column must be said"),
    ("{asset: gold/USERS, kind: not_null, column: shoe_size}", "no column shoe_size"),
    ("{asset: gold/USERS, kind: not_empty, column: name}", "kind"),
    ("{asset: gold/USERS, kind: not_null, column: name, severity: fatal}", "severity"),
    ("{asset: gold/USERS, kind: not_null, column: name, low: 1}", "low says nothing of this kind"),
    ("{asset: gold/USERS, kind: range, column: name, minimum: 1}", "name is of type string, not integer or number"),
    ("{asset: gold/USERS, kind: range, column: credit_score}", "one of exclusive_minimum, maximum, minimum"),
    ("{asset: gold/USERS, kind: pattern, column: name, pattern: '['}", "pattern"),
    ("{asset: gold/USERS, kind: accepted_values, column: name, values: []}", "values is empty"),
    ("{asset: gold/ACCOUNTS, kind: reference, column: user_id, to: gold/USERS.nobody}", "is no column of gold"),
    ("{asset: gold/ACCOUNTS, kind: reference, column: user_id, to: gold/USERS.user_id, severity: block}", "only warn"),
    ("{asset: gold/USERS, kind: row_count_drift, low: 3, high: 2}", "nothing is from 3.0 to 2.0"),
    ("{asset: gold/USERS, kind: freshness}", "Paylake makes this check itself"),
    ("{asset: gold/USERS, kind: not_null, column: name, max_share: 2}", "max_share"),
    ("{asset: gold/USERS, kind: not_null, column: name, of_contract: true}", "of_contract says nothing"),
    ("{asset: gold/USERS, kind: not_null, kind: unique, column: name}", "kind is there twice"),
]


@pytest.mark.parametrize(("entry", "message"), BAD_ENTRIES)
def test_an_entry_that_makes_no_sense_is_refused_with_its_line(tmp_path: Path, entry: str, message: str) -> None:
    file = tmp_path / "checks.yaml"
    file.write_text(f"# ours\n- {{asset: gold/USERS, kind: unique, column: email}}\n- {entry}\n")
    with pytest.raises(CheckError, match=r"checks\.yaml:3: ") as refused:
        read_checks(file)
    assert message in str(refused.value)


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "checks.yaml"
    for text in ("[", "a: b"):
        file.write_text(text)
        with pytest.raises(CheckError, match=r"checks\.yaml"):
            read_checks(file)
    file.write_text("# nothing yet\n")
    assert read_checks(file) == []


def test_two_checks_of_an_asset_have_two_names() -> None:
    again = Check("gold/USERS", CheckKind.NOT_NULL, name="name_not_null", column="name")
    with pytest.raises(CheckError, match="gold/USERS: two checks have the name name_not_null"):
        checks_by_asset([again])
    named = checks_by_asset([replace(again, name="named")])["gold/USERS"]
    assert [one.severity for one in named if one.column == "name" and one.kind is CheckKind.NOT_NULL] == [
        Severity.BLOCK,
        Severity.WARN,
    ]


def test_what_contracts_say_blocks_silver_and_gold() -> None:
    for domain in DOMAINS.values():
        names = {one.name: one for one in CHECKS[domain.silver_asset]}
        columns = {one.name for one in table_schema(domain)}
        assert {one.column for one in names.values()} <= columns | {None}
        for column in domain.contract.columns:
            assert (f"{column.name}_not_null" in names) == (column.required or column.primary_key)
            assert (f"{column.name}_accepted_values" in names) == bool(column.valid_values)
        assert names["rows_add_up"].blocks
    assert contract_check("gold/USERS", "credit_score_range").limits() == {"minimum": 300, "maximum": 850}


class ProvidersRule(BaseModel):
    """What a rule of Airflow's provider may say (apache-airflow-providers-common-dataquality 0.1.0)."""

    model_config = ConfigDict(extra="forbid")

    name: str
    check: str
    condition: dict[str, float]
    severity: str
    column: str | None = None
    sql: str | None = None
    dimension: str


def test_assets_declare_their_checks_in_the_shape_of_airflows_provider() -> None:
    for asset in CHECKS:
        told = ASSETS[asset].extra()[dataquality.EXTRA_KEY]
        assert told["ruleset"]["name"] == asset
        assert told["table"].startswith(("public.", "lake.silver."))
        rules = [ProvidersRule.model_validate(rule) for rule in told["ruleset"]["rules"]]
        assert len({rule.name for rule in rules}) == len(rules) > 10
        for rule in rules:
            assert set(rule.condition) < {"equal_to", "leq_to"}
            assert rule.severity in ("error", "warn")
            assert (rule.check == "custom_sql") == (rule.sql is not None)
            assert rule.sql is None or "{table}" in rule.sql
    assert "conn_id" not in ASSETS[USERS].extra()[dataquality.EXTRA_KEY]
    assert ASSETS["gold/USERS"].extra()[dataquality.EXTRA_KEY]["conn_id"] == "warehouse"
    assert dataquality.EXTRA_KEY not in ASSETS["checks/books"].extra()


def stored(check: str, *, passed: bool, severity: str = "block", day: date | None = None) -> Stored:
    moment = datetime(2026, 1, 31, tzinfo=UTC)
    return Stored(USERS, check, "range", severity, day, passed, 1, 0, 0.0, {}, [], "1", "run_1", moment)


def test_the_event_sums_up_what_was_found() -> None:
    assert dataquality.summary(PROFILES, USERS, []) is None
    found = [
        stored("a", passed=True),
        stored("b", passed=True, day=DAY),
        stored("b", passed=False, day=DAY - timedelta(1)),
        stored("c", passed=False, severity="warn"),
        stored("d", passed=True, severity="warn"),
    ]
    told = dataquality.summary(PROFILES, USERS, found)
    assert told == {
        "run_uid": "run_1",
        "ruleset": USERS,
        "table": "lake.silver.profiles",
        "score": 0.6875,
        "passed": 2,
        "warned": 1,
        "failed": 1,
        "errored": 0,
        "failed_rules": ["b"],
        "warned_rules": ["c"],
    }


def test_a_result_says_what_it_is_about() -> None:
    check = contract_check("gold/USERS", "row_count_drift")
    assert str(Result(check, False, 5, value=0.5)) == 'row_count_drift: 0.5 (allowed: {"low": 0.9})'
