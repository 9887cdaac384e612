"""The four rules as they were when they were code: the verdicts that those of the rules' file must go on to give."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from include.cleaning.places import countries_of, place

ONLINE_LIMIT, HUGE_LIMIT = Decimal(30_000), Decimal(100_000)
LISTED_MERCHANTS = ("M0666", "M9999")
RISKY_CITIES = {
    "pyongyang": "KP",
    "tehran": "IR",
    "yangon": "MM",
    "damascus": "SY",
    "sanaa": "YE",
    "portauprince": "HT",
    "juba": "SS",
}


def fired(row: Mapping[str, Any], risk_level: str | None) -> list[str]:
    """The rules that fire for one transaction, in the order in which a verdict names them; none: it is genuine."""
    amount, location = row["amount"], row["location"]
    said = {
        "high_online_amount": amount is not None and row["channel"] == "Online" and amount > ONLINE_LIMIT,
        "suspicious_merchant": row["merchant_id"] in LISTED_MERCHANTS or risk_level == "High",
        "risky_location": location is not None and _is_risky(location),
        "huge_amount": amount is not None and amount > HUGE_LIMIT,
    }
    return [rule for rule, fires in said.items() if fires]


def _is_risky(location: str) -> bool:
    city, qualifiers = place(location)
    country = RISKY_CITIES.get(city)
    named = countries_of(qualifiers)
    return country is not None and (not named or country in named)
