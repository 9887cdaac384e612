"""The bench itself, in short: it measures, and what it measures is not what it was."""

from __future__ import annotations

from itertools import islice, pairwise

import psycopg
import pytest
from confluent_kafka.admin import AdminClient

from include.bench import latency, state, traffic
from include.bench.apart import apart, follow
from include.bench.history import PARTITION
from include.bench.history import History as BronzeHistory
from include.bench.rulebooks import FEATURES
from include.domains import TRANSACTIONS
from include.fraud.features import Feature
from include.fraud.history import History
from include.ingest import Limits
from include.kafka.topics import ensure_topics
from include.settings import Settings
from tests.support.books import begin_anew
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration


def test_making_transactions_costs_a_fraction_of_calling_faker_for_each_field(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traffic, "RECORDS", 20_000)
    monkeypatch.setattr(traffic, "FAKER_RECORDS", 2_000)
    (figure,) = traffic.generate(settings, rounds=3)
    unmade, faker = figure.peers
    # Wide: 0.7 and 17 on a machine that did nothing else.
    assert figure.ratio(unmade) > 0.2
    assert figure.ratio(faker) > 5


def test_latency_is_that_of_all_that_was_made_in_the_time(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "SECONDS", 5.0)
    monkeypatch.setattr(latency, "WARM_UP_SECONDS", 2.0)
    monkeypatch.setattr(latency, "WANTED", {200: {"p50": None, "p99": None}})
    begin_anew(settings, TRANSACTIONS)
    half, nearly_all, made = latency.latency(settings, 1)
    # A second's flush and a second's trigger, on a machine that may be busy; never less than a record takes to Kafka.
    assert 0.01 < half.median <= nearly_all.median < 30
    assert 150 < made.median < 250


def test_what_is_remembered_in_whatever_way_is_the_same_and_costs_something(
    conn: psycopg.Connection, own: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "USERS", 20)
    monkeypatch.setattr(state, "PAYMENTS", 10)
    monkeypatch.setattr(state, "PIECE", 100)
    monkeypatch.setattr(state, "SIZES", (10, 50))
    small, large, memory, _ = state.state(own, 1)
    for figure in (small, large, memory):
        assert figure.median > 0
        assert all(peer.median > 0 for peer in figure.peers)
    features = tuple(Feature.model_validate({"name": name, **one}) for name, one in FEATURES.items())
    in_memory, in_rows = History(features, lambda _member, _sinces: ()), state.Rows(features, conn)
    for piece in islice(state.payments(), 3):
        assert in_rows.pass_by(piece) == in_memory.pass_by(piece)


def test_a_history_is_one_that_the_ingestion_goes_on_from(settings: Settings) -> None:
    begin_anew(settings, TRANSACTIONS)
    ensure_topics(AdminClient(settings.kafka_config), [TRANSACTIONS.topic])
    with BronzeHistory(settings) as history:
        history.write(history.make(20))
        made = history.make(1)
        with apart(follow, settings, Limits(flush_records=1)):
            wait_until(lambda: history.has(20), "the object of the ingestion")
        objects = list(history.log.objects(history.topic_id, PARTITION))
        records = list(history.log.read(history.topic_id, PARTITION, 0, 21))
    assert [one.start for one in objects] == list(range(21))
    assert all(later.offset == earlier.offset + 1 for earlier, later in pairwise(records))
    assert records[-1].value == made[0].value
