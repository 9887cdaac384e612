"""One record in many that nothing can be done with: it goes to quarantine alone, whatever step it strikes at."""

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
from tests.support.records import encoded, merchant, transaction
from tests.support.silver import load_gold
from tests.support.waiting import wait_until
from tests.support.world import SUBMIT_SECONDS, World

pytestmark = pytest.mark.integration

POISON = Path(__file__).with_name("poison")
NO_WORKER = Path(__file__).with_name("no_worker")
RECORDS = 20_000
PARTITIONS = 4
ALSO_A_WORKER = pytest.mark.parametrize(
    "worker", [{}, pytest.param({7_777: "STRIKE-WORKER"}, marks=pytest.mark.long)], ids=["error", "and a dead worker"]
)
QUARANTINED = "SELECT raw, reasons FROM ops.quarantine WHERE domain = %s ORDER BY partition_id, record_offset"
STRIKE = """
    CREATE FUNCTION strike() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE 'struck while it was written' USING ERRCODE = 'data_exception';
    END $$;
    CREATE TRIGGER strike BEFORE INSERT ON genuinetransaction
    FOR EACH ROW WHEN (NEW.location = 'STRIKE-WRITE') EXECUTE FUNCTION strike();
"""
VERDICTS = "SELECT (SELECT count(*) FROM fraudtransaction) + (SELECT count(*) FROM genuinetransaction)"


def unprocessable(settings: Settings, domain: str) -> dict[bytes | None, str]:
    """What is said of each refused record, by its bytes; each has this one reason."""
    with connect(settings.warehouse_dsn) as conn:
        rows = conn.execute(QUARANTINED, [domain]).fetchall()
    assert all([reason["code"] for reason in reasons] == ["unprocessable"] for _, reasons in rows)
    return {raw: reasons[0]["message"] for raw, reasons in rows}


@pytest.fixture
def stream(settings: Settings, tmp_path: Path) -> Iterator[Stream]:
    begin_anew(settings, TRANSACTIONS)
    stream = Stream(settings, tmp_path, POISON)
    remove_checkpoint(settings, stream.checkpoint)
    yield stream
    remove_checkpoint(settings, stream.checkpoint)


@pytest.fixture
def world(settings: Settings, tmp_path: Path) -> Iterator[World]:
    world = World(settings, MERCHANTS, tmp_path)
    world.wipe()
    yield world
    world.wipe()


@ALSO_A_WORKER
def test_one_micro_batch_of_20_000_with_a_record_that_strikes_at_each_step(
    settings: Settings, stream: Stream, worker: dict[int, str]
) -> None:
    """Reading, classifying, a worker that dies, the rules, and the database, which refuses a row."""
    strikes = {
        1_234: "STRIKE-READ",
        4_321: "STRIKE-CLASSIFY",
        12_345: "STRIKE-RULES",
        19_998: "STRIKE-WRITE",
        **worker,
    }
    # The rules are only asked about what may be a fraud.
    amounts = {12_345: 200_000}
    records = [
        encoded(transaction(number, location=strikes.get(number, "Berlin"), amount=amounts.get(number, 10)))
        for number in range(RECORDS)
    ]
    with connect(settings.warehouse_dsn) as conn:
        conn.execute(STRIKE)
    produce(settings, TRANSACTIONS.topic, records, range(PARTITIONS), keyed=False)
    assert drain(TRANSACTIONS, settings).records == RECORDS
    try:
        with stream.driver() as driver:
            wait_until(lambda: len(stream.ledger()) == 1, "the batch is written", 2 * WAIT_SECONDS)
            driver.stop()
    finally:
        with connect(settings.warehouse_dsn) as conn:
            conn.execute("DROP FUNCTION strike() CASCADE")
    assert stream.ledger() == [(0, RECORDS)]
    said = unprocessable(settings, TRANSACTIONS.name)
    # Not even the bytes of the first can be had: they are in bronze.
    values = {strike: records[number] for number, strike in strikes.items()}
    assert said.keys() == {None, *(values[strike] for strike in values if strike != "STRIKE-READ")}
    assert "RuntimeError: struck while it was read" in said[None]
    assert "ZeroDivisionError: struck while it was classified" in said[values["STRIKE-CLASSIFY"]]
    assert all("worker exited unexpectedly" in said[values[strike]] for strike in worker.values())
    assert "ArithmeticError: struck by a rule" in said[values["STRIKE-RULES"]]
    assert "DataException: struck while it was written" in said[values["STRIKE-WRITE"]]
    with connect(settings.warehouse_dsn) as conn:
        assert conn.execute(VERDICTS).fetchone() == (RECORDS - len(strikes),)
    assert_balanced(settings, TRANSACTIONS)


@ALSO_A_WORKER
def test_a_silver_run_of_20_000_with_a_record_that_strikes_at_each_step(
    settings: Settings, world: World, worker: dict[int, str]
) -> None:
    strikes = {17: "STRIKE-READ", 4_321: "STRIKE-CLASSIFY", 19_998: "STRIKE-ROW", **worker}
    names = (strikes.get(number, "Shop") for number in range(RECORDS))
    records = [encoded(merchant(number, merchant_name=name)) for number, name in enumerate(names)]
    # In an envelope the one that strikes while its line is read would not be told by its bytes.
    produce(settings, MERCHANTS.topic, records, range(2), keyed=False)
    assert drain(MERCHANTS, settings).records == RECORDS
    report = world.report_of(world.submit(POISON))
    assert (report["records"], report["rejected"], report["rows"]) == (RECORDS, len(strikes), RECORDS - len(strikes))
    said = unprocessable(settings, MERCHANTS.name)
    values = {strike: records[number] for number, strike in strikes.items()}
    assert said.keys() == {None, *(values[strike] for strike in values if strike != "STRIKE-READ")}
    assert "RuntimeError: struck while it was read" in said[None]
    assert "ZeroDivisionError: struck while it was classified" in said[values["STRIKE-CLASSIFY"]]
    assert all("worker exited unexpectedly" in said[values[strike]] for strike in worker.values())
    assert "UnicodeEncodeError" in said[values["STRIKE-ROW"]]
    assert load_gold(MERCHANTS, settings).rows_sent == RECORDS - len(strikes)
    assert_balanced(settings, MERCHANTS)


def test_where_no_worker_can_start_no_record_is_blamed(settings: Settings, tmp_path: Path) -> None:
    world = World(settings, MERCHANTS, tmp_path)
    world.wipe()
    world.produce(*(merchant(number) for number in range(3)))
    job = world.submit(NO_WORKER)
    job.communicate(timeout=SUBMIT_SECONDS)
    assert job.returncode != 0
    assert world.quarantined() == []
    assert world.report_of(world.submit())["rows"] == 3
