"""What becomes of each kind of record: the wild ones that real topics hold, one by one."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from include.domains import ACCOUNTS, MERCHANTS, PROFILES, TRANSACTIONS, Domain
from include.lake.records import BronzeRecord
from include.quality import Outcome, Rejected, Tombstone, Valid, classify
from tests.support.records import GOOD, good

KAFKA_TIME = datetime(2026, 2, 1, tzinfo=UTC)
TRANSACTION = good(TRANSACTIONS, txn_id="T000001", user_id="U0001", amount=12.5, merchant_id="M0001", channel="POS")
PROFILE = good(
    PROFILES,
    user_id="U0001",
    name="Dr. Ana Maria Silva",
    country="u.s.a.",
    credit_score=712,
    timestamp="2026-01-31T13:45:00Z",
)


def record(value: bytes | None) -> BronzeRecord:
    return BronzeRecord("topic", 0, 7, -1, int(KAFKA_TIME.timestamp() * 1000), value)


def of_json(text: str, domain: Domain = TRANSACTIONS) -> Outcome:
    return classify(domain, record(text.encode()))


def of(members: dict[str, Any], domain: Domain = TRANSACTIONS) -> Outcome:
    return of_json(json.dumps(members), domain)


def transaction(**changes: Any) -> Outcome:
    return of({**TRANSACTION, **changes})


def with_text(field: str, text: str) -> Outcome:
    """The transaction with ``text`` written into it as it is, as JSON that Python would never write."""
    return of_json(json.dumps({**TRANSACTION, field: "@@"}).replace('"@@"', text))


def reasons(outcome: Outcome) -> set[tuple[str | None, str]]:
    assert isinstance(outcome, Rejected), outcome
    return {(reason.field, reason.code) for reason in outcome.reasons}


def test_a_transaction_with_only_the_required_fields_is_valid() -> None:
    outcome = transaction()
    assert outcome == Valid(
        {
            "txn_id": "T000001",
            "user_id": "U0001",
            "amount": Decimal("12.5000"),
            "merchant_id": "M0001",
            "channel": "POS",
            "location": "Berlin",
            "timestamp": datetime(2026, 1, 31, 13, 45, tzinfo=UTC),
            "date": date(2026, 1, 31),
            "time": "13:45:00",
            "month": 1,
            "year": 2026,
        }
    )
    assert isinstance(outcome, Valid)
    assert str(outcome.row["amount"]) == "12.5000"


def test_a_profile_gets_its_columns_in_the_order_of_the_table() -> None:
    outcome = of(PROFILE, PROFILES)
    assert isinstance(outcome, Valid)
    assert list(outcome.row) == [column.name for column in PROFILES.contract.columns]
    assert outcome.row | {"timestamp": None} == {
        "user_id": "U0001",
        "name": "Dr. Ana Maria Silva",
        "title": "Dr.",
        "first_name": "Ana Maria",
        "last_name": "Silva",
        "suffix": None,
        "email": None,
        "city": None,
        "country_code": "US",
        "country": "United States",
        "account_type": "Savings",
        "credit_score": 712,
        "status": "active",
        "timestamp": None,
        "date": date(2026, 1, 31),
        "time": "13:45:00",
        "month": 1,
        "year": 2026,
    }


def test_a_null_value_is_a_tombstone_and_nothing_else_is() -> None:
    assert classify(TRANSACTIONS, record(None)) == Tombstone()
    assert isinstance(classify(TRANSACTIONS, record(b"null")), Rejected)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (b"", "empty"),
        (b" \n ", "empty"),
        (b"\xff\xfe{}", "not_utf8"),
        (json.dumps(TRANSACTION).encode("utf-16"), "not_utf8"),
        (b"\xef\xbb\xbf{}", "not_json"),
        (b"T000001,U0001,12.5", "not_json"),
        (b"{'txn_id': 'T1'}", "not_json"),
        (b'{"txn_id": "T1",}', "not_json"),
        (b'{"txn_id": "T\x001"}', "not_json"),
        (b'{"a": NaN}', "not_json"),
        (b'{"a": -Infinity}', "not_json"),
        (b'{"a": 01}', "not_json"),
        (b'{"a": +1}', "not_json"),
        (b'{"a": .5}', "not_json"),
        (b"{} {}", "extra_data"),
        (b'{"txn_id": "T1"}\n{"txn_id": "T2"}', "extra_data"),
        (b"[]", "not_an_object"),
        (b'"T000001"', "not_an_object"),
        (b"12", "not_an_object"),
        (b"null", "not_an_object"),
        (b'{"a": 1, "b": 2, "a": 1}', "duplicate_key"),
        (b'{"a": {"b": 1, "\\u0062": 2}}', "duplicate_key"),
        (b'{"a": ' + b"[" * 100 + b"]" * 100 + b"}", "too_deep"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "too_deep"),
        (b"[" * 1_000_000, "too_deep"),
        (b'{"a": [' + b"1," * 500_000 + b"1]}", "too_many_values"),
        (b'{"a": [' + b"{}," * 300_000 + b"1]}", "too_many_values"),
        (b'{"a": "' + b'\\"[' * 100_000, "not_json"),
    ],
)
def test_what_is_no_json_object_is_rejected_as_a_whole(value: bytes, code: str) -> None:
    assert reasons(classify(TRANSACTIONS, record(value))) == {(None, code)}


def test_brackets_in_strings_are_no_depth() -> None:
    assert isinstance(transaction(note='[{"' * 1000), Valid)


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("12", "12.0000"),
        ("0.0001", "0.0001"),
        ("1e2", "100.0000"),
        ("1.50000000", "1.5000"),
        ("999999999999999.9999", "999999999999999.9999"),
        ('"30000.01"', "30000.0100"),
        ('" 7 "', "7.0000"),
        ('"+7"', "7.0000"),
    ],
)
def test_money_keeps_every_digit(text: str, amount: str) -> None:
    outcome = with_text("amount", text)
    assert isinstance(outcome, Valid)
    assert str(outcome.row["amount"]) == amount


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("-5", "out_of_range"),
        ("0", "out_of_range"),
        ("-0.0", "out_of_range"),
        ("0e999999", "out_of_range"),
        ("1e400", "out_of_range"),
        ("1e99999999999999999999999", "out_of_range"),
        ("1e-99999999999999999999999", "out_of_range"),
        ("1e-400", "too_precise"),
        ("0.00001", "too_precise"),
        ("1000000000000000", "out_of_range"),
        ("1234567890123456789012345678901234567890", "out_of_range"),
        ("1" * 5000, "out_of_range"),
        ('"NaN"', "wrong_type"),
        ('"1e3"', "wrong_type"),
        ('"1,000.00"', "wrong_type"),
        ('"12 EUR"', "wrong_type"),
        ('"٣"', "wrong_type"),
        ('""', "missing"),
        ("null", "missing"),
        ("true", "wrong_type"),
        ("[12]", "wrong_type"),
        ('{"value": 12}', "wrong_type"),
    ],
)
def test_money_that_is_none_is_rejected(text: str, code: str) -> None:
    assert reasons(with_text("amount", text)) == {("amount", code)}


def test_a_balance_may_be_zero_or_negative_but_never_minus_zero() -> None:
    account = {"account_id": "A1", "user_id": "U1", "currency": "eur", "last_updated": "2026-01-31T13:45:00Z"}
    balances = []
    for balance in ("-12.30", "0", "-0.0"):
        outcome = of({**account, "current_balance": balance}, ACCOUNTS)
        assert isinstance(outcome, Valid)
        balances.append((str(outcome.row["current_balance"]), outcome.row["currency"]))
    assert balances == [("-12.3000", "EUR"), ("0.0000", "EUR"), ("0.0000", "EUR")]


@pytest.mark.parametrize("score", ["712.0", "7.12e2", '"712"', "true", "[]"])
def test_an_integer_is_a_json_integer(score: str) -> None:
    text = json.dumps({**PROFILE, "credit_score": "@@"}).replace('"@@"', score)
    assert reasons(of_json(text, PROFILES)) == {("credit_score", "wrong_type")}


@pytest.mark.parametrize("score", [299, 851, -700, 10**40, int("7" * 4000)])
def test_an_integer_stays_in_its_range(score: int) -> None:
    assert reasons(of({**PROFILE, "credit_score": score}, PROFILES)) == {("credit_score", "out_of_range")}


@pytest.mark.parametrize(
    ("timestamp", "code"),
    [
        ("2026-02-30 10:00:00", "bad_timestamp"),
        ("2025-02-29T10:00:00Z", "bad_timestamp"),
        ("0000-01-01 00:00:00", "bad_timestamp"),
        ("2026-01-31 24:00:00", "bad_timestamp"),
        ("2026-01-31 23:59:60", "bad_timestamp"),
        ("2026-01-31", "bad_timestamp"),
        ("31.01.2026 10:00", "bad_timestamp"),
        ("yesterday", "bad_timestamp"),
        ("٢٠٢٦-01-31 10:00:00", "bad_timestamp"),
        ("2026-01-31T10:00:00+25:00", "bad_timestamp"),
        ("0001-01-01T00:00:00+10:00", "bad_timestamp"),
        ("9999-12-31T23:59:59-10:00", "bad_timestamp"),
        ("0001-01-01 00:00:00", "out_of_range"),
        ("1899-12-31 23:59:59", "out_of_range"),
        ("2026-02-02 00:00:01", "in_the_future"),
        ("9999-12-31 23:59:59", "in_the_future"),
        (1769866400, "wrong_type"),
        ("", "bad_timestamp"),
    ],
)
def test_timestamps_that_are_none_are_rejected(timestamp: object, code: str) -> None:
    assert reasons(transaction(timestamp=timestamp)) == {("timestamp", code)}


def test_late_is_not_wrong() -> None:
    for timestamp in ("2026-01-24 13:45:00", "2025-01-31 13:45:00", "1900-01-01 00:00:00", "2026-02-02 00:00:00"):
        assert isinstance(transaction(timestamp=timestamp), Valid)


@pytest.mark.parametrize(
    "timestamp_ms", [-1, 0, 1_769_904_000, -(2**63), 2**63 - 1, 253_402_300_799_999, -62_135_596_800_001]
)
def test_a_producers_clock_decides_nothing(timestamp_ms: int) -> None:
    taken_ms = int(KAFKA_TIME.timestamp() * 1000)
    good = BronzeRecord("topic", 0, 7, timestamp_ms, taken_ms, json.dumps(TRANSACTION).encode())
    assert isinstance(classify(TRANSACTIONS, good), Valid)
    too_late = json.dumps({**TRANSACTION, "timestamp": "9999-12-31 23:59:59"}).encode()
    outcome = classify(TRANSACTIONS, BronzeRecord("topic", 0, 7, timestamp_ms, taken_ms, too_late))
    assert isinstance(outcome, Rejected)
    assert [reason.code for reason in outcome.reasons] == ["in_the_future"]


def test_missing_null_and_blank_required_fields_are_all_named() -> None:
    assert reasons(of({})) == {(field.name, "missing") for field in TRANSACTIONS.contract.record}
    outcome = transaction(user_id=None, merchant_id="  ", location="\t\n", amount=-1)
    assert reasons(outcome) == {
        ("user_id", "missing"),
        ("merchant_id", "missing"),
        ("location", "missing"),
        ("amount", "out_of_range"),
    }


def test_unknown_fields_are_tolerated_whatever_is_in_them() -> None:
    text = json.dumps(TRANSACTION)[:-1] + ', "extra": [1e999999999999, {"": "\\ud800\\u0000"}], "": null}'
    assert of_json(text) == transaction()


def test_an_optional_field_may_be_absent_or_null_but_not_wrong() -> None:
    assert of({**PROFILE, "email": None, "city": None}, PROFILES) == of(PROFILE, PROFILES)
    outcome = of({**PROFILE, "email": "not an address", "city": 5}, PROFILES)
    assert reasons(outcome) == {("email", "pattern"), ("city", "wrong_type")}


@pytest.mark.parametrize("identity", ["", "X1", "T", "t1", "T 1", "T1;", "T" + "1" * 64, "T1\u0661", "\u04221"])
def test_invalid_ids_are_rejected(identity: str) -> None:
    assert {field for field, _ in reasons(transaction(txn_id=identity))} == {"txn_id"}


def test_spaces_are_trimmed_and_collapsed_and_enumerations_written_one_way() -> None:
    outcome = transaction(txn_id=" T000001\n", channel=" oNLINE ", location="\u00a0New \t\r\n York\u3000")
    assert isinstance(outcome, Valid)
    assert (outcome.row["txn_id"], outcome.row["channel"]) == ("T000001", "Online")
    assert outcome.row["location"] == "New York"


@pytest.mark.parametrize(
    "location",
    ["a\u0000b", "\u0007", "a\u001cb", "\u007f", "a\u0090b", "\ud800", "\udfff\ud800", "safe\u202egnp.exe", "\u2066x"],
)
def test_control_characters_halves_and_overrides_are_rejected(location: str) -> None:
    assert reasons(transaction(location=location)) == {("location", "forbidden_character")}


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("Teh\u200bran", "Tehran"),
        ("Tehran\u200e", "Tehran"),
        ("\ufeffTehran", "Tehran"),
        ("New \u200b York", "New York"),
        ("Sa\u0303o Paulo", "S\u00e3o Paulo"),
        ("\u1112\u1161\u11ab", "\ud55c"),
        ("Sana\u2019a", "Sana\u2019a"),
    ],
)
def test_text_is_written_composed_and_without_what_cannot_be_seen(written: str, kept: str) -> None:
    outcome = transaction(location=written)
    assert isinstance(outcome, Valid)
    assert outcome.row["location"] == kept


def test_lengths_count_after_cleaning() -> None:
    # 300 characters of which 100 are left, and 100 spaces around them.
    outcome = transaction(location=" " * 50 + "\u1112\u1161\u11ab" * 100 + "\u200b" * 50)
    assert isinstance(outcome, Valid)
    assert outcome.row["location"] == "\ud55c" * 100
    assert reasons(transaction(location="\u1112\u1161\u11ab" * 101)) == {("location", "too_long")}
    assert reasons(transaction(location="\u200b" * 300)) == {("location", "missing")}
    assert reasons(transaction(location=" " * 20_000 + "Berlin")) == {("location", "too_long")}


@pytest.mark.parametrize("text", ["N/A", "n.a.", "-", "--", "?", "null", "None", "unknown", "TBD", "XX", "test", "NA"])
def test_a_placeholder_is_a_missing_value(text: str) -> None:
    assert reasons(transaction(location=text)) == {("location", "placeholder")}
    assert reasons(of({**PROFILE, "name": text}, PROFILES)) == {("name", "placeholder")}
    merchant = GOOD["merchants"] | {"merchant_name": text}
    assert reasons(of(merchant, MERCHANTS)) == {("merchant_name", "placeholder")}
    # Optional: as if it were not there.
    assert of({**PROFILE, "city": text, "email": text}, PROFILES) == of(PROFILE, PROFILES)
    assert of({**GOOD["merchants"], "city": text}, MERCHANTS) == of(GOOD["merchants"], MERCHANTS)
    if text != "NA":
        assert reasons(of({**PROFILE, "country": text}, PROFILES)) == {("country", "unknown_country")}


def test_the_code_of_namibia_is_no_placeholder() -> None:
    outcome = of({**PROFILE, "country": " na "}, PROFILES)
    assert isinstance(outcome, Valid)
    assert outcome.row["country_code"] == "NA"


def test_a_blank_optional_text_is_as_if_it_were_not_there() -> None:
    assert of({**PROFILE, "city": " \u200b"}, PROFILES) == of(PROFILE, PROFILES)


def test_a_name_that_holds_a_placeholders_word_is_kept() -> None:
    for name in ("Jennifer Null", "Test User", "Nil Young", "Na Young-hoon"):
        outcome = of({**PROFILE, "name": name}, PROFILES)
        assert isinstance(outcome, Valid)
        assert outcome.row["name"] == name


@pytest.mark.parametrize(
    "location",
    [
        "القاهرة",
        "תל אביב",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        "Robert'); DROP TABLE transactions;--",
        "<script>alert(1)</script>",
        "\\x27 %s {0} ${jndi:ldap://x}",
        "\U0001f4b8",
        "x" * 100,
    ],
)
def test_text_that_only_looks_dangerous_is_kept_as_it_is(location: str) -> None:
    outcome = transaction(location=location)
    assert isinstance(outcome, Valid)
    assert outcome.row["location"] == location


def test_a_megabyte_is_read_and_judged() -> None:
    outcome = transaction(location="x" * 1_000_000, note="y" * 1_000_000)
    assert reasons(outcome) == {("location", "too_long")}
    assert isinstance(transaction(note="y" * 1_000_000), Valid)


def test_messages_print_on_one_line_and_fit_a_json_column() -> None:
    outcome = transaction(channel="a\u0085b" + "x" * 500, user_id="U\u200f1")
    assert isinstance(outcome, Rejected)
    for reason in outcome.reasons:
        assert reason.message.isprintable()
        assert len(reason.message) < 300


def test_unknown_countries_and_currencies_are_rejected() -> None:
    assert reasons(of({**PROFILE, "country": "Atlantis"}, PROFILES)) == {("country", "unknown_country")}
    account = {"account_id": "A1", "user_id": "U1", "current_balance": 1, "last_updated": "2026-01-31T13:45:00Z"}
    assert reasons(of({**account, "currency": "XYZ"}, ACCOUNTS)) == {("currency", "unknown_currency")}
    assert reasons(of({**account, "currency": "EURO"}, ACCOUNTS)) == {("currency", "too_long")}
