"""The assets: one per topic, lake folder and table, made from the registry of domains.

They are made here and nowhere else. Airflow takes the watchers of an asset from whichever DAG file it parsed last, so a
second definition without the watcher would remove it.

The hosts in the URIs are names of roles, not addresses: an asset stays the same when its server moves.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from airflow.sdk import Asset, AssetWatcher

from include.domains import BRONZE_BUCKET, DOMAINS, SILVER_BUCKET, TRANSACTIONS, Domain, Kind
from paylake_airflow.triggers import KafkaEndOffsetsTrigger

KAFKA = "kafka"
BRONZE = "bronze"
SILVER = "silver"
GOLD = "gold"
FRAUD = "fraud"
CHECKS = "checks"

MANY = 1_000_000
"""So many records should not wait for a quarter of an hour."""

_TABLE_URI = "postgres://warehouse:5432/warehouse/public/{}"


@cache
def topic(domain: Domain) -> Asset:
    """The domain's Kafka topic; it is watched, so that any producer wakes bronze.

    Transactions need no waking: the stream that reads them never sleeps.
    """
    watchers = []
    if not domain.judged:
        trigger = KafkaEndOffsetsTrigger(topic=domain.topic)
        watchers.append(AssetWatcher(name=f"{domain.topic}_end_offsets", trigger=trigger))
    return Asset(
        name=domain.topic,
        uri=f"kafka://kafka/{domain.topic}",
        group=KAFKA,
        extra=_about(domain, f"{domain.contract.name} as they are produced, one JSON object per message."),
        watchers=watchers,
    )


@cache
def every_million(domain: Domain) -> Asset:
    """Tells whenever so many records came to the domain's topic.

    An asset of its own: what tells of the topic itself would wake the streams that read it, and they never sleep.
    """
    trigger = KafkaEndOffsetsTrigger(topic=domain.topic, records=MANY, poll_seconds=15.0)
    return Asset(
        name=f"{domain.topic}/every-million",
        uri=f"kafka://kafka/{domain.topic}/every-million",
        group=KAFKA,
        extra=_about(domain, f"Tells when {MANY:,} more messages of {domain.topic} came."),
        watchers=[AssetWatcher(name=f"{domain.topic}_many", trigger=trigger)],
    )


@cache
def bronze(domain: Domain) -> Asset:
    """The domain's folder in the bucket ``bronze``."""
    return Asset(
        name=f"bronze/{domain.bronze_folder}",
        uri=f"s3://{BRONZE_BUCKET}/{domain.bronze_folder}",
        group=BRONZE,
        extra=_about(
            domain, f"Every message of {domain.topic}, byte by byte, named by topic id, partition and offset."
        ),
    )


@cache
def silver(domain: Domain) -> Asset:
    """The domain's folder in the bucket ``silver``."""
    held = f"the newest of each {domain.key}" if domain.kind is Kind.REFERENCE else f"every one, by {domain.event_time}"
    return Asset(
        name=f"silver/{domain.silver_folder}",
        uri=f"s3://{SILVER_BUCKET}/{domain.silver_folder}",
        group=SILVER,
        extra=_about(domain, f"{domain.contract.name}, valid and cleaned, {held}, as Parquet."),
    )


@cache
def gold(domain: Domain) -> Asset:
    """The domain's table in the warehouse."""
    return Asset(
        name=f"gold/{domain.table.upper()}",
        uri=_TABLE_URI.format(domain.table.lower()),
        group=GOLD,
        extra=_about(domain, domain.contract.table_description),
    )


def _verdict(table: str, description: str) -> Asset:
    return Asset(
        name=f"fraud/{table}",
        uri=_TABLE_URI.format(table.lower()),
        group=FRAUD,
        extra=_about(TRANSACTIONS, description),
    )


def _about(domain: Domain, description: str) -> dict[str, Any]:
    contract = domain.contract
    return {"description": description, "contract": contract.id, "contract_version": contract.version}


LABELS = Asset(
    name="transaction_labels",
    uri="kafka://kafka/transaction_labels",
    group=KAFKA,
    extra={
        "description": "The truth about generated transactions, for ./paylake evaluate; the detector never reads it."
    },
)
FRAUD_TRANSACTION = _verdict("FraudTransaction", "Transactions on which at least one rule fired, with the evidence.")
GENUINE_TRANSACTION = _verdict("GenuineTransaction", "Valid transactions on which no rule fired.")

BOOKS = Asset(
    name="checks/books",
    uri="paylake://paylake/checks/books",
    group=CHECKS,
    extra={
        "description": "Whether every record is in exactly one place, from Kafka to the tables: the newest event says."
    },
)

TOPICS = {name: topic(domain) for name, domain in DOMAINS.items()}
