"""Who sends what: a small bank of its own for each client, and what of it has to be found in the warehouse."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any

from include.domains import ACCOUNTS, MERCHANTS, PROFILES, TRANSACTIONS, Domain
from tests.foreign.clients import (
    Dress,
    Message,
    NotUtf8,
    Send,
    at,
    confluent,
    console_producer,
    filled_up,
    kafka_python,
    kafka_python_transactional,
    keyed,
    undressed,
    with_headers,
    with_key,
)
from tests.support.records import good

BIG = 999_000
"""Bytes of a value that clients and broker still take with their defaults, with a little for key and headers."""
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
WILD_TIMES = {
    "the least of 64 bits": -(2**63),
    "before year 1": -62_135_596_800_001,
    "none": -1,
    "0": 0,
    "in seconds": 1_769_867_100,
    "the year 9999": 253_402_300_799_999,
    "the most of 64 bits": 2**63 - 1,
}
"""What a producer may take for the time in milliseconds."""


@dataclass(frozen=True, slots=True)
class Client:
    """A client by what is special about it, and its way to send."""

    name: str
    send: Send
    dress: Dress = undressed


def messages(number: int, dress: Dress) -> list[Message]:
    """The population and the transactions of the client of that number."""
    bodies = [
        *((PROFILES, user(number, one)) for one in range(3)),
        *((MERCHANTS, merchant(number, one)) for one in range(2)),
        *((ACCOUNTS, account(number, one)) for one in range(2)),
        *((TRANSACTIONS, payment(number, one)) for one in range(5)),
    ]
    return [dress(message(domain, body)) for domain, body in bodies]


def message(domain: Domain, body: dict[str, Any]) -> Message:
    return Message(domain.topic, body[domain.key], json.dumps(body).encode())


def identity(letter: str, number: int, one: int) -> str:
    return f"{letter}{number:03}{one:02}"


def user(number: int, one: int = 0, **changes: Any) -> dict[str, Any]:
    return good(PROFILES, user_id=identity("U", number, one), country="Portugal", credit_score=300 + number) | changes


def merchant(number: int, one: int = 0, **changes: Any) -> dict[str, Any]:
    named = {"merchant_id": identity("M", number, one), "merchant_name": f"Shop {number}"}
    return good(MERCHANTS, **named, country="Portugal") | changes


def account(number: int, one: int = 0, **changes: Any) -> dict[str, Any]:
    own = {"account_id": identity("A", number, one), "user_id": identity("U", number, 0)}
    return good(ACCOUNTS, **own, current_balance=f"{number}.25") | changes


def payment(number: int, one: int = 0, **changes: Any) -> dict[str, Any]:
    """The fourth of a client's payments is a fraud, by its amount."""
    amount = "45000.00" if one == 3 else "12.50"
    own = {"txn_id": identity("T", number, one), "user_id": identity("U", number, 0), "amount": amount}
    return good(TRANSACTIONS, **own, merchant_id=identity("M", number, 0), channel="Online") | changes


def expected(number: int) -> dict[str, dict[str, Any]]:
    """By table, what the warehouse says of each id of the client of that number."""
    return {
        "users": {identity("U", number, one): 300 + number for one in range(3)},
        "merchants": {identity("M", number, one): f"Shop {number}" for one in range(2)},
        "accounts": {identity("A", number, one): Decimal(f"{number}.25") for one in range(2)},
        "verdicts": {identity("T", number, one): "fraud" if one == 3 else "genuine" for one in range(5)},
    }


HEADERS = (
    ("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    ("__TypeId__", b"com.example.Payment"),
    ("__TypeId__", b"again"),
    ("nothing", None),
    ("", b"a name of no characters"),
    ("größe 📏", bytes(range(256))),
)


def matrix() -> list[Client]:
    """Each compression with each way to produce, with a key and without."""
    ways = {
        "plain": partial(confluent, enable_idempotence=False),
        "idempotent": partial(confluent, enable_idempotence=True),
        "transactional": partial(confluent, transactional=True),
    }
    keys = {"no key": undressed, "keyed": keyed}
    return [
        Client(f"confluent-kafka, {codec}, {way}, {key}", make(codec), dress)
        for codec in CODECS
        for way, make in ways.items()
        for key, dress in keys.items()
    ]


CLIENTS = (
    Client("kafka-python as it is", kafka_python()),
    Client("kafka-python, gzip", kafka_python(compression_type="gzip"), keyed),
    Client(
        "kafka-python, zstd, not idempotent", kafka_python(compression_type="zstd", enable_idempotence=False), keyed
    ),
    Client("kafka-python, transactional", kafka_python_transactional),
    Client("console producer as it is", console_producer()),
    Client(
        "console producer, lz4, values of 999 kB, keys and headers",
        console_producer("--compression-codec", "lz4", keys_and_headers=True),
        filled_up(BIG, with_headers(("source", b"console"), key=b"a key of its own")),
    ),
    *matrix(),
    Client("headers", confluent(), with_headers(*HEADERS)),
    Client("a thousand headers", confluent(), with_headers(*((f"h{n}", b"v" * n) for n in range(1000)))),
    Client(
        "a header's name is not UTF-8",
        kafka_python(),
        with_headers((NotUtf8("größe"), b"1"), ("plain", b"2"), key=b"some key"),
    ),
    Client("a header's name has a NUL", kafka_python(), with_headers(("a\0b", b"1"))),
    Client("an empty key", confluent(), with_key(b"")),
    Client("a key that is a number of 4 bytes", confluent(), with_key(b"\x00\x00\x00\x07")),
    Client("a key that is no UTF-8", confluent(), with_key(b"\xff\xfe\x00\r\n")),
    Client("a key of 100 kB", confluent(), with_key(b"k" * 100_000)),
    Client("values of 999 kB", confluent("lz4"), filled_up(BIG)),
    Client("values of 999 kB with headers", confluent(), filled_up(BIG - 500, with_headers(*HEADERS[:3]))),
    *(Client(f"time {name}", kafka_python(), at(time)) for name, time in WILD_TIMES.items()),
)
"""Clients of a stack of today, whose topics keep the time at which Kafka took a record."""

CLIENTS_OF_BEFORE = tuple(
    Client(f"time {name}, kept by the topic", kafka_python(), at(time)) for name, time in WILD_TIMES.items()
)
"""Clients of a stack of before, whose topics kept the time that a client set."""

EVERYONE = (*CLIENTS, *CLIENTS_OF_BEFORE)


def number_of(client: Client) -> int:
    """Clients are told apart in the warehouse by a number."""
    return 100 + EVERYONE.index(client)


def messages_of(client: Client) -> Sequence[Message]:
    return messages(number_of(client), client.dress)
