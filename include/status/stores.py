"""The stores as a look at them needs them."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock
from typing import TYPE_CHECKING, Any

import psycopg
from confluent_kafka.admin import AdminClient

from include.kafka.clients import admin_client
from include.lake.s3 import s3_client
from include.postgres import connect
from include.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

KAFKA_SECONDS = 5.0
"""How long one question to Kafka may take."""

STATEMENT_TIMEOUT = "10s"
"""How long one question to the warehouse may take."""


class Stores:
    """Clients for a look: tried once, because a look tells how it is now. Threads may share them.

    Each is made when it is first wanted, so that settings which make no sense to one do not keep the others from work.
    ``kafka`` is a confluent_kafka configuration, when ``settings`` does not say all that the brokers want.
    """

    def __init__(self, settings: Settings, kafka: Mapping[str, Any] | None = None) -> None:
        self.settings = settings
        self.kafka = {"log_level": 0, **(kafka or settings.kafka_config)}
        self._s3: S3Client | None = None
        self._admin: AdminClient | None = None
        self._making = Lock()  # boto3 cannot make two clients at once

    @property
    def s3(self) -> S3Client:
        """The lake.

        Raises:
            ValueError: its address is none.
        """
        with self._making:
            self._s3 = self._s3 or s3_client(self.settings, attempts=1)
            return self._s3

    @property
    def admin(self) -> AdminClient:
        """Kafka.

        Raises:
            confluent_kafka.KafkaException: its client cannot be configured so.
        """
        with self._making:
            self._admin = self._admin or admin_client(self.kafka)
            return self._admin

    def warehouse(self) -> psycopg.Connection:
        """A connection on which no statement takes longer than ``STATEMENT_TIMEOUT``; whoever asks for it closes it.

        Raises:
            psycopg.OperationalError: the server does not answer or refuses.
        """
        connection = connect(self.settings.warehouse_dsn, "paylake status")
        connection.execute("SELECT set_config('statement_timeout', %s, false)", [STATEMENT_TIMEOUT])
        return connection
