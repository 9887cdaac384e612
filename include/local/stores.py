"""What the stores hold before any data comes: topics, buckets, tables."""

from __future__ import annotations

from confluent_kafka.admin import AdminClient

from include.domains import BUCKETS
from include.kafka.topics import TOPICS, ensure_topics
from include.lake.s3 import s3_client
from include.settings import Settings
from include.warehouse.connect import connect
from include.warehouse.schema import apply_schema


def make_topics(settings: Settings) -> None:
    """Make the topics that are missing."""
    ensure_topics(AdminClient({**settings.kafka_config, "log_level": 0}), list(TOPICS))


def make_buckets(settings: Settings) -> None:
    """Make the buckets that are missing."""
    client = s3_client(settings)
    existing = {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
    for name in BUCKETS:
        if name not in existing:
            client.create_bucket(Bucket=name)


def make_tables(settings: Settings) -> None:
    """Bring the warehouse's tables and views to what this version describes."""
    with connect(settings.warehouse_dsn) as connection:
        apply_schema(connection)
