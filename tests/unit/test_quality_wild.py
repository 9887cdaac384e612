"""Whatever the bytes are, a record is exactly one of the three, always the same one, and its columns can be stored."""

from __future__ import annotations

import json
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction

from hypothesis import example, given, settings
from hypothesis import strategies as st

from include.domains import ACCOUNTS, DOMAINS, TRANSACTIONS, Domain
from include.lake.records import BronzeRecord
from include.quality import Outcome, Rejected, Tombstone, Valid, classify
from include.quality.values import MAX_NUMBER_CHARACTERS
from tests.support.records import GOOD
from tests.support.wild import ALSO_GOOD, json_values

KAFKA_TIME_MS = 1_769_904_000_000
domains = st.sampled_from(sorted(DOMAINS.values(), key=lambda domain: domain.name))


@st.composite
def nearly_good(draw: st.DrawFn) -> tuple[Domain, bytes]:
    domain = draw(domains)
    fields = [field.name for field in domain.contract.record]
    changes = draw(st.dictionaries(st.sampled_from(fields) | st.text(), json_values, max_size=3))
    left_out = draw(st.sets(st.sampled_from(fields), max_size=1))
    members = {key: value for key, value in {**GOOD[domain.name], **changes}.items() if key not in left_out}
    return domain, json.dumps(members, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")


def outcome_of(domain: Domain, value: bytes | None) -> Outcome:
    return classify(domain, BronzeRecord("topic", 0, 0, KAFKA_TIME_MS, KAFKA_TIME_MS, value))


def check(domain: Domain, value: bytes | None) -> None:
    outcome = outcome_of(domain, value)
    assert outcome == outcome_of(domain, value)
    match outcome:
        case Valid(row):
            check_storable(domain, row)
        case Rejected(found):
            assert found
            assert all(reason.code and reason.message.isprintable() for reason in found)
            json.dumps([reason.as_dict() for reason in found], ensure_ascii=False).encode("utf-8")
        case Tombstone():
            assert value is None


def check_storable(domain: Domain, row: dict[str, object]) -> None:
    types = {"string": str, "integer": int, "number": Decimal, "date": date, "time": str, "timestamp": datetime}
    assert list(row) == [column.name for column in domain.contract.columns]
    for column in domain.contract.columns:
        value = row[column.name]
        if value is None:
            assert not column.required
            continue
        assert type(value) is types[column.logical_type]
        if isinstance(value, str):
            assert value == " ".join(value.split())
            assert "\x00" not in value
            value.encode("utf-8")
        if isinstance(value, Decimal):
            assert value.as_tuple().exponent == -4
            assert abs(value) < 10**15
            assert value or not value.is_signed()


@given(domains, st.none() | st.binary())
@settings(max_examples=500)
def test_arbitrary_bytes(domain: Domain, value: bytes | None) -> None:
    check(domain, value)


@given(domains, json_values)
@settings(max_examples=300)
def test_arbitrary_json(domain: Domain, value: object) -> None:
    check(domain, json.dumps(value).encode())


@given(nearly_good())
@settings(max_examples=1500, deadline=None)
def test_good_records_with_a_few_wild_values(case: tuple[Domain, bytes]) -> None:
    check(*case)


def test_the_good_records_are_good() -> None:
    for domain in DOMAINS.values():
        assert isinstance(outcome_of(domain, json.dumps(GOOD[domain.name]).encode()), Valid)
        for field, values in ALSO_GOOD[domain.name].items():
            for value in values:
                also = json.dumps(GOOD[domain.name] | {field: value}).encode()
                assert isinstance(outcome_of(domain, also), Valid), also


numbers = st.from_regex(r"-?(0|[1-9][0-9]{0,45})(\.[0-9]{1,45})?([eE][+-]?[0-9]{1,30})?", fullmatch=True)


@given(numbers)
@example("1e400")
@example("1" * 40)
@example("0.00004")
@example("1E000000")
@settings(max_examples=1000)
def test_a_number_is_taken_exactly_or_not_at_all(number: str) -> None:
    text = json.dumps(GOOD["accounts"]).replace('"current_balance": 1', f'"current_balance": {number}')
    outcome = outcome_of(ACCOUNTS, text.encode())
    exponent = int(number.lower().partition("e")[2] or 0)
    if abs(exponent) > 9_999:  # beyond what Fraction can hold: only zero is money
        assert isinstance(outcome, Rejected) or (isinstance(outcome, Valid) and outcome.row["current_balance"] == 0)
        return
    exact = Fraction(number)
    if isinstance(outcome, Valid):
        assert Fraction(outcome.row["current_balance"]) == exact
    else:
        too_long = len(number) > MAX_NUMBER_CHARACTERS
        assert too_long or abs(exact) >= 10**15 or (exact * 10_000).denominator != 1


wild_bytes = (
    st.none()
    | st.binary()
    | st.binary().map(lambda payload: b"\x00" + payload)
    | json_values.map(lambda value: json.dumps(value).encode())
    | st.fixed_dictionaries({"schema": json_values, "payload": json_values}).map(
        lambda value: json.dumps(value).encode()
    )
    | st.fixed_dictionaries({"op": st.just("u"), "after": json_values}).map(lambda value: json.dumps(value).encode())
    | nearly_good().map(lambda case: case[1])
)
signed_64_bits = st.integers(min_value=-(2**63), max_value=2**63 - 1)


@given(domains, wild_bytes, signed_64_bits, st.integers(0, 2**31 - 1), signed_64_bits)
@example(TRANSACTIONS, json.dumps(GOOD["transactions"]).encode(), -62135596800001, 0, 0)
@settings(max_examples=1000, deadline=None)
def test_no_record_makes_it_raise(
    domain: Domain, value: bytes | None, timestamp_ms: int, partition: int, offset: int
) -> None:
    outcome = classify(domain, BronzeRecord("topic", partition, offset, timestamp_ms, KAFKA_TIME_MS, value))
    assert isinstance(outcome, Valid | Rejected | Tombstone)


@given(signed_64_bits, st.datetimes().map(str))
def test_any_kafka_timestamp(timestamp_ms: int, moment: str) -> None:
    value = json.dumps({**GOOD["transactions"], "timestamp": moment}).encode()
    assert isinstance(
        classify(TRANSACTIONS, BronzeRecord("topic", 0, 0, timestamp_ms, KAFKA_TIME_MS, value)), Valid | Rejected
    )
