"""A past that is made afterwards: in order, within its bounds, at its rate, with the rhythm of days."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from include.generators.cli import app
from include.generators.pace import MAX_TURN
from include.generators.population import Population
from include.generators.traffic import produce_transactions
from include.generators.transactions import Transaction, TransactionSource

END = datetime(2026, 1, 31, 12, 34, 56, 789_000, tzinfo=UTC)
POPULATION = Population(5, 300, 100)


def source(run_id: str = "run", fraud_share: float = 0.02) -> TransactionSource:
    return TransactionSource(POPULATION, run_id=run_id, fraud_share=fraud_share, clock=lambda: END)


def past(length: timedelta, rate: float, run_id: str = "run") -> list[Transaction]:
    return [one for turn in source(run_id).past(END - length, END, rate) for one in turn]


def times(made: list[Transaction]) -> list[datetime]:
    return [datetime.fromisoformat(one.label["timestamp"]) for one in made]


@given(st.integers(1, 400_000), st.floats(0.001, 0.05), st.floats(0, 0.5))
@settings(max_examples=25, deadline=None)
def test_it_is_in_order_within_its_bounds_and_as_many_as_the_rate_says(
    seconds: int, rate: float, fraud_share: float
) -> None:
    begin = END - timedelta(seconds=seconds)
    turns = list(source(fraud_share=fraud_share).past(begin, END, rate))
    assert all(1 <= len(turn) <= MAX_TURN for turn in turns)
    moments = times([one for turn in turns for one in turn])
    assert len(moments) == round(rate * seconds)
    assert moments == sorted(moments)
    assert all(begin <= moment < END for moment in moments)


def test_a_record_has_its_labels_time() -> None:
    for one in past(timedelta(hours=6), 0.05):
        sent, label = one.record["timestamp"], one.label["timestamp"]
        assert sent == (f"{label[:10]} {label[11:19]}" if one.record["channel"] == "ATM" else label)


def test_the_same_arguments_give_the_same_bytes() -> None:
    assert past(timedelta(days=3), 0.01) == past(timedelta(days=3), 0.01)
    assert past(timedelta(days=3), 0.01) != past(timedelta(days=3), 0.01, run_id="other")


def test_people_sleep_at_night_where_they_live_and_each_has_an_own_rate() -> None:
    zones = {user.user_id: round(user.city.longitude / 15) for user in POPULATION.users}
    hours, users = Counter[int](), Counter[str]()
    for one, moment in zip(made := past(timedelta(days=10), 0.05), times(made := made), strict=True):
        user = one.record["user_id"]
        users[user] += 1
        hours[(moment.hour + zones[user]) % 24] += 1
    assert sum(hours[hour] for hour in (1, 2, 3)) * 5 < sum(hours[hour] for hour in (17, 18, 19))
    active = [user for user in POPULATION.users if user.status == "active"]
    by_activity = sorted(active, key=lambda user: user.habits.activity)
    least, most = by_activity[:30], by_activity[-30:]
    expected = sum(user.habits.activity for user in most) / sum(user.habits.activity for user in least)
    counted = sum(users[user.user_id] for user in most) / sum(users[user.user_id] for user in least)
    assert counted == pytest.approx(expected, rel=0.25)


def test_live_traffic_goes_on_where_the_past_ends() -> None:
    transactions = source()
    ids = [one.label["txn_id"] for turn in transactions.past(END - timedelta(days=1), END, 0.05) for one in turn]
    now = transactions.take(200)
    assert times(now)[-1] == END
    # Only cases that are sent as of the last minutes lie before.
    assert min(times(now)) > END - timedelta(hours=1)
    assert not set(ids) & {one.label["txn_id"] for one in now}


@pytest.mark.parametrize(
    ("rate", "history"), [(None, timedelta(days=1)), (0.0, timedelta(days=1)), (1.0, timedelta(0))]
)
def test_a_past_without_a_rate_or_length_is_refused(rate: float | None, history: timedelta) -> None:
    with pytest.raises(ValueError, match="history needs"):
        produce_transactions({"bootstrap.servers": "127.0.0.1:1"}, rate=rate, history=history)


@pytest.mark.parametrize("length", ["30", "0d", "1w", "-3d", "1.5h", "30 days"])
def test_a_length_that_is_none_is_refused_in_words(length: str) -> None:
    result = CliRunner().invoke(app, ["transactions", "--bootstrap-servers", "127.0.0.1:1", "--history", length])
    assert result.exit_code == 2
    assert "such as 30d or 12h" in " ".join(result.output.replace("│", "").split())
