"""What the stores hold before any data comes: topics, buckets, tables."""

from __future__ import annotations

from botocore.exceptions import ClientError
from confluent_kafka.admin import AdminClient

from include.domains import BUCKETS
from include.kafka.topics import TOPICS, ensure_topics
from include.lake.s3 import s3_client
from include.postgres import connect
from include.settings import Settings
from include.warehouse.schema import apply_schema


def make_topics(settings: Settings) -> None:
    """Make the topics that are missing."""
    ensure_topics(AdminClient({**settings.kafka_config, "log_level": 0}), list(TOPICS))


def make_buckets(settings: Settings) -> None:
    """Make the buckets that are missing.

    Raises:
        botocore.exceptions.ClientError: the login may neither use nor make one of them.
    """
    client = s3_client(settings)
    # AWS wants every other region than this one named; other stores have none.
    elsewhere = settings.s3_endpoint_url is None and settings.s3_region != "us-east-1"
    for name in BUCKETS:
        try:
            client.head_bucket(Bucket=name)
        except ClientError as error:
            if error.response["Error"]["Code"] != "404":
                raise
            place = {"CreateBucketConfiguration": {"LocationConstraint": settings.s3_region}} if elsewhere else {}
            client.create_bucket(Bucket=name, **place)  # type: ignore[arg-type]  # any region's name


def make_tables(settings: Settings) -> None:
    """Bring the warehouse's tables and views to what this version describes."""
    with connect(settings.warehouse_dsn) as connection:
        apply_schema(connection)
