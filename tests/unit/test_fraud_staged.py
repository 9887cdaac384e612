"""Verdicts of many transactions at once: the same that the rules give to each of them."""

from __future__ import annotations

import csv
import io
import json
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.fraud.rules import RULES_FILE, Rules, load_rules
from include.fraud.staged import staged_columns, written
from include.lake.records import BronzeRecord
from include.quality.columns import VALID, with_outcome
from tests.support.judging import judged, verdict

ARRIVED_MS = 1_769_947_200_000
AMOUNTS = ("0.0001", "29999.9999", "30000", "30000.0001", "100000", "100000.0001", "999999999999999.9999")
LOCATIONS = ("Lisbon", "Tehran", "tehran, Iran", "Tehran, France", "Sana'a", "SANAA", "Tehran Pars", "Juba", "Paris")
MERCHANTS = ("M1", "M0666", "M9999", "M66")
RISKS = st.dictionaries(st.sampled_from(MERCHANTS), st.sampled_from(["Low", "Medium", "High"]))

bodies = st.fixed_dictionaries(
    {
        "amount": st.sampled_from(AMOUNTS) | st.decimals("0.0001", "200000", places=4).map(str),
        "merchant_id": st.sampled_from(MERCHANTS),
        "channel": st.sampled_from(["ATM", "POS", "Online"]),
        "location": st.sampled_from(LOCATIONS),
    }
)


@pytest.fixture(scope="module")
def rules() -> Rules:
    return load_rules(RULES_FILE)


def valid(bodies: list[dict[str, str]]) -> pa.Table:
    records = [
        BronzeRecord("topic", 0, number, ARRIVED_MS, ARRIVED_MS, json.dumps(body).encode())
        for number, one in enumerate(bodies)
        for body in [{"txn_id": f"T{number}", "user_id": "U1", "timestamp": "2026-01-31 13:45:00", **one}]
    ]
    table = with_outcome(judged(records), VALID)
    assert table.num_rows == len(bodies)
    return table


@given(st.lists(bodies, min_size=1, max_size=20), RISKS)
@settings(max_examples=300, deadline=None)
def test_each_has_the_verdict_that_the_rules_give_it(bodies: list[dict[str, str]], risks: dict[str, str]) -> None:
    rules = load_rules(RULES_FILE)
    table = valid(bodies)
    staged = staged_columns(table, rules, risks).to_pylist()
    assert [row["place"] for row in staged] == list(range(len(bodies)))
    for row, source in zip(staged, table.to_pylist(), strict=True):
        fired = verdict(rules, source, risks.get(source["merchant_id"]))
        assert row["verdict"] == ("fraud" if fired else "genuine")
        assert row["reasons"] == "{" + ",".join(one.rule for one in fired) + "}"
        assert json.loads(row["evidence"]) == [one.as_json() for one in fired]
        assert (row["txn_id"], row["amount"], row["offset"]) == (source["txn_id"], source["amount"], source["offset"])


def test_they_are_written_as_postgresql_reads_csv(rules: Rules) -> None:
    table = valid([{"amount": "200000", "merchant_id": "M1", "channel": "POS", "location": 'A "b", \\N'}])
    (row,) = csv.reader(io.StringIO(written(staged_columns(table, rules, {})).to_pybytes().decode()))
    assert row[:5] == ["0", "fraud", "T0", "U1", "200000.0000"]
    assert row[7] == 'A "b", \\N'
    assert row[8:13] == ["2026-01-31 13:45:00.000000Z", "2026-01-31", "13:45:00", "1", "2026"]
    assert json.loads(row[15])[0]["values"] == {"amount": "200000.0000", "limit": "100000"}
    assert Decimal(row[4]) == Decimal(200_000)
