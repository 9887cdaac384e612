"""One line of text per fraud event, for people who watch the console."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

PREFIX = "FRAUD "


def fraud_line(row: Mapping[str, Any]) -> str:
    """The line for a row of FraudTransaction, without a line end.

    What a record's author chose (ids, place) can neither end the line nor change how the terminal shows it: control,
    formatting and unassigned characters appear as escapes.
    """
    why = "; ".join(f"{fired['rule']}: {fired['message']}" for fired in row["evidence"])
    return PREFIX + printable(
        f"{time_of(row['timestamp'])} {row['txn_id']} user {row['user_id']} paid {money(row['amount'])}"
        f" to {row['merchant_id']} by {row['channel']} in {row['location']} [{why}]"
    )


def printable(text: str) -> str:
    """``text`` with every character that is not a letter, mark, number, sign or plain space written as an escape."""
    return "".join(char if _is_plain(char) else char.encode("unicode_escape").decode("ascii") for char in text)


def _is_plain(char: str) -> bool:
    return char == " " or unicodedata.category(char)[0] not in "CZ"


def time_of(when: datetime) -> str:
    """``when`` to the second, in UTC."""
    return when.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def money(amount: Decimal) -> str:
    """Thousands in groups, two decimals or as many more as the amount has."""
    digits = max(2, -int(amount.normalize().as_tuple().exponent))
    return f"{amount:,.{digits}f}"
