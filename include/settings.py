"""Where the servers are: the one place that reads Paylake's settings from the environment.

The names are those that ``./paylake env`` prints, so a job, a test and one's own client are configured alike.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

DEFAULT_REGION = "us-east-1"


class MissingSettingError(RuntimeError):
    """An environment variable that Paylake needs is not set, or makes no sense."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Addresses and credentials of the stack.

    ``s3_endpoint_url`` is None for AWS itself. ``warehouse_dsn`` is a libpq URI. ``kafka_options`` are what librdkafka
    has to know besides the servers, such as ``security.protocol`` and ``sasl.password``.

    S3 is used with the keys, and the session token that may belong to them; without keys with what the AWS SDK's
    provider chain finds, in ``s3_profile`` if there is one. ``s3_role``, the parameters of STS's AssumeRole, is a role
    to assume with these; ``sts_endpoint_url`` is None for AWS itself.
    """

    kafka_bootstrap_servers: str
    s3_endpoint_url: str | None
    s3_access_key_id: str | None
    s3_secret_access_key: str | None
    s3_region: str
    warehouse_dsn: str
    kafka_options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    s3_session_token: str | None = None
    s3_profile: str | None = None
    s3_role: Mapping[str, Any] = field(default_factory=dict, hash=False)
    sts_endpoint_url: str | None = None

    @property
    def kafka_config(self) -> dict[str, Any]:
        """The whole configuration of a Kafka client."""
        return {"bootstrap.servers": self.kafka_bootstrap_servers, **self.kafka_options}

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Read the settings.

        Raises:
            MissingSettingError: a variable is unset or empty, or is no JSON object where it must be one; the message
                names it.
        """

        def need(name: str) -> str:
            value = environment.get(name)
            if not value:
                raise MissingSettingError(
                    f'{name} is not set; `eval "$(./paylake env)"` sets it for the stack of this clone'
                )
            return value

        keys = [environment.get(name) or None for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")]
        if any(keys):
            keys = [need("AWS_ACCESS_KEY_ID"), need("AWS_SECRET_ACCESS_KEY")]
        return cls(
            kafka_bootstrap_servers=need("KAFKA_BOOTSTRAP_SERVERS"),
            s3_endpoint_url=environment.get("S3_ENDPOINT_URL") or None,
            s3_access_key_id=keys[0],
            s3_secret_access_key=keys[1],
            s3_region=environment.get("AWS_REGION") or DEFAULT_REGION,
            warehouse_dsn=need("WAREHOUSE_DSN"),
            kafka_options=json_object("KAFKA_OPTIONS", environment.get("KAFKA_OPTIONS")),
            s3_session_token=environment.get("AWS_SESSION_TOKEN") or None,
            s3_profile=environment.get("AWS_PROFILE") or None,
            s3_role=json_object("S3_ROLE", environment.get("S3_ROLE")),
            sts_endpoint_url=environment.get("AWS_ENDPOINT_URL_STS") or None,
        )

    def as_environment(self) -> dict[str, str]:
        """The variables of which `from_environment` makes these settings, whatever others are set already.

        Where the settings hold neither keys nor a profile, it does not name these: the provider chain goes on from
        what is set there.
        """
        variables = {
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka_bootstrap_servers,
            "KAFKA_OPTIONS": json.dumps(dict(self.kafka_options)),
            "S3_ENDPOINT_URL": self.s3_endpoint_url or "",
            "AWS_REGION": self.s3_region,
            "WAREHOUSE_DSN": self.warehouse_dsn,
            "S3_ROLE": json.dumps(dict(self.s3_role)),
        }
        if self.s3_access_key_id or self.s3_profile:
            # Empty, too: a token of other keys must not be taken for one of these.
            variables["AWS_ACCESS_KEY_ID"] = self.s3_access_key_id or ""
            variables["AWS_SECRET_ACCESS_KEY"] = self.s3_secret_access_key or ""
            variables["AWS_SESSION_TOKEN"] = self.s3_session_token or ""
        if self.s3_profile:
            variables["AWS_PROFILE"] = self.s3_profile
        if self.sts_endpoint_url:
            variables["AWS_ENDPOINT_URL_STS"] = self.sts_endpoint_url
        return variables


def json_object(name: str, text: str | None) -> dict[str, Any]:
    """What the variable ``name`` says with ``text``; nothing where it is not set.

    Raises:
        MissingSettingError: it is no JSON object.
    """
    try:
        value = json.loads(text or "{}")
    except ValueError as error:
        raise MissingSettingError(f"{name} is no JSON object: {error}") from error
    if not isinstance(value, dict):
        raise MissingSettingError(f"{name} is no JSON object but {type(value).__name__}")
    return value
