"""Wild records: what producers send by mistake or by malice."""

from __future__ import annotations

import json
import random
from typing import Any

from hypothesis import strategies as st

from include.domains import Domain
from tests.support.records import GOOD

MOMENTS = (
    "2026-01-31 13:45:00",
    "2026-01-31T13:45:00+05:00",
    "1999-12-31T23:59:59.999Z",
    "2026-01-01T00:00:00.000001Z",
)
ALSO_GOOD: dict[str, dict[str, tuple[Any, ...]]] = {
    "profiles": {
        "name": (
            "Ana",
            "Dr. Jane Roe, PhD",
            "  Ana   Maria  Silva ",
            "الفاتح",
            "'; DROP TABLE users; --",
            "<b>&amp;</b>",
        ),
        "country": ("DE", "u.s.a.", "United Kingdom", " portugal"),
        "account_type": ("Savings", " current ", "CURRENT"),
        "credit_score": (300, 700, 850),
        "timestamp": MOMENTS,
    },
    "merchants": {
        "merchant_name": ("Shop", "  Café   Zürich ", "O'Hara & Söhne", 'a\\b"c'),
        "risk_level": ("Low", "high", "MEDIUM"),
        "timestamp": MOMENTS,
    },
    "accounts": {
        "user_id": ("U1", "U0001", "U2"),
        "current_balance": (0, "-0.0001", 12.5, "999999999999999.9999", "1234567890123.45"),
        "currency": ("EUR", "usd", " GBP"),
        "last_updated": MOMENTS,
    },
    "transactions": {
        "user_id": ("U0001", "U0002", "U0050"),
        "amount": ("12.30", 29999.99, 30000, "30000.0001", 100001, 0.0001, "999999999999999.9999"),
        "merchant_id": ("M0001", "M0666", "M9999"),
        "channel": ("ATM", "POS", "Online", " online", "oNLINE "),
        "location": ("Berlin", "Tehran", "  tehran", "São Paulo", "القاهرة", "'; DROP TABLE users; --"),
        "timestamp": MOMENTS,
    },
}
"""What else its fields may be."""

SAMPLES = (
    "DE",
    "United Kingdom",
    "EUR",
    "Dr. Jane Roe, PhD",
    "A1",
    "U01",
    "active ",
    "1e9",
    "-5.00",
    "2026-01-31T00:00",
)
WILD_VALUES: tuple[Any, ...] = (
    *(None, "", " ", "\x00", "a\x00b", "\ud800", "\u202eevil", "\x1b[2J", "<script>", "x" * 1000, "T" + "9" * 64),
    *(0, -1, 1e400, float("nan"), float("-inf"), 10**40, "1e5", "1,000", "١٢", "NaN", "Infinity", True, False),
    *("0001-01-01 00:00:00", "2026-02-30 00:00:00", "9999-12-31T23:59:59Z", "T1", "M1", "U1", "A1", "Online"),
    *([], {}, [[[]]], {"a": None}),
    *("N/A", "--", "Sa\u0303o Paulo", "Teh\u200bran, Iran", "\ufeff", "\u0645\u06cc\u200c\u062e"),
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(SAMPLES),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def wild_values(domain: Domain, count: int, ids: int, seed: int) -> list[bytes | None]:
    """Values for the domain's topic, the same ones for the same seed; the good ones share ``ids`` ids."""
    chance = random.Random(seed)  # noqa: S311
    return [wild_value(chance, domain, ids) for _ in range(count)]


def wild_value(chance: random.Random, domain: Domain, ids: int) -> bytes | None:
    """A record with up to three things wrong with it, or nothing of the kind."""
    good = GOOD[domain.name]
    body = good | {field: chance.choice(values) for field, values in ALSO_GOOD[domain.name].items()}
    body[domain.key] = f"{good[domain.key][0]}{chance.randrange(ids):05}"
    for _ in range(chance.choice([0, 0, 0, 1, 1, 2, 3])):
        field = chance.choice(list(good))
        match chance.randrange(3):
            case 0:
                body[field] = chance.choice(WILD_VALUES)
            case 1:
                body.pop(field, None)
            case _:
                body[str(chance.choice(WILD_VALUES))] = chance.choice(WILD_VALUES)
    text = json.dumps(body, ensure_ascii=chance.random() < 0.5)
    raw = text.encode("utf-8", "surrogatepass")
    match chance.randrange(40):
        case 0:
            return None
        case 1:
            return raw[: chance.randrange(len(raw))]
        case 2:
            return raw + raw
        case 3:
            place = chance.randrange(len(raw))
            return raw[:place] + bytes([chance.randrange(256)]) + raw[place + 1 :]
        case 4:
            return text[:-1].encode("utf-8", "surrogatepass") + f', "{domain.key}": 1}}'.encode()
        case 5:
            return b"[" * 5000
        case 6:
            return chance.randbytes(chance.randrange(40))
        case _:
            return raw
