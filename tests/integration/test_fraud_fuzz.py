"""Wild records through the fraud split: each one ends in exactly one place, and no id gets two verdicts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from threading import Event

import psycopg
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from include.fraud.lease import acquire
from include.fraud.scorer import Scorer
from include.fraud.sink import Batch, Sink
from include.lake.records import BronzeRecord
from include.postgres import connect
from include.settings import Settings
from tests.support.judging import classify_records
from tests.support.warehouse import warehouse_template
from tests.support.wild import json_values

pytestmark = pytest.mark.integration

TOPIC_ID = "wild-topic------------"
ARRIVED_MS = 1_769_947_200_000

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
        self.sink = Sink(dsn, acquire(conn, "fuzz"), Scorer(), lambda *_: False, Event())
        self._batch_ids, self._offsets = count(), count()
        self.written: list[BronzeRecord] = []

    def write(self, values: list[bytes | None]) -> None:
        batch = [self._record(value) for value in values]
        counts = self.sink.write(Batch("fuzz", next(self._batch_ids), lambda: [classify_records(batch)])).counts
        assert counts is not None
        assert counts.records == len(values)
        self.written += batch

    def _record(self, value: bytes | None) -> BronzeRecord:
        offset = next(self._offsets)
        return BronzeRecord(TOPIC_ID, offset % 3, offset, ARRIVED_MS, ARRIVED_MS, value)

    def check(self) -> None:
        """Each record is in one place or is a tombstone."""
        places: dict[tuple[str, int, int], str] = {}
        ids: set[str] = set()
        for topic_id, partition, offset, place, txn_id in self.conn.execute(PLACES):
            assert (topic_id, partition, offset) not in places
            places[topic_id, partition, offset] = place
            assert txn_id is None or txn_id not in ids
            ids.add(txn_id)
        for record in self.written:
            place = places.pop((record.topic_id, record.partition, record.offset), None)
            assert (place is None) == (record.value is None), record
        assert places == {}


@pytest.fixture
def wild(settings: Settings) -> Iterator[Wild]:
    with warehouse_template(settings) as dsn, connect(dsn) as conn:
        wild = Wild(dsn, conn)
        yield wild
        wild.sink.close()


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
