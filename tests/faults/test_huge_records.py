"""More bytes than the heap of a Spark job: records of nearly a megabyte that wait while nobody reads them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from include.domains import MERCHANTS, TRANSACTIONS
from include.postgres import connect
from include.settings import Settings
from tests.support.books import assert_balanced, begin_anew, remove_checkpoint
from tests.support.bronze import drain
from tests.support.fraud_stream import WAIT_SECONDS, Stream
from tests.support.kafka import produce
from tests.support.records import merchant, transaction
from tests.support.silver import load_gold
from tests.support.waiting import wait_until
from tests.support.world import World

pytestmark = [pytest.mark.integration, pytest.mark.long]

RECORDS = 1_500
PADDING = "x" * 900_000
VERDICTS = "SELECT (SELECT count(*) FROM fraudtransaction) + (SELECT count(*) FROM genuinetransaction)"


@pytest.fixture
def stream(settings: Settings, tmp_path: Path) -> Iterator[Stream]:
    begin_anew(settings, TRANSACTIONS)
    stream = Stream(settings, tmp_path)
    remove_checkpoint(settings, stream.checkpoint)
    yield stream
    remove_checkpoint(settings, stream.checkpoint)


def test_1_500_transactions_of_900_kb_wait_for_a_stream_with_a_heap_of_700_mb(
    settings: Settings, stream: Stream
) -> None:
    produce(settings, TRANSACTIONS.topic, (transaction(number, memo=PADDING) for number in range(RECORDS)))
    assert drain(TRANSACTIONS, settings).records == RECORDS

    def judged() -> int:
        with connect(settings.warehouse_dsn) as conn:
            count: int = conn.execute(VERDICTS).fetchall()[0][0]
            return count

    with stream.driver() as driver:
        wait_until(lambda: driver.jvm.poll() is not None or judged() == RECORDS, "all have a verdict", 2 * WAIT_SECONDS)
        assert driver.jvm.poll() is None, driver.output()[-3000:]
        driver.stop()
    assert sum(records for _, records in stream.ledger()) == RECORDS
    assert_balanced(settings, TRANSACTIONS)


def test_600_rejected_merchants_of_900_kb_in_a_silver_run_with_a_heap_of_700_mb(
    settings: Settings, tmp_path: Path
) -> None:
    world = World(settings, MERCHANTS, tmp_path)
    world.wipe()
    world.produce(*(merchant(number, risk_level="none", memo=PADDING) for number in range(600)), partitions=2)
    world.produce(*(merchant(number) for number in range(600, 620)))
    report = world.report_of(world.submit())
    assert (report["rejected"], report["rows"]) == (600, 20)
    assert load_gold(MERCHANTS, settings).rows_sent == 20
    assert_balanced(settings, MERCHANTS)
