"""Conditions of rules: what they mean over columns, and what is refused when they are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_DOWN, Context, Decimal
from typing import Any

import pyarrow as pa
import pytest
import sqlglot
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot import exp

from include.fraud.expressions import ConditionError, compile_condition
from include.fraud.terms import Batch
from include.fraud.vocabulary import FEATURE_TYPES, Type, transaction_types

TYPES: Mapping[str, Type] = {
    **transaction_types(),
    "spent": FEATURE_TYPES["number"],
    "payments": FEATURE_TYPES["number"],
    "new": FEATURE_TYPES["boolean"],
}
LISTS = {"merchants": "merchant_id", "cities": "location"}
LISTED = frozenset({"M1", "M3"})
EXACT = Context(prec=200)
MOMENT = datetime(2026, 1, 31, 23, 30, tzinfo=UTC)

rows = st.lists(
    st.fixed_dictionaries(
        {
            "amount": st.decimals("0.0001", "999999999999999.9999", places=4)
            | st.sampled_from([Decimal(5), Decimal(1)]),
            "channel": st.sampled_from(["ATM", "POS", "Online"]),
            "location": st.sampled_from(["Rome", "rome", "Lima", "é", "Ro"]),
            "merchant_id": st.sampled_from(["M1", "M2", "M3"]),
            "merchant.risk_level": st.sampled_from(["Low", "Medium", "High", None]),
            "timestamp": st.integers(0, 10**7).map(lambda seconds: MOMENT + timedelta(seconds=seconds)),
            "spent": st.none()
            | st.decimals(-1000, 1000, places=6)
            | st.just(Decimal("999999999999999999999999.999999")),
            "payments": st.none() | st.integers(0, 6),
            "new": st.sampled_from([True, False, None]),
        }
    ),
    min_size=1,
    max_size=12,
)
ARROW = {
    "amount": pa.decimal128(19, 4),
    "timestamp": pa.timestamp("us", "UTC"),
    "spent": pa.decimal128(30, 6),
    "payments": pa.int64(),
    "new": pa.bool_(),
}

constants = st.sampled_from(["0", "1", "5", "0.5", "3", "22", "-2", "1000.000001"])
numbers = st.recursive(
    st.sampled_from(["amount", "spent", "payments", "hour", "weekday", "length(location)"]) | constants,
    lambda some: st.one_of(
        st.tuples(some, st.sampled_from("+-*/"), some).map(lambda parts: f"({' '.join(parts)})"),
        st.tuples(some, some).map(lambda pair: f"coalesce({pair[0]}, {pair[1]})"),
        some.map(lambda one: f"abs({one})"),
        some.map(lambda one: f"(- {one})"),
    ),
    max_leaves=3,
)
texts = st.recursive(
    st.sampled_from(["channel", "location", "merchant.risk_level", "'Rome'", "'ATM'", "'High'", "'lima'", "''"]),
    lambda some: st.one_of(
        some.map(lambda one: f"lower({one})"),
        some.map(lambda one: f"upper({one})"),
        st.tuples(some, some).map(lambda pair: f"coalesce({pair[0]}, {pair[1]})"),
    ),
    max_leaves=2,
)
operators = st.sampled_from(["=", "<>", "<", "<=", ">", ">="])
questions = st.one_of(
    st.tuples(numbers, operators, numbers).map(" ".join),
    st.tuples(texts, operators, texts).map(" ".join),
    st.tuples(numbers, numbers, numbers).map(lambda three: f"{three[0]} between {three[1]} and {three[2]}"),
    st.tuples(numbers, constants, constants).map(lambda three: f"{three[0]} in ({three[1]}, {three[2]})"),
    st.tuples(texts, st.sampled_from(["'Rome'", "'ATM'", "'Low'"])).map(lambda two: f"{two[0]} not in ({two[1]})"),
    st.one_of(numbers, texts).map(lambda one: f"{one} is null"),
    st.one_of(numbers, texts).map(lambda one: f"{one} is not null"),
    texts.map(lambda one: f"starts_with({one}, 'Ro')"),
    st.sampled_from(["new", "new = false", "coalesce(new, true)", "listed(merchant_id, 'merchants')"]),
)
conditions = st.recursive(
    questions,
    lambda some: st.one_of(
        st.tuples(some, st.sampled_from(["and", "or"]), some).map(lambda three: f"({' '.join(three)})"),
        some.map(lambda one: f"not ({one})"),
    ),
    max_leaves=4,
)


def columns(some: list[dict[str, Any]]) -> dict[str, pa.Array]:
    return {name: pa.array([row[name] for row in some], ARROW.get(name, pa.string())) for name in some[0]}


def batch(some: list[dict[str, Any]]) -> Batch:
    return Batch(columns(some), lambda _, values: pa.array([value in LISTED for value in values.to_pylist()]))


@given(conditions, rows)
@settings(max_examples=300, deadline=None)
def test_a_condition_says_of_columns_what_it_says_of_each_row(text: str, some: list[dict[str, Any]]) -> None:
    tree = sqlglot.parse_one(text)
    expected = [answer(tree, row) for row in some]
    try:
        condition = compile_condition(text, TYPES, LISTS)
    except ConditionError as refused:
        if str(refused).startswith(tree.sql()) and "can never hold" in str(refused):
            assert True not in expected
        if str(refused).startswith(tree.sql()) and "always holds" in str(refused):
            assert set(expected) == {True}
        return
    assert condition.holds(batch(some)).to_pylist() == expected


def answer(node: exp.Expr, row: Mapping[str, Any]) -> Any:
    """What the part of a condition is for one row: a plain interpreter, for numbers Decimal, None where not known."""
    if isinstance(node, exp.And | exp.Or):
        decisive = isinstance(node, exp.Or)
        both = answer(node.left, row), answer(node.right, row)
        return decisive if decisive in both else None if None in both else not decisive
    if isinstance(node, exp.Is):
        return answer(node.this, row) is None
    if isinstance(node, exp.Coalesce):
        return next((found for one in (node.this, *node.expressions) if (found := answer(one, row)) is not None), None)
    if isinstance(node, exp.Column):
        name = f"{node.table}.{node.name}" if node.table else node.name
        derived = {"hour": row["timestamp"].hour, "weekday": row["timestamp"].isoweekday()}
        found = derived.get(name, row.get(name))
        return Decimal(found) if isinstance(found, int) and not isinstance(found, bool) else found
    if isinstance(node, exp.Literal):
        return node.this if node.is_string else Decimal(node.this)
    if isinstance(node, exp.Boolean):
        return node.this
    if isinstance(node, exp.Anonymous):
        return row["merchant_id"] in LISTED
    parts = [
        answer(part, row)
        for value in node.args.values()
        for part in (value if isinstance(value, list) else [value])
        if isinstance(part, exp.Expr)
    ]
    if isinstance(node, exp.Between):
        value, low, high = parts
        above = None if None in (value, low) else value >= low
        below = None if None in (value, high) else value <= high
        return False if False in (above, below) else None if None in (above, below) else True
    return None if None in parts else of_values(node, parts)


def of_values(node: exp.Expr, parts: list[Any]) -> Any:
    first, second = parts[0], parts[-1]
    plain: Mapping[type[exp.Expr], Callable[[], Any]] = {
        exp.Paren: lambda: first,
        exp.Not: lambda: not first,
        exp.Neg: lambda: EXACT.minus(first),
        exp.Abs: lambda: EXACT.abs(first),
        exp.Lower: lambda: first.lower(),
        exp.Upper: lambda: first.upper(),
        exp.Length: lambda: Decimal(len(first)),
        exp.StartsWith: lambda: first.startswith(second),
        exp.In: lambda: first in parts[1:],
        exp.EQ: lambda: first == second,
        exp.NEQ: lambda: first != second,
        exp.LT: lambda: first < second,
        exp.LTE: lambda: first <= second,
        exp.GT: lambda: first > second,
        exp.GTE: lambda: first >= second,
        exp.Add: lambda: EXACT.add(first, second),
        exp.Sub: lambda: EXACT.subtract(first, second),
        exp.Mul: lambda: EXACT.multiply(first, second),
        exp.Div: lambda: quotient(first, second),
    }
    return plain[type(node)]()


def quotient(dividend: Decimal, divisor: Decimal) -> Decimal | None:
    if not divisor:
        return None
    return EXACT.divide(dividend, divisor).quantize(Decimal("0.000001"), ROUND_DOWN, EXACT)


def holds(text: str, **values: Any) -> bool | None:
    row = {"amount": Decimal(10), "timestamp": MOMENT, "new": None, "spent": None, "channel": "POS"} | values
    return compile_condition(text, TYPES).holds(columns([row])).to_pylist()[0]  # type: ignore[no-any-return]


def test_amounts_are_exact() -> None:
    assert holds("amount > 999999999999999.9998", amount=Decimal("999999999999999.9999"))
    assert not holds("amount > 999999999999999.99989999999", amount=Decimal("999999999999999.9998"))
    assert holds("amount * amount = 0.00000001", amount=Decimal("0.0001"))


def test_a_quotient_has_six_decimals_and_none_by_zero() -> None:
    assert holds("amount / 3 = 3.333333")
    assert holds("-amount / 3 = -3.333333")
    assert holds("amount / spent > 1", spent=Decimal(0)) is None


def test_what_is_missing_is_neither_true_nor_false() -> None:
    assert holds("spent > 1") is None
    assert holds("not spent > 1") is None
    assert holds("spent > 1 or channel = 'POS'") is True
    assert holds("spent > 1 and channel = 'ATM'") is False


def test_hour_and_weekday_are_of_the_timestamp() -> None:
    assert holds("hour = 23 and weekday = 6")
    assert not holds("hour between 0 and 5")


def test_dates_and_timestamps_are_compared_with_texts() -> None:
    assert holds("timestamp >= '2026-01-31T23:30:00Z'")
    assert not holds("timestamp > '2026-02-01T00:30:00+01:00'")
    day = pa.array([date(2026, 1, 31)])
    assert compile_condition("date = '2026-01-31'", TYPES).holds({"date": day}).to_pylist() == [True]


def test_parameters_are_constants() -> None:
    condition = compile_condition("amount > limit", TYPES, parameters={"limit": Decimal(10), "other": "x"})
    assert condition.names == {"amount"}
    assert condition.parameters == {"limit"}
    assert condition.holds(columns([{"amount": Decimal("10.0001")}, {"amount": Decimal(10)}])).to_pylist() == [
        True,
        False,
    ]


def test_what_conditions_share_is_computed_once() -> None:
    asked: list[str] = []

    def has(name: str, values: pa.Array) -> pa.BooleanArray:
        asked.append(name)
        return pa.array([True] * len(values))

    shared = Batch(columns([{"merchant_id": "M1", "new": True}]), has)
    for text in ("listed(merchant_id, 'merchants')", "new and listed(merchant_id, 'merchants')"):
        assert compile_condition(text, TYPES, LISTS).holds(shared).to_pylist() == [True]
    assert asked == ["merchants"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("amont > 5", r"amont \(character 1\): there is no name amont; near it: amount"),
        (
            "channel = 'ATM' and merchant.risk = 'High'",
            r"character 21.*no name merchant.risk; near it: merchant.risk_level",
        ),
        ('channel = "Online"', "a text stands in single quotes"),
        ("amount > 'x'", "> compares number with text"),
        ("channel = 5", "= compares text with number"),
        ("new > true", "booleans, which have no order"),
        ("amount + channel > 5", r"\+ takes two numbers, not number and text"),
        ("lower(amount) = 'x'", "lower takes a text, not a number"),
        ("coalesce(spent, 'x') = 'x'", "coalesce mixes number and text"),
        ("amount", "is a number, not a condition"),
        ("new and amount", "amount .* is a number, not a condition"),
        ("timestamp > 'yesterday'", "'yesterday' is no timestamp in ISO 8601"),
        ("spent = null", "nothing compares with null"),
        ("new is true", "is asks for null alone"),
        ("channel in (location)", "constants alone"),
        ("listed(user_id, 'merchants')", "the list merchants has values of merchant_id, not of user_id"),
        ("listed(merchant_id, 'merchant')", "no list merchant; near it: merchants"),
        ("listed(merchant_id)", "a name and a list"),
        ("spent * spent * spent > 1", "92 digits, 76 are the most"),
        ("amount > 1e400", "401 digits"),
        ("amount >", "no expression"),
        ("amount @ 5", "not part of the language"),
        ("", "no expression"),
        ("'", "no expression"),
        ("(" * 2000 + "new" + ")" * 2000, "nested too deep"),
        ("new or " * 1000 + "new", "more than 5000 characters"),
        ("amount > 5; drop table users", "not part of the language"),
        ("__import__('os') = 'x'", "no function __import__"),
        ("sqrt(amount) > 5", "no function sqrt"),
        ("channel like 'A%'", "like is not part of the language"),
        ("amount in (select 1)", "in with query"),
        ("case when new then true end", "no function case"),
        ("amount::int > 5", "no function cast"),
    ],
)
def test_what_is_no_condition_is_refused_with_its_place(text: str, complaint: str) -> None:
    with pytest.raises(ConditionError, match=complaint):
        compile_condition(text, TYPES, LISTS)


@pytest.mark.parametrize(
    "text",
    [
        "1 = 2",
        "amount > 5 and amount < 3",
        "amount < 0",
        "amount between 5 and 3",
        "channel = 'ATM' and channel = 'POS'",
        "channel = 'Fax'",
        "new or channel = 'Fax'",
        "not (amount <= 5 or not new) and amount < 3",
        "(channel = 'ATM' or channel = 'POS') and channel = 'Online'",
        "(amount < 3 or amount > 9) and amount between 4 and 8",
        "hour = 24",
        "hour + 1 > 24",
        "weekday < 1",
        "month > 12",
        "lower(channel) = 'ATM'",
        "starts_with(channel, 'X')",
        "user_id = 'M1'",
        "amount is null",
        "spent is null and spent > 5",
        "new and not new",
        "spent > payments and payments > spent",
        "spent <> spent",
        "length(location) < 0",
        "listed(merchant_id, 'merchants') and not listed(merchant_id, 'merchants')",
    ],
)
def test_a_condition_that_can_never_hold_is_refused(text: str) -> None:
    with pytest.raises(ConditionError, match="can never hold"):
        compile_condition(text, TYPES, LISTS)


@pytest.mark.parametrize(
    "text",
    [
        "true",
        "amount > 0",
        "amount is not null",
        "amount > 5 or amount <= 5",
        "channel in ('ATM', 'POS', 'Online')",
        "hour between 0 and 23",
        "abs(amount) >= 0",
        "spent is null or spent > 5 or spent <= 5",
        "new and amount > -1",
        "new and not (channel <> 'Fax')",
        "not (amount <= 5 or amount >= 3)",
    ],
)
def test_a_condition_that_always_holds_is_refused(text: str) -> None:
    with pytest.raises(ConditionError, match="always holds"):
        compile_condition(text, TYPES, LISTS)


@pytest.mark.parametrize(
    "text",
    [
        "spent > 5 or spent <= 5",  # says that it is known
        "(channel = 'ATM' or amount > 5) and (channel = 'POS' or amount > 10)",
        "hour between 0 and 5",
        "abs(spent) >= 0",
        "amount > 5 -- a comment",
        " and ".join(f"(spent <> {number} or payments <> {number})" for number in range(40)),
    ],
)
def test_a_condition_that_may_hold_and_may_not_is_taken(text: str) -> None:
    compile_condition(text, TYPES, LISTS)
