"""Real-world dirt: what is wrong with records that arrive from real systems, at a share that can be set.

There are three kinds. A blemish changes a record that stays valid and means the same. A breakage is one more record,
beside the good one, that no contract accepts; the good one follows, so every user, merchant and account still arrives.
An echo is a valid record that comes again, late, or newer. The last message of a key is always its newest valid record,
so whoever keeps but the last one of each key keeps the right one.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from include.domains import ACCOUNTS, MERCHANTS, PROFILES, TRANSACTIONS, Domain
from include.generators.places import COUNTRIES
from include.generators.records import JsonValue, Message, encode, iso, money, plain

Fields = dict[str, JsonValue]
Blemish = Callable[[random.Random, Domain, Fields], Fields]
Breakage = Callable[[random.Random, Domain, Fields], bytes]

_TIMES = frozenset({"timestamp", "last_updated"})
# Fields whose letters mean the same in upper and lower case; ids and names are none of these.
_CASELESS = (
    "country", "account_type", "status", "category", "risk_level", "currency", "channel", "location",
)  # fmt: skip
_MONEY = {ACCOUNTS.name: "current_balance", TRANSACTIONS.name: "amount"}
_SPELLINGS = {country.name: (country.code, *country.spellings) for country in COUNTRIES}
_SPACES = (" ", "  ", "\t", " \u00a0")


def spoil_reference(rng: random.Random, domain: Domain, record: Fields, newest: datetime) -> list[Message]:
    """The messages that come of one reference record that has dirt, in order; ``newest`` is the time of an update."""
    key = _key(record[domain.key])
    kind = rng.choice(_REFERENCE_KINDS[domain.name])
    clean = Message(domain.topic, key, encode(record))
    if kind in BREAKAGES:
        return [Message(domain.topic, key, BREAKAGES[kind](rng, domain, dict(record)), kind), clean]
    if kind == "duplicate":
        return [clean, Message(domain.topic, key, clean.value, kind)]
    if kind in ("late_update", "repeated_update"):
        update = Message(domain.topic, key, encode(_updated(rng, domain, record, newest)), kind)
        return [update, clean, update] if kind == "late_update" else [clean, update, update]
    return [Message(domain.topic, key, encode(BLEMISHES[kind](rng, domain, dict(record))), kind)]


def spoil_transaction(rng: random.Random, record: Fields, spare_id: str, genuine: bool) -> list[Message]:
    """The messages that come of one transaction that has dirt, in order.

    A broken record takes ``spare_id`` rather than the transaction's id and so has no label; a fraud is only blemished
    or sent twice.
    """
    topic, key = TRANSACTIONS.topic, _key(record["user_id"])
    kind = rng.choice(_TRANSACTION_KINDS if genuine else _FRAUD_KINDS)
    clean = Message(topic, key, encode(record))
    if kind in BREAKAGES:
        broken = BREAKAGES[kind](rng, TRANSACTIONS, {**record, "txn_id": spare_id})
        return [Message(topic, key, broken, kind), clean]
    if kind == "duplicate":
        return [clean, Message(topic, key, clean.value, kind)]
    if kind == "conflicting_copy":
        copy = {**record, "amount": money(rng.randint(100, 9999))}
        return [clean, Message(topic, key, encode(copy), kind)]
    return [Message(topic, key, encode(BLEMISHES[kind](rng, TRANSACTIONS, dict(record))), kind)]


def _key(value: JsonValue) -> bytes:
    return str(value).encode()


def _updated(rng: random.Random, domain: Domain, record: Fields, newest: datetime) -> Fields:
    changes: Mapping[str, Fields] = {
        PROFILES.name: {"credit_score": rng.randint(300, 850)},
        MERCHANTS.name: {"merchant_name": f"{record.get('merchant_name')} & Partners"},
        ACCOUNTS.name: {"current_balance": money(rng.randint(0, 1_000_000))},
    }
    return {**record, **changes[domain.name], domain.event_time: iso(newest)}


def _outer_spaces(rng: random.Random, _domain: Domain, record: Fields) -> Fields:
    name = rng.choice([name for name, value in record.items() if isinstance(value, str) and name not in _TIMES])
    return {**record, name: f"{rng.choice(_SPACES)}{record[name]}{rng.choice(_SPACES)}"}


def _inner_spaces(rng: random.Random, domain: Domain, record: Fields) -> Fields:
    for name, value in record.items():
        if isinstance(value, str) and " " in value and name not in _TIMES:
            return {**record, name: value.replace(" ", f" {rng.choice(_SPACES)}")}
    return _outer_spaces(rng, domain, record)


def _mixed_case(rng: random.Random, _domain: Domain, record: Fields) -> Fields:
    name = rng.choice([name for name in _CASELESS if name in record])
    return {**record, name: rng.choice((str.upper, str.lower, str.swapcase))(str(record[name]))}


def _country_spelling(rng: random.Random, _domain: Domain, record: Fields) -> Fields:
    return {**record, "country": rng.choice(_SPELLINGS[str(record["country"])])}


def _money_as_text(_rng: random.Random, domain: Domain, record: Fields) -> Fields:
    name = _MONEY[domain.name]
    return {**record, name: str(record[name])}


def _other_timestamp(rng: random.Random, domain: Domain, record: Fields) -> Fields:
    moment = datetime.fromisoformat(str(record[domain.event_time]))
    return {**record, domain.event_time: rng.choice((plain(moment), f"{plain(moment)}+00:00"))}


def _late(rng: random.Random, domain: Domain, record: Fields) -> Fields:
    moment = datetime.fromisoformat(str(record[domain.event_time]))
    return {**record, domain.event_time: iso(moment - timedelta(minutes=rng.randint(10, 48 * 60)))}


def _invalid_id(rng: random.Random, domain: Domain, record: Fields) -> bytes:
    name = rng.choice([name for name in (domain.key, "user_id") if name in record])
    value = str(record[name])
    return encode({**record, name: rng.choice((value.lower(), value[1:], f"X{value}", f"{value}#!"))})


def _missing_id(rng: random.Random, domain: Domain, record: Fields) -> bytes:
    absent = {name: value for name, value in record.items() if name != domain.key}
    return encode(rng.choice((absent, {**record, domain.key: None}, {**record, domain.key: "  "})))


def _wrong_type(_rng: random.Random, domain: Domain, record: Fields) -> bytes:
    wrong: Mapping[str, Fields] = {
        PROFILES.name: {"credit_score": "seven hundred", "status": True},
        MERCHANTS.name: {"merchant_name": ["Two", "names"]},
        ACCOUNTS.name: {"current_balance": "n/a"},
        TRANSACTIONS.name: {"amount": "12,50"},
    }
    return encode({**record, **wrong[domain.name]})


def _impossible_value(_rng: random.Random, domain: Domain, record: Fields) -> bytes:
    wrong: Mapping[str, Fields] = {
        PROFILES.name: {"credit_score": 9000, "country": "Atlantis"},
        MERCHANTS.name: {"risk_level": "Severe"},
        ACCOUNTS.name: {"currency": "QQQ"},
        TRANSACTIONS.name: {"amount": money(-1250)},
    }
    return encode({**record, **wrong[domain.name]})


def _bad_timestamp(_rng: random.Random, domain: Domain, record: Fields) -> bytes:
    return encode({**record, domain.event_time: "31/02/2026 25:61"})


def _cut(rng: random.Random, _domain: Domain, record: Fields) -> bytes:
    whole = encode(record)
    return whole[: rng.randrange(1, len(whole) - 1)]


def _not_utf8(_rng: random.Random, _domain: Domain, record: Fields) -> bytes:
    return encode(record).replace(b'": "', b'": "\xe9', 1)


def _empty(_rng: random.Random, _domain: Domain, _record: Fields) -> bytes:
    return b""


BLEMISHES: Mapping[str, Blemish] = {
    "outer_spaces": _outer_spaces,
    "inner_spaces": _inner_spaces,
    "mixed_case": _mixed_case,
    "country_spelling": _country_spelling,
    "money_as_text": _money_as_text,
    "other_timestamp": _other_timestamp,
    "late": _late,
}
BREAKAGES: Mapping[str, Breakage] = {
    "invalid_id": _invalid_id,
    "missing_id": _missing_id,
    "wrong_type": _wrong_type,
    "impossible_value": _impossible_value,
    "bad_timestamp": _bad_timestamp,
    "cut_json": _cut,
    "not_utf8": _not_utf8,
    "empty": _empty,
}
_ANYWHERE = ("outer_spaces", "inner_spaces", "mixed_case", "other_timestamp", "duplicate")
_UPDATES = ("late_update", "repeated_update")
# A country in another spelling is by far the most frequent of these in real data.
_COUNTRY = ("country_spelling",) * 4
_REFERENCE_KINDS: Mapping[str, tuple[str, ...]] = {
    PROFILES.name: (*_ANYWHERE, *_UPDATES, *_COUNTRY, *BREAKAGES),
    MERCHANTS.name: (*_ANYWHERE, *_UPDATES, *_COUNTRY, *BREAKAGES),
    ACCOUNTS.name: (*_ANYWHERE, *_UPDATES, "money_as_text", *BREAKAGES),
}
_FRAUD_KINDS = (*_ANYWHERE, "money_as_text")
_TRANSACTION_KINDS = (*_FRAUD_KINDS, "late", "conflicting_copy", *BREAKAGES)
