"""Producing: what the command line and the DAGs share."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Self

from confluent_kafka.admin import AdminClient

from include.domains import GENERATED_REFERENCE, TRANSACTIONS
from include.generators.dirt import BREAKAGES, spoil_reference, spoil_transaction
from include.generators.pace import turns
from include.generators.population import DEFAULT_MERCHANTS, DEFAULT_SEED, DEFAULT_USERS, Population
from include.generators.producer import RecordProducer
from include.generators.records import Message, encode
from include.generators.reference import reference_records
from include.generators.transactions import KeyAndValue, Transaction, TransactionSource, now
from include.kafka.topics import LABELS_TOPIC, ensure_topics

DEFAULT_RATE = 10.0
DEFAULT_FRAUD_SHARE = 0.02
DEFAULT_REFERENCE_DIRT = 0.05
DEFAULT_TRANSACTION_DIRT = 0.01

GENUINE = "genuine"
TOPIC_SECONDS = 30.0
"""How long producing waits for Kafka to have the topics ready."""


@dataclass
class ProduceReport:
    """What was produced.

    ``records`` counts by topic, ``dirt`` by its kind (several messages of one kind count each), ``truth`` the
    transactions by scenario, those without one under ``genuine``. ``seconds`` is the time it took.
    """

    records: Counter[str] = field(default_factory=Counter)
    dirt: Counter[str] = field(default_factory=Counter)
    truth: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def malformed(self) -> int:
        """How many of the records break their contract and belong into quarantine."""
        return sum(count for kind, count in self.dirt.items() if kind in BREAKAGES)

    def as_json(self) -> dict[str, Any]:
        """The report as a JSON object."""
        return {
            "records": dict(self.records),
            "malformed": self.malformed,
            "dirt": dict(self.dirt),
            "truth": dict(self.truth),
            "seconds": round(self.seconds, 3),
        }


def produce_reference(
    kafka_config: Mapping[str, Any],
    *,
    seed: int = DEFAULT_SEED,
    users: int = DEFAULT_USERS,
    merchants: int = DEFAULT_MERCHANTS,
    dirt_share: float = DEFAULT_REFERENCE_DIRT,
    base: datetime | None = None,
) -> ProduceReport:
    """Produce every user, merchant and account of a population, and create the topics if missing.

    ``kafka_config`` is a confluent_kafka configuration. ``dirt_share`` is the share of records with dirt, 0 to 1.
    ``base`` (UTC) is the time of the newest event, by default now; the same arguments give the same bytes. All records
    are delivered when this returns.

    Raises:
        ValueError: a count is too small or a share is none.
        include.kafka.topics.TopicTimeoutError: Kafka does not answer or cannot make the topics.
        include.generators.producer.DeliveryError: a record was not delivered.
    """
    dirty = _share("dirt_share", dirt_share)
    population = Population(seed, users, merchants)
    newest = base or now()
    _ensure(kafka_config, [domain.topic for domain in GENERATED_REFERENCE])
    rng = population.random_for("dirt")
    with _Run(kafka_config) as run:
        for domain, record in reference_records(population, newest):
            if rng.random() < dirty:
                run.send(spoil_reference(rng, domain, record, newest))
            else:
                run.send([Message(domain.topic, str(record[domain.key]).encode(), encode(record))])
    return run.report


def produce_transactions(
    kafka_config: Mapping[str, Any],
    *,
    seed: int = DEFAULT_SEED,
    users: int = DEFAULT_USERS,
    merchants: int = DEFAULT_MERCHANTS,
    rate: float | None = DEFAULT_RATE,
    duration: float | None = None,
    history: timedelta | None = None,
    fraud_share: float = DEFAULT_FRAUD_SHARE,
    dirt_share: float = DEFAULT_TRANSACTION_DIRT,
    stop: Callable[[], bool] = lambda: False,
    progress: Callable[[ProduceReport], None] = lambda _: None,
    run_id: str | None = None,
) -> ProduceReport:
    """Produce transactions and their labels until ``stop()`` or for ``duration`` seconds; create the topics if missing.

    ``seed``, ``users`` and ``merchants`` must be those of the reference data. ``rate`` is in transactions per second
    (None: as fast as possible); what dirt adds comes on top. Shares are 0 to 1. ``run_id`` goes into every txn_id
    and must never be used twice; by default it is new. ``progress`` is told after each turn, of one
    transaction or a few hundred.

    ``history`` is how long a past is made first, as fast as possible: with the times of these days, in their order, and
    on average ``rate`` transactions for each of its seconds. Live traffic goes on where it ends; with a ``duration`` of
    0 there is none.

    A transaction's label is sent before it, so whoever sees a transaction without a label sees one of another
    producer. All that was sent is delivered when this returns.

    Raises:
        ValueError: an argument is out of its range.
        include.kafka.topics.TopicTimeoutError: Kafka does not answer or cannot make the topics.
        include.generators.producer.DeliveryError: a record was not delivered.
    """
    dirty = _share("dirt_share", dirt_share)
    if history is not None and (history <= timedelta(0) or rate is None or rate <= 0):
        raise ValueError(f"a history needs a length and a rate above zero, not {history} and {rate or 0}")
    population = Population(seed, users, merchants)
    run_id = run_id or new_run_id()
    source = TransactionSource(population, run_id=run_id, fraud_share=fraud_share)
    _ensure(kafka_config, [TRANSACTIONS.topic, LABELS_TOPIC])
    rng = population.random_for(f"dirt/{run_id}")
    with _Run(kafka_config) as run:
        for made in _made(source, rate, duration, history, stop, run.producer.wait):
            run.send_all(LABELS_TOPIC, [transaction.label_sent for transaction in made])
            records = []
            for transaction in made:
                if rng.random() < dirty:
                    genuine = transaction.scenario is None
                    messages = spoil_transaction(rng, transaction.record, source.new_id(), genuine)
                    records += [(message.key, message.value) for message in messages]
                    run.report.dirt.update(message.dirt for message in messages if message.dirt)
                else:
                    records.append(transaction.sent)
            run.send_all(TRANSACTIONS.topic, records)
            run.report.truth.update(transaction.scenario or GENUINE for transaction in made)
            progress(run.report)
    return run.report


def _made(
    source: TransactionSource,
    rate: float | None,
    duration: float | None,
    history: timedelta | None,
    stop: Callable[[], bool],
    wait: Callable[[float], None],
) -> Iterator[list[Transaction]]:
    if history and rate:
        since = now() - history
        # The second round makes up for the time that the first one took.
        for _ in range(2):
            until = now()
            for made in source.past(since, until, rate):
                if stop():
                    return
                yield made
            since = until
        if duration == 0:
            return
    # The turn comes first: a transaction's time is that of the moment it is made.
    for due in turns(rate, duration, stop=stop, wait=wait):
        yield source.take(due)


def new_run_id() -> str:
    """A run id that no other run has: the time in seconds and 32 random bits, in hexadecimal."""
    return f"{int(time.time()):x}{secrets.token_hex(4)}"


class _Run:
    """A producer and the report of what went through it; the report is complete when the block has ended."""

    def __init__(self, kafka_config: Mapping[str, Any]) -> None:
        self.report = ProduceReport()
        self.producer = RecordProducer(kafka_config)
        self._started = time.monotonic()

    def __enter__(self) -> Self:
        self.producer.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.producer.__exit__(*error)
        self.report.seconds = time.monotonic() - self._started

    def send(self, messages: Iterable[Message]) -> None:
        for message in messages:
            self.send_all(message.topic, [(message.key, message.value)])
            if message.dirt:
                self.report.dirt[message.dirt] += 1

    def send_all(self, topic: str, records: Sequence[KeyAndValue]) -> None:
        self.producer.send_all(topic, records)
        self.report.records[topic] += len(records)


def _ensure(kafka_config: Mapping[str, Any], topics: Iterable[str]) -> None:
    ensure_topics(AdminClient(dict(kafka_config)), topics, TOPIC_SECONDS)


def _share(name: str, share: float) -> float:
    if not 0 <= share <= 1:
        raise ValueError(f"{name} must be within 0 and 1, not {share}")
    return share
