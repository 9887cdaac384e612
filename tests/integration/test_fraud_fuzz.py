"""Wild records through the fraud split: each one ends in exactly one place, and no id gets two verdicts."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from itertools import count
from threading import Event
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from include.domains import TRANSACTIONS
from include.fraud.lease import acquire
from include.fraud.rules import RULES_FILE, load_rules
from include.fraud.settle import Classified
from include.fraud.sink import Batch, Sink
from include.lake.records import BronzeRecord
from include.quality import classify
from include.settings import Settings
from include.warehouse.connect import connect
from tests.fraud import warehouse_template

pytestmark = pytest.mark.integration

TOPIC_ID = "wild-topic------------"
ARRIVED_MS = 1_769_947_200_000
FIELDS = ("txn_id", "user_id", "amount", "merchant_id", "channel", "location", "timestamp")

PLACES = """
    SELECT bronze_topic_id, bronze_partition, bronze_offset, 'fraud', txn_id FROM fraudtransaction
    UNION ALL SELECT bronze_topic_id, bronze_partition, bronze_offset, 'genuine', txn_id FROM genuinetransaction
    UNION ALL SELECT topic_id, partition_id, record_offset, 'duplicate', NULL FROM ops.transaction_duplicate
    UNION ALL SELECT topic_id, partition_id, record_offset, 'quarantine', NULL FROM ops.quarantine
"""


class Wild:
    """A sink with everything it was ever given; offsets and batch numbers go up."""

    def __init__(self, dsn: str, conn: psycopg.Connection) -> None:
        self.conn = conn
        self.sink = Sink(dsn, acquire(conn, "fuzz"), load_rules(RULES_FILE), lambda *_: False, Event())
        self._batch_ids, self._offsets = count(), count()
        self.written: list[Classified] = []

    def write(self, values: list[bytes | None]) -> None:
        batch = [self._classified(value) for value in values]
        counts = self.sink.write(Batch("fuzz", next(self._batch_ids), batch)).counts
        assert counts is not None
        assert counts.records == len(values)
        self.written += batch

    def _classified(self, value: bytes | None) -> Classified:
        offset = next(self._offsets)
        record = BronzeRecord(TOPIC_ID, offset % 3, offset, ARRIVED_MS, value)
        return Classified(record, classify(TRANSACTIONS, record))

    def check(self) -> Counter[str]:
        """Each record is in one place or is a tombstone; how many there are of each."""
        places: dict[tuple[str, int, int], str] = {}
        ids: set[str] = set()
        for topic_id, partition, offset, place, txn_id in self.conn.execute(PLACES):
            assert (topic_id, partition, offset) not in places
            places[topic_id, partition, offset] = place
            assert txn_id is None or txn_id not in ids
            ids.add(txn_id)
        found: Counter[str] = Counter()
        for one in self.written:
            record = one.record
            place = places.pop((record.topic_id, record.partition, record.offset), None)
            assert (place is None) == (record.value is None), one
            found[place or "tombstone"] += 1
        assert places == {}
        return found


@pytest.fixture
def wild(settings: Settings) -> Iterator[Wild]:
    with warehouse_template(settings) as dsn, connect(dsn) as conn:
        wild = Wild(dsn, conn)
        yield wild
        wild.sink.close()


def valid_body(chance: random.Random) -> dict[str, Any]:
    return {
        "txn_id": f"T{chance.randrange(3000):05}",
        "user_id": f"U{chance.randrange(50):04}",
        "amount": chance.choice(["12.30", 29999.99, 30000, "30000.0001", 100001, 0.0001, 999999999999999.9999]),
        "merchant_id": chance.choice(["M0001", "M0666", "M9999"]),
        "channel": chance.choice(["ATM", "POS", "Online", " online", "oNLINE "]),
        "location": chance.choice(["Berlin", "Tehran", "  tehran", "São Paulo", "القاهرة", "'; DROP TABLE users; --"]),
        "timestamp": chance.choice(["2026-01-31 13:45:00", "2026-01-31T13:45:00+05:00", "1999-12-31T23:59:59.999Z"]),
    }


WILD_VALUES: tuple[Any, ...] = (
    *(None, "", " ", "\x00", "a\x00b", "\ud800", "\u202eevil", "\x1b[2J", "<script>", "x" * 1000, "T" + "9" * 64),
    *(0, -1, 1e400, float("nan"), float("-inf"), 10**40, "1e5", "1,000", "١٢", "NaN", "Infinity", True, False),
    *("0001-01-01 00:00:00", "2026-02-30 00:00:00", "9999-12-31T23:59:59Z", "T1", "M1", "U1", "Online"),
    *([], {}, [[[]]], {"a": None}),
)


def wild_value(chance: random.Random) -> bytes | None:
    """A transaction with up to three things wrong with it, or nothing of the kind."""
    body = valid_body(chance)
    for _ in range(chance.choice([0, 0, 0, 1, 1, 2, 3])):
        field = chance.choice(FIELDS)
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
            return text[:-1].encode("utf-8", "surrogatepass") + b', "amount": 1}'
        case 5:
            return b"[" * 5000
        case 6:
            return chance.randbytes(chance.randrange(40))
        case _:
            return raw


def test_ten_thousand_wild_records_each_have_one_place(wild: Wild) -> None:
    chance = random.Random(20260131)  # noqa: S311
    values = [wild_value(chance) for _ in range(10_000)]
    while values:
        size = chance.choice([1, 10, 500, 1500])
        wild.write(values[:size])
        values = values[size:]
    found = wild.check()
    assert found.total() == 10_000
    assert min(found[place] for place in ("fraud", "genuine", "duplicate", "quarantine", "tombstone")) > 100


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
nearly_valid = st.fixed_dictionaries(
    {
        "txn_id": st.from_regex(r"T[0-9]{1,2}", fullmatch=True) | json_values,
        "user_id": st.just("U1") | json_values,
        "amount": st.decimals("-1", "200000", places=4).map(str) | st.floats() | json_values,
        "merchant_id": st.sampled_from(["M1", "M9999"]) | json_values,
        "channel": st.sampled_from(["ATM", "POS", "Online", "online"]) | json_values,
        "location": st.sampled_from(["Tehran", "Berlin"]) | st.text(),
        "timestamp": st.datetimes().map(str) | st.text(),
    }
).map(lambda body: json.dumps(body).encode())


# The database lives on from example to example, as it does in earnest.
@hypothesis_settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(values=st.lists(st.none() | st.binary(max_size=50) | nearly_valid | nearly_valid, max_size=25))
def test_whatever_is_produced_has_one_place(wild: Wild, values: list[bytes | None]) -> None:
    wild.write(values)
    wild.check()
