"""The rules file: every error with its line, what a hit says, and the verdicts that the four rules always gave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from include.fraud.lists import Lists
from include.fraud.rulebook import RULES_FILE, RULES_VARIABLE, RulesError, load_rules, parse_rules
from include.fraud.rules import Rules
from include.generators.population import Population
from include.generators.transactions import TransactionSource
from tests.support.four_rules import fired

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
FOUR = ("high_online_amount", "suspicious_merchant", "risky_location", "huge_amount")
FOUR_RULES = yaml.safe_dump(
    {
        name: [one for one in part if one["id"] in FOUR] if name == "rules" else [] if name == "features" else part
        for name, part in yaml.safe_load(RULES_FILE.read_text(encoding="utf-8")).items()
    }
)
"""The file in use without what came later."""
AMOUNTS = [
    None,
    *map(Decimal, ("0.0001", "29999.9999", "30000", "30000.0001", "100000", "100000.0001", "999999999999999.9999")),
]
PLACES = (
    None,
    "",
    "-",
    "Berlin",
    "Tehran",
    " tehran ",
    "Tehr\u0101n",
    "Teh\u200bran",
    "Tehran (Iran)",
    "Tehran, somewhere",
    "Tehran,",
    "Sana\u2019a",
    "SANAA",
    "Port au Prince",
    "Yangon, Burma",
    "Damascus, MD 20872",
    "Damascus, Maryland, USA",
    "DAMASCUS, SY",
    "Iran, Tehran",
    "Juban",
    "Teheran, France",
    "\U0001f4b8",
)


FEATURES = (
    "features: [{name: payments, entity: user, function: count, window: 1 hour},"
    " {name: new, entity: user, function: first_time, of: location, window: 1 hour}]\n"
)


def columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, pa.Array]:
    types = {
        "amount": pa.decimal128(19, 4),
        "payments": pa.int64(),
        "new": pa.bool_(),
        "timestamp": pa.timestamp("us", "UTC"),
    }
    return {name: pa.array([row[name] for row in rows], types.get(name, pa.string())) for name in rows[0]}


def row(**changes: Any) -> dict[str, Any]:
    usual = {"merchant_id": "M1", "channel": "POS", "location": "Berlin", "merchant.risk_level": None, "timestamp": NOW}
    return {"amount": Decimal(10), "payments": None, "new": None, **usual, **changes}


def at_first(rules: Rules) -> Lists:
    return Lists.at(rules.lists, [], 0, NOW)


def file(*rules: str, more: str = "", alert_at: int = 1) -> str:
    """A rules file; each rule begins on line 2, 3 and so on."""
    return "rules:\n" + "".join(f"  - {rule}\n" for rule in rules) + f'version: "1"\nalert_at: {alert_at}\n{more}'


def rule(
    when: str, says: str = "it is so", name: str = "one", weight: int = 1, mode: str = "alert", **parameters: str
) -> str:
    shape = {"id": name, "when": when, "says": says, "weight": weight, "mode": mode, "parameters": parameters}
    return yaml.safe_dump(shape, default_flow_style=True, width=10_000).strip()


def asked(text: str, *rows: dict[str, Any]) -> list[list[dict[str, Any]]]:
    rules = parse_rules(text, "rules.yaml")
    hits = rules.ask(columns(rows), at_first(rules))
    return [[hit.as_json() for hit in hits.get(number, [])] for number in range(len(rows))]


def test_each_rule_that_fires_says_why_in_the_order_of_the_file() -> None:
    rules = parse_rules(FOUR_RULES, "rules.yaml")
    rows = [
        row(channel="Online", amount=Decimal("123456789012345.6789"), merchant_id="M0666"),
        row(),
        row(location="tehran"),
    ]
    found = rules.ask(columns(rows), at_first(rules))
    assert {number: [hit.as_json() for hit in hits] for number, hits in found.items()} == {
        0: [
            {
                "rule": "high_online_amount",
                "message": "online amount 123456789012345.6789 is above 30000",
                "values": {"amount": "123456789012345.6789", "limit": "30000", "channel": "Online"},
            },
            {
                "rule": "suspicious_merchant",
                "message": "merchant M0666 is listed or of high risk (risk level unknown)",
                "values": {"merchant_id": "M0666", "risk_level": "unknown", "suspicious_merchants": "yes"},
            },
            {
                "rule": "huge_amount",
                "message": "amount 123456789012345.6789 is above 100000",
                "values": {"amount": "123456789012345.6789", "limit": "100000"},
            },
        ],
        2: [
            {
                "rule": "risky_location",
                "message": "location tehran is of high risk",
                "values": {"location": "tehran", "risky_cities": "yes"},
            }
        ],
    }


def test_rules_of_all_modes_are_asked_but_those_that_are_off() -> None:
    rules = (rule("amount > 5", name=mode, mode=mode) for mode in ("off", "shadow", "alert"))
    assert [hit["rule"] for hit in asked(file(*rules), row())[0]] == ["shadow", "alert"]


def test_features_are_names_like_any_other() -> None:
    text = file(
        rule(
            "payments > 3 and new", "{payments} payments (100 %) at {timestamp}, {{new}}: {new}, {limit}", limit="007"
        ),
        more=FEATURES,
    )
    found = asked(text, row(payments=4, new=True), row(payments=4), row(payments=3, new=True))
    assert [[hit["message"] for hit in hits] for hits in found] == [
        ["4 payments (100 %) at 2026-01-31T12:00:00+00:00, {new}: true, 7"],
        [],
        [],
    ]


def test_a_part_that_is_missing_is_unknown_in_the_evidence() -> None:
    text = file(
        rule("payments is null", "{payments} payments"),
        more=FEATURES,
    )
    assert asked(text, row())[0] == [{"rule": "one", "message": "unknown payments", "values": {"payments": "unknown"}}]


@pytest.mark.parametrize(
    ("text", "complaints"),
    [
        (file(rule("amont > 5")), [":2: rule one: amont (character 1): there is no name amont; near it: amount"]),
        (
            file(rule("amount > 5 and amount < 3")),
            [":2: rule one: amount > 5 AND amount < 3 (character 1): can never hold"],
        ),
        (file(rule("amount > 5"), rule("amount > 6")), [":3: rule one: there is another rule of this id"]),
        (file(rule("amount > 5", "{amuont}")), [":2: rule one: its sentence names amuont, which there is not"]),
        (file(rule("amount > 5", "{amount:.2f}")), [":2: rule one: its sentence: there is a name, and nothing else"]),
        (file(rule("amount > 5", "{")), [":2: rule one: its sentence: "]),
        (file(rule("amount > 5", limit="5")), [":2: rule one: nothing uses its parameter limit"]),
        (file(rule("amount > hour", hour="5")), [":2: rule one: a parameter cannot be called hour"]),
        (file(rule("amount > 5"), alert_at=2), [":4: alert_at 2: all rules in mode alert together weigh only 1"]),
        (file(rule("amount > 5", mode="shadow")), [":4: alert_at 1: all rules in mode alert together weigh only 0"]),
        (file(rule("amount > 5", weight=0)), [":2: rule one: weight: Input should be greater than or equal to 1"]),
        (file(rule("amount > 5", mode="on")), [":2: rule one: mode: Input should be 'alert', 'shadow' or 'off'"]),
        (file(rule("amount > 5", name="One")), [":2: rule One: id: String should match"]),
        (file(rule("amount > 5").replace("weight: 1", "weight: 1.5")), [":2: rule one: weight: "]),
        (
            file(rule("amount > 5").replace("weight: 1", "wieght: 1")),
            [":2: rule one: weight: Field required", ":2: rule one: wieght: there is no such key"],
        ),
        (
            file(rule("amount > 5").replace("{}", "{limit: 0.5}")),
            [":2: rule one: parameters.limit: 0.5: write the amount as text"],
        ),
        (file(rule("amount > 5").replace("when", "id: two, when")), [":2: id is there twice"]),
        (file(rule("amount > 5"), more="x: 1\n"), [":5: x: there is no such key"]),
        (file(rule("amount > 5"), more="lists: {a: {of: shops, entries: []}}\n"), [":5: list a: of: Input should be"]),
        (
            file(rule("amount > 5"), more="lists:\n  a: {of: cities, entries: [X,\n 'Tehran, Irann']}\n"),
            [":7: list a: 'Tehran, Irann'"],
        ),
        (
            file(rule("amount > 5"), more="lists: {hour: {of: cities, entries: []}}\n"),
            [":5: a list cannot be called hour"],
        ),
        (
            file(
                rule("amount > 5"),
                more=FEATURES.replace("payments", "risk_level"),
            ),
            [":5: a feature cannot be called risk_level"],
        ),
        (
            file(rule("amount > 5"), more=FEATURES.replace("count", "median")),
            [":5: features: payments: function: Input should be"],
        ),
        (
            file(
                rule("amount > 5"),
                more=FEATURES.replace("count,", "count, filter: amont > 1,"),
            ),
            [":5: features: payments: its filter: amont (character 1): there is no name amont; near it: amount"],
        ),
        (file("x"), [":2: rule 0: Input should be a valid dictionary"]),
        ('version: "1"', [":1: alert_at: Field required", ":1: rules: Field required"]),
        ("version: 1\nalert_at: 1\nrules: []", [":1: version: Input should be a valid string"]),
        ("", [":1: Input should be a valid dictionary"]),
        ("[", [": while parsing"]),
        ("\x00", [": "]),
    ],
)
def test_each_error_is_told_with_its_line(text: str, complaints: list[str]) -> None:
    with pytest.raises(RulesError) as error:
        parse_rules(text, "rules.yaml")
    assert len(error.value.problems) == len(complaints), error.value
    for problem, complaint in zip(error.value.problems, complaints, strict=True):
        assert problem.startswith("rules.yaml" + complaint)


def test_all_errors_are_told_at_once() -> None:
    text = file(rule("amont > 5"), rule("amount > 5", name="two", weight=0), rule("hour > 23", name="three"))
    with pytest.raises(RulesError) as error:
        parse_rules(text, "rules.yaml")
    assert [problem.split(":")[1] for problem in error.value.problems] == ["2", "3", "4"]


def test_the_file_in_use_can_be_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RULES_VARIABLE, str(tmp_path / "absent.yaml"))
    with pytest.raises(RulesError, match=r"absent\.yaml"):
        load_rules()
    monkeypatch.delenv(RULES_VARIABLE)
    assert load_rules().version == "4"


def same_verdicts(rows: Sequence[Mapping[str, Any]]) -> int:
    """Make sure that of the four rules those fire that always did, for each row; how many rows there were frauds."""
    rules = parse_rules(FOUR_RULES, "rules.yaml")
    hits = rules.ask(columns(rows), at_first(rules))
    for number, one in enumerate(rows):
        assert [hit.rule.id for hit in hits.get(number, [])] == fired(one, one["merchant.risk_level"]), one
    return len(hits)


def test_at_their_limits_the_four_rules_give_the_verdicts_that_they_always_gave() -> None:
    everything = product(
        AMOUNTS, ("ATM", "POS", "Online", None), ("M0001", "M0666", "M9999", None), ("Low", "High", None), PLACES
    )
    names = ("amount", "channel", "merchant_id", "merchant.risk_level", "location")
    assert same_verdicts([dict(zip(names, values, strict=True)) for values in everything])


@pytest.mark.parametrize("count", [20_000, pytest.param(1_000_000, marks=pytest.mark.long)])
def test_of_generated_transactions_the_four_rules_give_the_verdicts_that_they_always_gave(count: int) -> None:
    population = Population(11, 2_000, 500)
    risks = {merchant.merchant_id: merchant.risk_level for merchant in population.merchants}
    source = TransactionSource(population, run_id="run", fraud_share=0.05)
    frauds = 0
    for _ in range(count // 20_000):
        records = [one.record for one in source.take(20_000)]
        names = ("amount", "channel", "merchant_id", "location")
        frauds += same_verdicts(
            [
                {name: record[name] for name in names} | {"merchant.risk_level": risks.get(record["merchant_id"])}
                for record in records
            ]
        )
    assert frauds > count // 100
