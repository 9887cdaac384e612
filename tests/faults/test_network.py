"""A network that is slow, stands still and breaks off, on each way to a server: all the same each record lands once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from include.domains import MERCHANTS, TRANSACTIONS
from include.generators.producer import RecordProducer
from include.settings import Settings
from paylake_airflow.defaults import BATCH
from tests.support.books import assert_balanced, remove_checkpoint
from tests.support.bronze import drain, values_by_partition
from tests.support.bronze_writer import Writer
from tests.support.fraud_stream import Driver, Stream
from tests.support.network import FAULTS, SERVERS, Network, network
from tests.support.records import merchants
from tests.support.servers import Servers
from tests.support.silver import load_gold
from tests.support.transactions_topic import TransactionsTopic, steadily
from tests.support.waiting import wait_until
from tests.support.world import World

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(900)]

EACH_FAULT = len(SERVERS) * len(FAULTS)
FAULTS_SECONDS = 300.0
VERDICT_SECONDS = 90.0
"""The promise: after whatever fault, verdicts flow again within this time."""


@pytest.fixture(scope="module")
def unreliable(servers: Servers) -> Iterator[Network]:
    with network(servers) as unreliable:
        yield unreliable


@pytest.fixture
def far(unreliable: Network, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The servers' addresses in the network, which the jobs that the test starts get from their environment."""
    for name, value in unreliable.settings.as_environment().items():
        monkeypatch.setenv(name, value)
    return unreliable.settings


def test_each_transaction_gets_one_verdict(
    settings: Settings, far: Settings, unreliable: Network, tmp_path: Path
) -> None:
    topic, stream = TransactionsTopic(settings), Stream(settings, tmp_path)
    remove_checkpoint(settings, stream.checkpoint)
    patient = {**far.kafka_config, "delivery.timeout.ms": 120_000, "reconnect.backoff.max.ms": 1_000}
    with Writer(TRANSACTIONS, far) as writer:
        with (
            unreliable.failing(seed=3) as faults,
            RecordProducer(patient) as producer,
            steadily(lambda value: producer.send(TRANSACTIONS.topic, value[:40], value), per_second=100) as sent,
        ):
            starts = judge(stream, lambda: len(faults) >= 2 * EACH_FAULT)
        back = time.monotonic()
        judge(stream, lambda: verdicts(stream) == len(sent))
        print(
            f"{len(sent)} records, {starts} drivers, all judged {time.monotonic() - back:.1f} s after the faults' end"
        )
        assert time.monotonic() - back < VERDICT_SECONDS
        assert writer.alive
    values = values_by_partition(topic.log, topic.id).values()
    assert sorted(value for each in values for value in each if value is not None) == sorted(sent)
    assert_balanced(settings, TRANSACTIONS)
    remove_checkpoint(settings, stream.checkpoint)


def judge(stream: Stream, done: Callable[[], bool]) -> int:
    """Have a driver of the fraud stream, and another when one ends, as Airflow does; returns how many there were."""
    starts = 0
    while not done():
        starts += 1
        with stream.driver() as driver:

            def over(driver: Driver = driver) -> bool:
                return done() or driver.jvm.poll() is not None

            wait_until(over, "the end of the faults", FAULTS_SECONDS)
    return starts


def verdicts(stream: Stream) -> int:
    fraud, genuine, _, _ = stream.stored() or (0, 0, 0, 0)
    return int(fraud + genuine)


def test_reference_data_are_in_silver_and_gold_once(
    settings: Settings, far: Settings, unreliable: Network, tmp_path: Path
) -> None:
    world = World(settings, MERCHANTS, tmp_path)
    world.wipe()
    with unreliable.failing(seed=4) as faults:
        for day in (1, 2):
            world.produce(*merchants(range(day * 100, 1_000), day), b"garbage", partitions=2, into_bronze=False)
            drain(MERCHANTS, far)
            wait_until(lambda: len(faults) > 3, "some faults")
            silver, gold = as_airflow_does(AssertionError), as_airflow_does(psycopg.OperationalError)
            silver(lambda: world.report_of(world.submit()))
            gold(load_gold, MERCHANTS, far)
            print(f"{silver.statistics['attempt_number']} tries of silver, {gold.statistics['attempt_number']} of gold")
    assert_balanced(settings, MERCHANTS)
    assert len(world.rows()) == 900
    assert [raw for _, raw, _ in world.quarantined()] == [b"garbage"] * 2


def as_airflow_does(passes: type[Exception]) -> Retrying:
    """Tries it as often, with pauses that grow likewise, but from a second and not from ten."""
    return Retrying(
        retry=retry_if_exception_type(passes),
        stop=stop_after_attempt(1 + BATCH["retries"]),
        wait=wait_exponential(multiplier=1),
        reraise=True,
    )
