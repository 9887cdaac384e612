"""The fraud rules: exact at their limits, each independent of the others, and strict about their configuration."""

from __future__ import annotations

import json
import pickle
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from include.cleaning.places import normal_place
from include.fraud.rules import RULES_FILE, RULES_VARIABLE, Rules, RulesError, load_rules
from tests.support.judging import verdict

SMALLEST = Decimal("0.0001")


@pytest.fixture(scope="module")
def rules() -> Rules:
    return load_rules(RULES_FILE)


def row(**changes: Any) -> dict[str, Any]:
    plain = {"txn_id": "T1", "amount": Decimal("10"), "merchant_id": "M0001", "channel": "POS", "location": "Berlin"}
    return plain | changes


def names(rules: Rules, risk: str | None = None, **changes: Any) -> list[str]:
    return [fired.rule for fired in verdict(rules, row(**changes), risk)]


def test_an_ordinary_payment_is_genuine(rules: Rules) -> None:
    assert verdict(rules, row(), "Low") == ()


@pytest.mark.parametrize(
    ("amount", "fires"),
    [("30000", False), ("30000.0000", False), ("30000.0001", True), ("29999.9999", False), ("100000", True)],
)
def test_the_online_limit_itself_is_allowed(rules: Rules, amount: str, fires: bool) -> None:
    assert ("high_online_amount" in names(rules, channel="Online", amount=Decimal(amount))) is fires


@pytest.mark.parametrize("channel", ["ATM", "POS", None])
def test_the_online_limit_is_for_online_only(rules: Rules, channel: str | None) -> None:
    assert names(rules, channel=channel, amount=Decimal("99999")) == []


@given(above=st.decimals("1", "999999", places=4), more=st.decimals("0.0001", "100", places=4))
def test_both_limits_are_exact(above: Decimal, more: Decimal) -> None:
    rules = configured(high_online_amount={"above": str(above)}, huge_amount={"above": str(above + more)})
    assert names(rules, channel="Online", amount=above) == []
    assert names(rules, channel="Online", amount=above + SMALLEST) == ["high_online_amount"] + (
        ["huge_amount"] if more < SMALLEST else []
    )
    assert names(rules, channel="ATM", amount=above + more) == []
    assert names(rules, channel="ATM", amount=above + more + SMALLEST) == ["huge_amount"]


@pytest.mark.parametrize(
    ("merchant", "risk", "fires"),
    [
        ("M0001", None, False),
        ("M0001", "Low", False),
        ("M0001", "Medium", False),
        ("M0001", "High", True),
        ("M9999", None, True),
        ("M9999", "Low", True),
        ("M9999", "High", True),
    ],
)
def test_a_merchant_is_suspicious_when_listed_or_of_high_risk(
    rules: Rules, merchant: str, risk: str | None, fires: bool
) -> None:
    assert names(rules, risk, merchant_id=merchant) == (["suspicious_merchant"] if fires else [])


@pytest.mark.parametrize(
    "spelling",
    [
        *("Tehran", " tehran ", "TEHRAN", "Tehr\u0101n", "port-au-prince", "SANA'A"),
        *("Sana\u2019a", "Port\u2011au\u2011Prince", "Port au Prince", "Sanaa"),
        *("Teh\u200bran", "Tehran\u200e", "\ufeffTehran", "Teh\u00adran"),
        *("Tehran, Iran", "Tehran, Tehran Province, Iran", "Tehran, IR", "Tehran,Islamic Republic of Iran", "Tehran,"),
        *("Tehran (Iran)", "Tehran/Iran", "Tehran, 11369", "Tehran, somewhere", "Yangon, Burma", "Juba, South Sudan"),
        *("Port-au-Prince, Ouest", "Damascus, Syria", "Damascus, Dimashq", "DAMASCUS, SYRIAN ARAB REPUBLIC"),
    ],
)
def test_a_risky_place_is_known_in_every_spelling(rules: Rules, spelling: str) -> None:
    assert names(rules, location=spelling) == ["risky_location"]


@pytest.mark.parametrize(
    "other",
    [
        *(
            "Tehran Pars",
            "Jubail",
            "Juban",
            "Damascu",
            "New Damascus",
            "Sana",
            "Iran, Tehran",
            "Iran",
            ", Tehran",
            "-",
            "",
        ),
        *("Damascus, Maryland", "Damascus, MD", "Damascus, MD 20872", "Damascus, Maryland, USA", "Damascus, Virginia"),
        *("Damascus, Oregon, United States of America", "Paris, Texas", "Teheran, France", "\U0001f4b8"),
    ],
)
def test_another_place_is_not_taken_for_a_risky_one(rules: Rules, other: str) -> None:
    assert names(rules, location=other) == []


def test_a_city_without_a_country_is_risky_in_every_country() -> None:
    rules = configured(risky_location={"cities": ["Damascus", "Paris, France", "Paris, Denmark"]})
    assert names(rules, location="Damascus, Maryland") == ["risky_location"]
    assert names(rules, location="Paris, Texas") == []
    for risky in ("Paris", "Paris, FR", "Paris, Denmark"):
        assert names(rules, location=risky) == ["risky_location"]
    assert rules.risky_location.names == ("Damascus", "Paris", "Paris")


def test_composed_and_decomposed_letters_are_the_same_place() -> None:
    assert normal_place("Sa\u0303o  Paulo ") == normal_place("s\u00e3o paulo")


@given(
    amount=st.one_of(st.none(), st.decimals("0.0001", "999999999999999.9999", places=4)),
    merchant=st.sampled_from(["M0001", "M0666", "M9999"]),
    risk=st.sampled_from(["Low", "Medium", "High", "", None]),
    channel=st.sampled_from(["Online", "ATM", "POS", None]),
    location=st.one_of(st.none(), st.text(), st.sampled_from(["Tehran", "Berlin"])),
)
def test_every_rule_that_should_fire_is_returned_and_no_other(
    amount: Decimal | None, merchant: str, risk: str | None, channel: str | None, location: str | None
) -> None:
    rules = load_rules(RULES_FILE)
    expected = {
        "high_online_amount": amount is not None and channel == "Online" and amount > 30000,
        "huge_amount": amount is not None and amount > 100000,
        "suspicious_merchant": merchant in ("M0666", "M9999") or risk == "High",
        "risky_location": location is not None
        and normal_place(location) in {normal_place(city) for city in rules.risky_location.names},
    }
    fired = verdict(
        rules, row(amount=amount, merchant_id=merchant, channel=channel, location=location), merchant_risk=risk
    )
    assert {one.rule for one in fired} == {name for name, fires in expected.items() if fires}
    assert expected.keys() == Rules.model_fields.keys() - {"version"}
    for one in fired:
        assert json.loads(json.dumps(one.as_json())) == {
            "rule": one.rule,
            "message": one.message,
            "values": one.values,
        }


def test_evidence_holds_the_values_as_exact_text(rules: Rules) -> None:
    fired = verdict(rules, row(channel="Online", amount=Decimal("123456789012345.6789"), merchant_id="M0666"), "High")
    assert [one.as_json() for one in fired] == [
        {
            "rule": "high_online_amount",
            "message": "online amount 123456789012345.6789 is above 30000",
            "values": {"amount": "123456789012345.6789", "limit": "30000", "channel": "Online"},
        },
        {
            "rule": "suspicious_merchant",
            "message": "merchant M0666 is listed and has risk level High",
            "values": {"merchant_id": "M0666", "listed": "yes", "risk_level": "High"},
        },
        {
            "rule": "huge_amount",
            "message": "amount 123456789012345.6789 is above 100000",
            "values": {"amount": "123456789012345.6789", "limit": "100000"},
        },
    ]


def test_rules_travel_to_the_workers(rules: Rules) -> None:
    assert names(pickle.loads(pickle.dumps(rules)), location="tehran") == ["risky_location"]  # noqa: S301


def configured(**changes: Any) -> Rules:
    return Rules.model_validate(yaml.safe_load(RULES_FILE.read_text()) | changes)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"huge_amount": {"above": "30000"}}, "must be greater than"),
        ({"huge_amount": {"above": 100000.5}}, "as text"),
        ({"huge_amount": {"above": "NaN"}}, "huge_amount.above"),
        ({"high_online_amount": {"above": "-1"}}, "high_online_amount.above"),
        ({"high_online_amount": {"abvoe": "30000"}}, "high_online_amount.abvoe"),
        ({"suspicious_merchant": {"merchants": [], "risk_levels": ["high"]}}, "none of"),
        ({"risky_location": {"cities": ["Tehran, Irann"]}}, "must be one country"),
        ({"risky_location": {"cities": ["\u2014"]}}, "names no city"),
        ({"version": ""}, "version"),
        ({"version": 2}, "version"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_senseless_configuration_is_refused(tmp_path: Path, changes: dict[str, Any], complaint: str) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(RULES_FILE.read_text()) | changes))
    with pytest.raises(RulesError, match=complaint) as error:
        load_rules(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("text", ["", "[]", "version: [", "\x00", "version: '1'"])
def test_a_file_that_holds_no_rules_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(text)
    with pytest.raises(RulesError, match=r"rules\.yaml"):
        load_rules(path)


def test_the_file_in_use_can_be_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RULES_VARIABLE, str(tmp_path / "absent.yaml"))
    with pytest.raises(RulesError, match=r"absent\.yaml"):
        load_rules()
    monkeypatch.delenv(RULES_VARIABLE)
    assert load_rules().version == load_rules(RULES_FILE).version
