"""What people see of the fraud stream: one line per fraud that nobody can forge, and a progress line now and then."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.fraud.console import PREFIX, fraud_line, printable
from include.fraud.ledger import Counts
from include.fraud.progress import Progress


def row(**changes: Any) -> dict[str, Any]:
    plain = {
        "timestamp": datetime(2026, 1, 31, 13, 45, tzinfo=UTC),
        "txn_id": "T0001",
        "user_id": "U0001",
        "amount": Decimal("45000.0000"),
        "merchant_id": "M0666",
        "channel": "Online",
        "location": "Tehran",
        "evidence": [
            {"rule": "high_online_amount", "message": "online amount 45000.0000 is above 30000", "values": {}},
            {"rule": "suspicious_merchant", "message": "merchant M0666 is listed", "values": {}},
        ],
    }
    return plain | changes


def test_a_fraud_is_one_readable_line() -> None:
    assert fraud_line(row()) == (
        "FRAUD 2026-01-31 13:45:00Z T0001 user U0001 paid 45,000.00 to M0666 by Online in Tehran"
        " [high_online_amount: online amount 45000.0000 is above 30000; suspicious_merchant: merchant M0666 is listed]"
    )


@pytest.mark.parametrize(
    ("amount", "shown"),
    [("0.0001", "0.0001"), ("1E+2", "100.00"), ("1234567.8900", "1,234,567.89"), ("0.0100", "0.01")],
)
def test_an_amount_is_shown_whole(amount: str, shown: str) -> None:
    assert f" paid {shown} to " in fraud_line(row(amount=Decimal(amount)))


def test_times_are_shown_in_utc() -> None:
    berlin = datetime(2026, 1, 31, 13, 45, tzinfo=timezone(timedelta(hours=1)))
    assert "2026-01-31 12:45:00Z" in fraud_line(row(timestamp=berlin))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("São Paulo, 東京 القاهرة", "São Paulo, 東京 القاهرة"),
        ("a\nFRAUD b", "a\\nFRAUD b"),
        ("\x1b[2J", "\\x1b[2J"),
        ("\u202egnol\u2066", "\\u202egnol\\u2066"),
        ("a\u2028b\u00a0c", "a\\u2028b\\xa0c"),
        ("\x00\x7f\x9b", "\\x00\\x7f\\x9b"),
        ("\ud800", "\\ud800"),
    ],
)
def test_characters_that_act_on_a_terminal_are_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(place=st.text(), merchant=st.text())
def test_no_place_makes_a_second_line(place: str, merchant: str) -> None:
    line = fraud_line(row(location=place, merchant_id=merchant))
    assert len(line.splitlines()) == 1
    assert line.startswith(PREFIX)
    assert line.isprintable()


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_progress_is_logged_rarely_and_sums_up(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    progress = Progress(interval=30, clock=clock, now=lambda: 1000.0)
    with caplog.at_level(logging.INFO):
        for _ in range(29):
            clock.seconds += 1
            progress.add(Counts(10, 2, 5, 1, 1, 1), 999_000)
        assert caplog.messages == []
        clock.seconds += 1
        progress.add(None, 997_500)
    assert caplog.messages == [
        "290 records in 30 s (30 batches, 1 of them replays): 58 fraud, 29 duplicate, 29 quarantined;"
        " the newest record is 2.5 s old"
    ]


def test_progress_starts_anew_after_each_line(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    progress = Progress(interval=30, clock=clock, now=lambda: 1000.0)
    with caplog.at_level(logging.INFO):
        for counts in (Counts(10, 10, 0, 0, 0, 0), Counts(0, 0, 0, 0, 0, 0)):
            clock.seconds += 30
            progress.add(counts, None)
    assert caplog.messages[1].startswith("0 records in 30 s (1 batches, 0 of them replays): 0 fraud")
    assert caplog.messages[1].endswith("the newest record is unknown old")
