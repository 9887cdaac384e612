"""Wild transactions from Kafka through bronze and the fraud split: each ends in exactly one place."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from include.domains import TRANSACTIONS
from include.lake.bronze_log import BronzeLog
from include.lake.s3 import s3_client
from include.postgres import connect
from include.settings import Settings
from tests.support.books import assert_balanced, begin_anew, judge_all
from tests.support.wild import wild_values
from tests.support.world import World

pytestmark = pytest.mark.integration

PLACES = """
    SELECT bronze_partition, bronze_offset, 'fraud', txn_id FROM fraudtransaction
    UNION ALL SELECT bronze_partition, bronze_offset, 'genuine', txn_id FROM genuinetransaction
    UNION ALL SELECT partition_id, record_offset, 'duplicate', NULL FROM ops.transaction_duplicate
    UNION ALL SELECT partition_id, record_offset, 'quarantine', NULL FROM ops.quarantine WHERE domain = 'transactions'
"""


@pytest.mark.parametrize("seed", [20260131, *(pytest.param(seed, marks=pytest.mark.long) for seed in (1, 2))])
def test_ten_thousand_wild_records_each_have_one_place(settings: Settings, tmp_path: Path, seed: int) -> None:
    begin_anew(settings, TRANSACTIONS)
    values = wild_values(TRANSACTIONS, 10_000, 3_000, seed)
    world = World(settings, TRANSACTIONS, tmp_path)
    for some in (values[:1], values[1:7_000], values[7_000:]):
        world.produce(*some, partitions=3)
        judge_all(settings)
    found = places(settings)
    assert found.total() == len(values)
    assert min(found[place] for place in ("fraud", "genuine", "duplicate", "quarantine", "tombstone")) > 100
    assert_balanced(settings, TRANSACTIONS)


def places(settings: Settings) -> Counter[str]:
    """How many records are where, each of them in one place; no id is in two of the verdict tables' rows."""
    with connect(settings.warehouse_dsn) as conn:
        stored = conn.execute(PLACES).fetchall()
    kept = {(partition, offset): place for partition, offset, place, _ in stored}
    assert len(kept) == len(stored), "a record is in two places"
    ids = [txn_id for *_, txn_id in stored if txn_id is not None]
    assert len(set(ids)) == len(ids), "an id has two verdicts"
    log = BronzeLog(s3_client(settings), TRANSACTIONS)
    ((topic_id, ends),) = log.end_positions().items()
    found: Counter[str] = Counter()
    for partition, end in ends.items():
        for record in log.read(topic_id, partition, 0, end):
            place = kept.pop((partition, record.offset), None)
            assert (place is None) == (record.value is None), record
            found[place or "tombstone"] += 1
    assert not kept, "what nobody sent"
    return found
