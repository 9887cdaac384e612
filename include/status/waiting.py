"""Records that wait where no layer counts them as its delay, and why."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from include.domains import Domain
from include.kafka.waiting import OpenTransaction, open_transactions
from include.sql import load_sql
from include.status.problems import Problem
from include.status.stores import KAFKA_SECONDS, Stores
from include.status.times import age, duration, records

OPEN_TRANSACTION = "open_transaction"
QUARANTINE = "quarantine"

OPEN_SECONDS = 60.0
"""A transaction that is open for longer holds up good records of others: producers commit within a second or so, and
one that died is aborted by Kafka after its ``transaction.timeout.ms``, which is a minute unless somebody chose more."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """So many records wait for ``reason``.

    ``seconds``: for how long the first of them has; None when nobody knows. Where they are is known of those in Kafka:
    ``topic``, ``partition`` and ``offset`` of the first.
    """

    reason: str
    domain: str
    records: int
    seconds: float | None
    topic: str | None = None
    partition: int | None = None
    offset: int | None = None

    @property
    def too_long(self) -> bool:
        """Whether somebody has to do something about it: quarantine waits for people, which is no fault of the flow."""
        return self.reason == OPEN_TRANSACTION and self.seconds is not None and self.seconds > OPEN_SECONDS

    @property
    def sentence(self) -> str:
        """What waits, where, why and since when."""
        since = "" if self.seconds is None else f", the first for {duration(self.seconds)}"
        if self.reason == QUARANTINE:
            return f"in quarantine: {records(self.records)}{since}"
        return (
            f"behind an open transaction in Kafka: up to {records(self.records)}{since}"
            f" ({self.topic}, partition {self.partition}, from offset {self.offset})"
        )

    def as_json(self) -> dict[str, Any]:
        """As plain values, without what is not known."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def behind_open_transactions(stores: Stores, domain: Domain) -> list[Waiting]:
    """The records of the domain's topic behind open transactions, by partition.

    Raises:
        include.kafka.topics.UnknownTopicError: there is no such topic.
        confluent_kafka.KafkaException, include.kafka.topics.TopicTimeoutError: Kafka does not answer.
    """
    found = open_transactions(stores.admin, stores.kafka, domain.topic, KAFKA_SECONDS)
    return [waiting_behind(one, domain) for one in found]


def waiting_behind(one: OpenTransaction, domain: Domain) -> Waiting:
    """What waits behind an open transaction, as of now."""
    seconds = None if one.since_ms is None else age(one.since_ms / 1000)
    return Waiting(OPEN_TRANSACTION, domain.name, one.records, seconds, one.topic, one.partition, one.offset)


def in_quarantine(stores: Stores) -> list[Waiting]:
    """The records in quarantine, by domain.

    Raises:
        psycopg.Error: the warehouse does not answer.
    """
    with stores.warehouse() as connection:
        rows = connection.execute(load_sql("status/quarantine_waiting")).fetchall()
    return [Waiting(QUARANTINE, domain, records, age(oldest.timestamp())) for domain, records, oldest in rows]


def problem(waiting: Waiting) -> Problem | None:
    """What is wrong, if somebody has to do something."""
    return Problem(waiting.reason, f"kafka {waiting.domain}", waiting.sentence) if waiting.too_long else None
