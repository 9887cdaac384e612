"""A whole stack, and what a plain client produced into it."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

import psycopg
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from include.domains import BRONZE_BUCKET, DOMAINS, SILVER_BUCKET
from include.kafka.topics import topic_id
from include.lake.s3 import s3_client
from include.settings import Settings
from tests.support.objects import objects
from tests.support.stack import Stack
from tests.support.story_records import Sent
from tests.support.waiting import wait_until
from tests.support.warehouse import GOLD_TABLES

FLOW_SECONDS = 300.0
"""How long data may take from Kafka to the warehouse, with all Spark jobs to start on a busy machine."""


class Story:
    """The running stack and what was produced into it so far."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.settings = stack.settings
        self.airflow = stack.airflow
        self.produced: dict[tuple[str, str, int], list[bytes | None]] = {}
        """By topic, its id and partition, in order."""
        self.coordinates: dict[tuple[str, int], tuple[str, int, int]] = {}
        """By topic and number in the order of sending: the topic's id, partition and offset."""

    def produce(self, topic: str, messages: Sequence[Sent]) -> None:
        """Send with a plain client and note where each record landed."""
        admin = AdminClient({"bootstrap.servers": self.settings.kafka_bootstrap_servers})
        identity = topic_id(admin, topic)
        assert identity is not None
        producer = Producer({"bootstrap.servers": self.settings.kafka_bootstrap_servers, "acks": "all"})
        landed: list[tuple[int, int]] = []

        def delivered(error: Any, sent: Any) -> None:
            assert error is None, error
            landed.append((sent.partition(), sent.offset()))

        first = sum(1 for name, _ in self.coordinates if name == topic)
        for number, (key, value) in enumerate(messages):
            producer.produce(topic, key=key, value=value, on_delivery=delivered)
            assert producer.flush(30) == 0
            partition, offset = landed[-1]
            self.produced.setdefault((topic, identity, partition), []).append(value)
            self.coordinates[topic, first + number] = (identity, partition, offset)

    def rows(self, sql: str) -> set[tuple[Any, ...]]:
        """The rows of a query, each as a tuple; lists become tuples."""
        with psycopg.connect(self.settings.warehouse_dsn) as connection:
            found = connection.execute(sql).fetchall()
        rows = [tuple(tuple(value) if isinstance(value, list) else value for value in row) for row in found]
        assert len(rows) == len(set(rows))
        return set(rows)

    def await_rows(self, sql: str, expected: set[tuple[Any, ...]]) -> None:
        """Wait for a query's rows to be the expected ones."""
        wait_until(
            lambda: self.rows(sql) == expected, lambda: f"{expected}, found {self.rows(sql)}", FLOW_SECONDS, pause=0.5
        )

    def fingerprint(self) -> dict[str, Any]:
        """Everything that a run which has nothing to do must leave as it is, down to load times and file names."""
        state: dict[str, Any] = {
            table: sorted(self.rows(f"SELECT t::text FROM {table} AS t"))  # noqa: S608 - names of ours
            for table in (*GOLD_TABLES, "ops.quarantine")
        }
        s3 = s3_client(self.settings)
        for bucket in (BRONZE_BUCKET, SILVER_BUCKET):
            state[bucket] = {key: tag for key, tag in objects(s3, bucket).items() if not key.startswith("_")}
        return state

    def assert_bronze_is_what_was_produced(self) -> None:
        """To the byte, in order, each record once."""
        for (topic, identity, partition), sent in self.produced.items():
            assert bronze_values(self.settings, topic, identity, partition) == sent, (topic, identity, partition)


def bronze_values(settings: Settings, topic: str, identity: str, partition: int) -> list[bytes | None]:
    """What bronze holds of a partition, read from the objects alone, as its documentation says they are to be read."""
    domain = next(domain for domain in DOMAINS.values() if domain.topic == topic)
    s3 = s3_client(settings)
    prefix = f"{domain.bronze_folder}/{identity}/{partition}/"
    values: list[bytes | None] = []
    for key in objects(s3, BRONZE_BUCKET, prefix):
        body = s3.get_object(Bucket=BRONZE_BUCKET, Key=key)["Body"].read()
        for line in body.splitlines():
            if line.startswith(b'{"_paylake_envelope":'):
                encoded = json.loads(line)["_paylake_envelope"]["value_base64"]
                values.append(None if encoded is None else base64.b64decode(encoded))
            else:
                values.append(line)
    return values
