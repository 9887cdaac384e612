"""Wild records from Kafka through bronze and silver to gold: none falls out of both sides, and none is changed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from include.domains import REFERENCE_DOMAINS
from include.lake.bronze_log import BronzeLog
from include.lake.records import BronzeRecord
from include.postgres import connect
from include.quality import Valid, classify
from include.settings import Settings
from tests.support.books import assert_balanced
from tests.support.silver import load_gold, run_silver, worker_process
from tests.support.wild import wild_values
from tests.support.world import World

pytestmark = pytest.mark.integration

PARTITIONS = 2
RECORDS = 4_000
IDS = 700
PLACES = {"row", "superseded", "quarantine", "tombstone"}


@pytest.mark.parametrize("seed", [20260131, *(pytest.param(seed, marks=pytest.mark.long) for seed in (1, 2))])
def test_twelve_thousand_wild_records_each_have_one_place(settings: Settings, tmp_path: Path, seed: int) -> None:
    with worker_process() as worker:
        for domain in REFERENCE_DOMAINS.values():
            folder = tmp_path / domain.name
            folder.mkdir()
            world = World(settings, domain, folder)
            world.wipe()
            values = wild_values(domain, RECORDS, IDS, seed)
            world.produce(*values, partitions=PARTITIONS)
            assert worker.submit(run_silver, domain, settings).result().records == RECORDS
            load_gold(domain, settings)
            in_order = [value for partition in range(PARTITIONS) for value in values[partition::PARTITIONS]]
            assert [record.value for record in bronze(world)] == in_order
            found = places(world)
            assert found.total() == RECORDS
            assert found.keys() == PLACES
            assert min(found.values()) > 50, "the records are not wild enough to prove anything"
    assert_balanced(settings, *REFERENCE_DOMAINS.values())


def bronze(world: World) -> list[BronzeRecord]:
    log = BronzeLog(world.s3, world.domain)
    ((topic_id, ends),) = log.end_positions().items()
    return [record for partition, end in sorted(ends.items()) for record in log.read(topic_id, partition, 0, end)]


def places(world: World) -> Counter[str]:
    """How many records are where, each of them in one place; that place's content is the record's own."""
    key, event_time = world.domain.key, world.domain.event_time
    rows = {
        (partition, offset): (id_, when, taken_ms)
        for partition, offset, id_, when, taken_ms in silver_rows(world, key, event_time, "bronze_taken_ms")
    }
    newest = {id_: (when, taken_ms, *coordinates) for coordinates, (id_, when, taken_ms) in rows.items()}
    assert len(newest) == len(rows), "an id has two rows"
    refused = quarantine(world)
    found: Counter[str] = Counter()
    for record in bronze(world):
        coordinates = (record.partition, record.offset)
        homes = [name for name, here in (("row", coordinates in rows), ("quarantine", coordinates in refused)) if here]
        if record.value is None:
            homes.append("tombstone")
        if not homes:
            own = valid_row(world, record)
            assert (own[event_time], record.taken_ms, *coordinates) < newest[own[key]], f"lost: {record}"
            homes.append("superseded")
        assert len(homes) == 1, (homes, record)
        found[homes[0]] += 1
        if coordinates in rows:
            own = valid_row(world, record)
            assert (own[key], own[event_time], record.taken_ms) == rows.pop(coordinates)
        assert refused.pop(coordinates, record.value) == record.value
    assert not rows
    assert not refused
    return found


def valid_row(world: World, record: BronzeRecord) -> dict[str, Any]:
    outcome = classify(world.domain, record)
    assert isinstance(outcome, Valid), f"in no place and not valid: {record}"
    return outcome.row


def silver_rows(world: World, *columns: str) -> list[tuple[Any, ...]]:
    return world.rows("bronze_partition", "bronze_offset", *columns)


def quarantine(world: World) -> dict[tuple[int, int], bytes]:
    with connect(world.settings.warehouse_dsn) as conn:
        found = conn.execute(
            "SELECT partition_id, record_offset, raw FROM ops.quarantine WHERE domain = %s", [world.domain.name]
        ).fetchall()
    return {(partition, offset): raw for partition, offset, raw in found}
