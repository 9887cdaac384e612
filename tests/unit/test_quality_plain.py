"""The columns that plain records are taken in as: of each record that is taken, `classify` gives the same row."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.domains import DOMAINS, MERCHANTS, TRANSACTIONS, Domain
from include.lake.records import BronzeRecord
from include.quality import Rejected, Tombstone, Valid, classify
from include.quality.columns import OUTCOME, outcome_schema
from include.quality.plain import plain_reader
from tests.support.judging import classify_records
from tests.support.records import GOOD
from tests.support.wild import ALSO_GOOD, WILD_VALUES, json_values, wild_values

TAKEN_MS = 1_769_904_000_000
"""2026-02-01, midnight."""
DAY_MS = 86_400_000

TEXTS: dict[str, tuple[str, ...]] = {
    "txn_id": ("T1", "T" + "9" * 63, "T-a.b:c_d", "T", "T" + "9" * 64, "t1", "T1\n", "T\u0663"),
    "user_id": ("U1", "U0007", "U" + "0" * 31, "U" + "0" * 32, "U\u0661\u0662", "U 1", " U1", "U1 "),
    "merchant_id": ("M1", "M0666", "M1.0", ""),
    "channel": ("ATM", "POS", "Online", "online", " POS", "\uff30\uff2f\uff33", "Web"),
    "location": ("Berlin", "São Paulo", "Sa\u0303o Paulo", "New  York", "N/A", "unknown", "x" * 100, "x" * 101, " "),
    "timestamp": (
        "2026-01-31 13:45:00",
        "2026-01-31T13:45:00.25Z",
        "2026-01-31T13:45:00.123456Z",
        "1900-01-01T00:00:00Z",
        "1899-12-31T23:59:59Z",
        "2024-02-29T12:00:00Z",
        "2026-02-30T12:00:00Z",
        "2026-02-01T23:59:59.999Z",
        "2026-02-02T00:00:00Z",
        "2026-02-02T00:00:00.000001Z",
        "2026-01-31T13:45:00.1234567Z",
        "2026-01-31T13:45:00+05:00",
        "2026-01-31T24:00:00Z",
        "2026-01-31T13:45:60Z",
        "2026-01-31t13:45:00z",
        "20260131T134500Z",
        "2026-01-31",
    ),
}
NUMBERS = ("1", "12.50", "0.0001", "999999999999999.9999", "1e2", "1E+2", "1.00000", "0.00001", "0", "-0", "-1")
NO_NUMBERS = ("01", "1.", ".5", "+1", "1000000000000000", "NaN", "true", "null", "[1]", '"12.50"', '" 1"', '"1e2"', "")


@st.composite
def spelled(draw: st.DrawFn) -> bytes:
    """A transaction in some spelling, with nothing or a few things wrong with it."""
    wild = draw(st.sets(st.sampled_from(sorted(TEXTS)), max_size=2))
    members = [
        (
            json.dumps(name),
            json.dumps(draw(st.sampled_from(values if name in wild else values[:2])), ensure_ascii=False),
        )
        for name, values in TEXTS.items()
    ]
    numbers = draw(st.sampled_from([NUMBERS[:4], NUMBERS[:4], NUMBERS, NO_NUMBERS]))
    members.append(('"amount"', draw(st.sampled_from(numbers))))
    members = draw(st.permutations(members))
    place = draw(st.integers(0, len(members) - 1))
    name, token = members[place]
    match draw(st.sampled_from(["nothing"] * 4 + ["twice", "other", "nested", "escaped", "left out", "renamed"])):
        case "twice":
            members.append((name, draw(st.sampled_from([token, "null", "2"]))))
        case "other":
            members.append(('"note"', draw(st.sampled_from(['"x"', "1", "null", '{"txn_id": "T2"}']))))
        case "nested":
            members[place] = (name, draw(st.sampled_from([f"[{token}]", f'{{"a": {token}}}', "[" * 70 + "]" * 70])))
        case "escaped":
            members[place] = (name.replace("i", "\\u0069"), token.replace("1", "\\u0031"))
        case "left out":
            del members[place]
        case "renamed":
            members[place] = (name.upper(), token)
    comma, colon, space = (
        draw(st.sampled_from(choices)) for choices in ([",", ", ", "\t,\r\n"], [":", ": "], ["", " "])
    )
    text = "{" + space + comma.join(f"{name}{colon}{token}" for name, token in members) + space + "}"
    raw = text.encode("utf-8", "surrogatepass")
    at = draw(st.integers(0, len(raw) - 1))
    match draw(st.sampled_from(["nothing"] * 6 + ["changed", "put in", "cut", "followed", "marked"])):
        case "changed":
            return raw[:at] + draw(st.binary(min_size=1, max_size=1)) + raw[at + 1 :]
        case "put in":
            return raw[:at] + draw(st.sampled_from([b'"', b"\\", b" ", b"\x00", b"\xff", b",", b"0"])) + raw[at:]
        case "cut":
            return raw[:at]
        case "followed":
            return raw + draw(st.sampled_from([b" ", b"\n", b"{}", b"x", raw]))
        case "marked":
            return draw(st.sampled_from([b"\xef\xbb\xbf", b"\x00\x00\x00\x00\x01", b" \n"])) + raw
    return raw


def record(offset: int, value: bytes | None, taken_ms: int = TAKEN_MS) -> BronzeRecord:
    return BronzeRecord("topic-one-------------", 0, offset, TAKEN_MS, taken_ms, value)


def taken(domain: Domain, records: list[BronzeRecord]) -> int:
    """How many of the records are plain; each of these must have the row that `classify` gives."""
    reader = plain_reader(domain)
    assert reader is not None
    values = pa.array([one.value for one in records], pa.binary())
    found = reader.read(values, pa.array([one.taken_ms for one in records], pa.int64()))
    chosen = [one for one, is_taken in zip(records, found.mask.to_pylist(), strict=True) if is_taken]
    rows = pa.table(found.columns).to_pylist() if chosen else []
    assert len(rows) == len(chosen)
    for one, row in zip(chosen, rows, strict=True):
        outcome = classify(domain, one)
        assert isinstance(outcome, Valid), (one, outcome)
        assert described(row) == described(outcome.row), one
    return len(chosen)


def described(row: dict[str, Any]) -> dict[str, tuple[type, str]]:
    """Types and exact values: Decimals that are equal may have other decimals, datetimes other zones."""
    return {
        name: (type(value), str(value.astimezone(UTC) if isinstance(value, datetime) else value))
        for name, value in row.items()
    }


@given(st.lists(spelled(), min_size=1, max_size=8))
@settings(max_examples=700, deadline=None)
def test_what_is_taken_has_the_row_that_classify_gives(values: list[bytes]) -> None:
    taken(TRANSACTIONS, [record(offset, value) for offset, value in enumerate(values)])


@given(st.dictionaries(st.sampled_from(sorted(GOOD["transactions"])), json_values | st.sampled_from(WILD_VALUES)))
@settings(max_examples=700, deadline=None)
def test_wild_values_among_plain_ones(changes: dict[str, Any]) -> None:
    text = json.dumps(GOOD["transactions"] | changes, ensure_ascii=False)
    taken(TRANSACTIONS, [record(0, text.encode("utf-8", "surrogatepass"))])


@given(st.integers(-(2**63), 2**63 - 1) | st.integers(TAKEN_MS - 3 * DAY_MS, TAKEN_MS + 3 * DAY_MS))
@settings(max_examples=500)
def test_whatever_the_clock_said_when_the_record_came(taken_ms: int) -> None:
    taken(TRANSACTIONS, [record(0, json.dumps(GOOD["transactions"]).encode(), taken_ms)])


def test_the_wild_corpus() -> None:
    values = wild_values(TRANSACTIONS, 5_000, ids=100, seed=20261126)
    assert 0 < taken(TRANSACTIONS, [record(offset, value) for offset, value in enumerate(values)]) < len(values)


@pytest.mark.parametrize("order", [1, -1])
def test_plain_records_are_taken_whatever_the_order_of_their_fields(order: int) -> None:
    also = [{field: value} for field, values in ALSO_GOOD["transactions"].items() for value in values]
    # An amount that is a text, and a time with another zone, are for `classify`.
    plain = [change for change in also if not isinstance(change.get("amount"), str) and "+05:00" not in str(change)]
    texts = [
        json.dumps(dict([*(GOOD["transactions"] | change).items()][::order]), ensure_ascii=False) for change in plain
    ]
    records = [record(offset, text.encode()) for offset, text in enumerate(texts)]
    assert taken(TRANSACTIONS, records) == len(plain)


@given(st.lists(st.none() | spelled(), max_size=6))
@settings(max_examples=300, deadline=None)
def test_each_record_has_the_outcome_that_classify_gives(values: list[bytes | None]) -> None:
    records = [record(offset, value) for offset, value in enumerate(values)]
    table = classify_records(records)
    assert table.schema == outcome_schema(TRANSACTIONS)
    by_offset = {row["offset"]: row for row in table.to_pylist()}
    assert sorted(by_offset) == list(range(len(records)))
    for one in records:
        row = by_offset[one.offset]
        assert (row["topic_id"], row["partition"], row["value"]) == (one.topic_id, one.partition, one.value)
        match classify(TRANSACTIONS, one):
            case Valid(columns):
                assert (row[OUTCOME], row["reasons"]) == ("valid", None)
                assert described({name: row[name] for name in columns}) == described(columns)
            case Rejected(reasons):
                assert row[OUTCOME] == "rejected"
                assert json.loads(row["reasons"]) == [reason.as_dict() for reason in reasons]
            case Tombstone():
                assert (row[OUTCOME], row["reasons"]) == ("tombstone", None)


def test_contracts_that_ask_for_more_have_no_such_reader() -> None:
    assert [name for name, domain in DOMAINS.items() if plain_reader(domain)] == ["transactions"]
    (row,) = classify_records([record(0, json.dumps(GOOD["merchants"]).encode())], MERCHANTS).to_pylist()
    assert (row[OUTCOME], row["merchant_id"]) == ("valid", "M1")
