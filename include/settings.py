"""Where the servers are: the one place that reads Paylake's settings from the environment.

The names are those that ``./paylake env`` prints, so a job, a test and one's own client are configured alike.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


class MissingSettingError(RuntimeError):
    """An environment variable that Paylake needs is not set, or makes no sense."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Addresses and credentials of the stack.

    ``s3_endpoint_url`` is None for AWS itself. ``warehouse_dsn`` is a libpq URI. ``kafka_options`` are what librdkafka
    has to know besides the servers, such as ``security.protocol`` and ``sasl.password``.
    """

    kafka_bootstrap_servers: str
    s3_endpoint_url: str | None
    s3_access_key_id: str
    s3_secret_access_key: str
    s3_region: str
    warehouse_dsn: str
    kafka_options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def kafka_config(self) -> dict[str, Any]:
        """The whole configuration of a Kafka client."""
        return {"bootstrap.servers": self.kafka_bootstrap_servers, **self.kafka_options}

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Read the settings.

        Raises:
            MissingSettingError: a variable is unset or empty, or KAFKA_OPTIONS is no JSON object; the message names it.
        """

        def need(name: str) -> str:
            value = environment.get(name)
            if not value:
                raise MissingSettingError(
                    f'{name} is not set; `eval "$(./paylake env)"` sets it for the stack of this clone'
                )
            return value

        return cls(
            kafka_bootstrap_servers=need("KAFKA_BOOTSTRAP_SERVERS"),
            s3_endpoint_url=environment.get("S3_ENDPOINT_URL") or None,
            s3_access_key_id=need("AWS_ACCESS_KEY_ID"),
            s3_secret_access_key=need("AWS_SECRET_ACCESS_KEY"),
            s3_region=environment.get("AWS_REGION") or "us-east-1",
            warehouse_dsn=need("WAREHOUSE_DSN"),
            kafka_options=kafka_options(environment.get("KAFKA_OPTIONS")),
        )

    def as_environment(self) -> dict[str, str]:
        """The variables of which `from_environment` makes these settings."""
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka_bootstrap_servers,
            "KAFKA_OPTIONS": json.dumps(dict(self.kafka_options)),
            "S3_ENDPOINT_URL": self.s3_endpoint_url or "",
            "AWS_ACCESS_KEY_ID": self.s3_access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.s3_secret_access_key,
            "AWS_REGION": self.s3_region,
            "WAREHOUSE_DSN": self.warehouse_dsn,
        }


def kafka_options(text: str | None) -> dict[str, Any]:
    """What the variable KAFKA_OPTIONS says; nothing where it is not set.

    Raises:
        MissingSettingError: it is no JSON object.
    """
    try:
        options = json.loads(text or "{}")
    except ValueError as error:
        raise MissingSettingError(f"KAFKA_OPTIONS is no JSON object: {error}") from error
    if not isinstance(options, dict):
        raise MissingSettingError(f"KAFKA_OPTIONS is no JSON object but {type(options).__name__}")
    return options
