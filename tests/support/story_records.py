"""What the story of a whole stack sends, and what has to be found of it in each layer."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, TypeAlias

from include.domains import ACCOUNTS, MERCHANTS, PROFILES, TRANSACTIONS, Domain
from tests.support.records import encoded, good

Message: TypeAlias = tuple[str, bytes]
"""Key and value."""
Sent: TypeAlias = tuple[str | None, bytes | None]


def user(user_id: str, **changes: Any) -> Message:
    """A profile and its key."""
    return message(PROFILES, user_id=user_id, **changes)


def merchant(merchant_id: str, **changes: Any) -> Message:
    """A merchant and its key."""
    named = {"merchant_id": merchant_id, "merchant_name": "Corner Shop", "category": "Retail", "country": "DE"}
    return message(MERCHANTS, **(named | changes))


def account(account_id: str, **changes: Any) -> Message:
    """An account and its key."""
    own = {"account_id": account_id, "user_id": "U0001", "current_balance": "1234.56", "currency": "eur"}
    return message(ACCOUNTS, **(own | {"last_updated": "2026-02-01T00:00:00+02:00"} | changes))


def transaction(txn_id: str, amount: str, **changes: Any) -> Message:
    """A transaction and its key; the amount as JSON text."""
    own = {"txn_id": txn_id, "user_id": "U0001", "merchant_id": "M0001", "amount": "AMOUNT"}
    key, value = message(TRANSACTIONS, **(own | changes))
    # The amount is spliced in as text, so that it goes out as the exact JSON number and never through a float.
    return key, value.replace(b'"AMOUNT"', amount.encode())


def message(domain: Domain, **changes: Any) -> Message:
    """A record as our x."""
    record = good(domain, **changes)
    return record[domain.keyed_by], encoded(record)


FIRST: dict[str, list[Sent]] = {
    PROFILES.topic: [
        user("U0001", name="  Dr. Ana   Maria Silva Jr. ", country="portugal"),
        user("U0002", name="Prince", country="u.s.a.", account_type="CURRENT", status=" Suspended "),
        user("U0003", name="Jan de Vries", country="Holland", credit_score=300),
        user("U0003", name="Jan de Vries", country="NL", credit_score=850, timestamp="2026-02-02T00:00:00Z"),
        user("U0003", name="Jan de Vries", country="NL", credit_score=400, timestamp="2025-12-31T00:00:00Z"),
        user("U0001", name="  Dr. Ana   Maria Silva Jr. ", country="portugal"),
        user("X0004"),
        user("U0005", credit_score=851, country="Atlantis"),
        ("U0006", b'{"user_id": "U0006", "name": '),
        ("U0007", None),
        ("U0008", b"\xff\xfe not text"),
    ],
    MERCHANTS.topic: [
        merchant("M0001"),
        merchant("M0002", risk_level="high", merchant_name="Lucky\tWins", country="Great Britain"),
        merchant("M0003", category="Weapons"),
    ],
    ACCOUNTS.topic: [
        account("A0001"),
        account("A0002", user_id="U0002", current_balance="-0.0001", currency="JPY"),
        account("A0003", currency="ZZZ"),
        account("A0004", current_balance="NaN"),
    ],
}

USER_ROWS = {
    ("U0001", "Dr.", "Ana Maria", "Silva", "Jr.", "PT", "Portugal", "Savings", 700, "active"),
    ("U0002", None, "Prince", None, None, "US", "United States", "Current", 700, "suspended"),
    ("U0003", None, "Jan", "de Vries", None, "NL", "Netherlands", "Savings", 850, "active"),
}
USERS_SQL = """
    SELECT user_id, title, first_name, last_name, suffix, country_code, country, account_type, credit_score, status
    FROM users
"""
MERCHANT_ROWS = {("M0001", "Corner Shop", "Retail", "Low", "DE"), ("M0002", "Lucky Wins", "Retail", "High", "GB")}
MERCHANTS_SQL = "SELECT merchant_id, merchant_name, category, risk_level, country_code FROM merchants"
ACCOUNT_ROWS = {
    ("A0001", "U0001", Decimal("1234.56"), "EUR", "2026-01-31", "22:00:00", 1, 2026),
    ("A0002", "U0002", Decimal("-0.0001"), "JPY", "2026-01-31", "22:00:00", 1, 2026),
}
ACCOUNTS_SQL = """
    SELECT account_id, user_id, current_balance, currency, date::text, time::text, month, year FROM accounts
"""

PAYMENTS: list[Sent] = [
    transaction("T0001", "12.50"),
    transaction("T0002", "30000", channel="Online"),
    transaction("T0003", "30000.01", channel="online"),
    transaction("T0004", "5", merchant_id="M0002"),
    transaction("T0005", "99999999.9999", merchant_id="M0002", channel="Online", timestamp="2026-03-01T10:00:00+01:00"),
    transaction("T0001", "12.50"),
    transaction("T0006", "0"),
    transaction("T0007", "1e400"),
    transaction("T0008", "12.50", merchant_id="M4040"),
    ("U0001", b"[]"),
    ("U0001", b""),
]
GENUINE = {("T0001", Decimal("12.50")), ("T0002", Decimal("30000")), ("T0008", Decimal("12.50"))}
FRAUD = {
    ("T0003", ("high_online_amount",)),
    ("T0004", ("suspicious_merchant",)),
    ("T0005", ("high_online_amount", "huge_amount", "suspicious_merchant")),
}

# What must be found in quarantine: topic, the record's position in what was produced, and the fields blamed.
REJECTED = {
    (PROFILES.topic, 6, ("user_id",)),
    (PROFILES.topic, 7, ("country", "credit_score")),
    (PROFILES.topic, 8, (None,)),
    (PROFILES.topic, 10, (None,)),
    (MERCHANTS.topic, 2, ("category",)),
    (ACCOUNTS.topic, 2, ("currency",)),
    (ACCOUNTS.topic, 3, ("current_balance",)),
    (TRANSACTIONS.topic, 6, ("amount",)),
    (TRANSACTIONS.topic, 7, ("amount",)),
    (TRANSACTIONS.topic, 9, (None,)),
    (TRANSACTIONS.topic, 10, (None,)),
}
