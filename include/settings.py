"""Where the servers are: the one place that reads Paylake's settings from the environment.

The names are those that ``./paylake env`` prints, so a job, a test and one's own client are configured alike.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass


class MissingSettingError(RuntimeError):
    """An environment variable that Paylake needs is not set."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Addresses and credentials of the stack.

    ``s3_endpoint_url`` is None for AWS itself. ``warehouse_dsn`` is a libpq URI.
    """

    kafka_bootstrap_servers: str
    s3_endpoint_url: str | None
    s3_access_key_id: str
    s3_secret_access_key: str
    s3_region: str
    warehouse_dsn: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Read the settings.

        Raises:
            MissingSettingError: a variable is unset or empty; the message names it.
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
        )
