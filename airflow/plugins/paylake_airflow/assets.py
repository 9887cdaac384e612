"""The assets as Airflow knows them, made from their registry, ``include/assets/registry.py``.

They are made here and nowhere else. Airflow takes the watchers of an asset from whichever DAG file it parsed last, so a
second definition without the watcher would remove it.
"""

from __future__ import annotations

from functools import cache

from airflow.sdk import Asset, AssetWatcher

from include.assets import registry
from include.assets.registry import ASSETS, BRONZE, CHECKS, FRAUD, GOLD, KAFKA, MANY, SILVER
from include.assets.spec import AssetSpec
from include.domains import Domain
from paylake_airflow.triggers import KafkaEndOffsetsTrigger

__all__ = ["BRONZE", "CHECKS", "FRAUD", "GOLD", "KAFKA", "SILVER"]


@cache
def asset(name: str) -> Asset:
    """The asset of this name."""
    return _made(ASSETS[name])


@cache
def topic(domain: Domain) -> Asset:
    """The domain's Kafka topic; it is watched, so that any producer wakes bronze.

    Transactions need no waking: the stream that reads them never sleeps.
    """
    spec = registry.topic(domain)
    if domain.judged:
        return asset(spec.name)
    trigger = KafkaEndOffsetsTrigger(topic=domain.topic)
    return _made(spec, AssetWatcher(name=f"{domain.topic}_end_offsets", trigger=trigger))


@cache
def every_million(domain: Domain) -> Asset:
    """Tells whenever so many records came to the domain's topic."""
    trigger = KafkaEndOffsetsTrigger(topic=domain.topic, records=MANY, poll_seconds=15.0)
    return _made(registry.every_million(domain), AssetWatcher(name=f"{domain.topic}_many", trigger=trigger))


def bronze(domain: Domain) -> Asset:
    """The domain's folder in the bucket ``bronze``."""
    return asset(registry.bronze(domain).name)


def silver(domain: Domain) -> Asset:
    """The domain's folder in the bucket ``silver``."""
    return asset(registry.silver(domain).name)


def gold(domain: Domain) -> Asset:
    """The domain's table in the warehouse."""
    return asset(registry.gold(domain).name)


def _made(spec: AssetSpec, *watchers: AssetWatcher) -> Asset:
    return Asset(name=spec.name, uri=spec.uri, group=spec.group, extra=spec.extra(), watchers=list(watchers))


LABELS = asset(registry.LABELS.name)
FRAUD_TRANSACTION = asset(registry.FRAUD_TRANSACTION.name)
GENUINE_TRANSACTION = asset(registry.GENUINE_TRANSACTION.name)
DAILY_FRAUD = asset(registry.DAILY_FRAUD.name)
BOOKS = asset(registry.BOOKS.name)
