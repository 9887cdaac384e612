"""Airflow's connections as what Paylake's own code takes: a Kafka configuration, ``Settings``.

All go through the providers' hooks. Of Kafka and the warehouse everything that a connection can say (TLS, SASL,
callbacks) counts; of S3 its address and the ways to credentials that jobs, which are other processes, can go as well.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlencode

from include.settings import DEFAULT_REGION, Settings

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient

KAFKA_CONN_ID = "kafka_default"
LAKE_CONN_ID = "lake_s3"
WAREHOUSE_CONN_ID = "warehouse"
SPARK_CONN_ID = "spark_default"
AIRFLOW_DB_CONN_ID = "airflow_db"
# Each of our consumers has a group of its own.
_NOT_OPTIONS = ("bootstrap.servers", "group.id")


def kafka_config(conn_id: str = KAFKA_CONN_ID) -> dict[str, Any]:
    """The connection's librdkafka configuration.

    Raises:
        ValueError: it names no ``bootstrap.servers``.
    """
    from airflow.providers.apache.kafka.hooks.base import KafkaBaseHook

    class ConfigHook(KafkaBaseHook):
        """A hook whose "client" is the checked configuration itself."""

        def _get_client(self, config: dict[str, Any]) -> dict[str, Any]:
            return config

    return dict(ConfigHook(kafka_config_id=conn_id).get_conn)  # type: ignore[no-untyped-call]


def kafka_admin(conn_id: str = KAFKA_CONN_ID) -> AdminClient:
    """A client for topics that does not write to the log on its own: who calls it reports what went wrong."""
    from confluent_kafka.admin import AdminClient

    return AdminClient({"log_level": 0, **kafka_config(conn_id)})


def warehouse_dsn() -> str:
    """The warehouse's address and login as a libpq URI, with the connection's extras (``sslmode`` and the like)."""
    return _postgres_dsn(WAREHOUSE_CONN_ID)


def airflow_dsn() -> str:
    """The same of Airflow's own database."""
    return _postgres_dsn(AIRFLOW_DB_CONN_ID)


def _postgres_dsn(conn_id: str) -> str:
    from airflow.providers.postgres.hooks.postgres import PostgresHook

    connection = PostgresHook(postgres_conn_id=conn_id).connection
    login = ":".join(quote(part, safe="") for part in (connection.login, connection.password) if part)
    host, database = connection.host or "", connection.schema or ""
    host = f"[{host}]" if ":" in host else host  # IPv6
    place = f"{login}@{host}:{connection.port or 5432}/{quote(database, safe='')}"
    extras = connection.extra_dejson
    parameters = {key: value for key, value in extras.items() if key not in PostgresHook.ignored_extra_options}
    return f"postgresql://{place}" + (f"?{urlencode(parameters, quote_via=quote)}" if parameters else "")


class SparkConnection(NamedTuple):
    """Spark's master, as ``spark-submit`` takes it; whether drivers run there, too; settings for what is submitted."""

    master: str
    holds_drivers: bool
    conf: dict[str, str]


def spark_connection(conn_id: str = SPARK_CONN_ID) -> SparkConnection:
    """The connection by which jobs are submitted; the settings are ``conf`` in its extra."""
    from airflow.providers.apache.spark.hooks.spark_submit import SparkSubmitHook

    hook = SparkSubmitHook(conn_id=conn_id)
    resolved, extra = hook._connection, hook.get_connection(conn_id).extra_dejson
    return SparkConnection(resolved["master"], resolved["deploy_mode"] == "cluster", extra.get("conf", {}))


def stack_environment() -> dict[str, str]:
    """Paylake's settings as environment variables, named as ``./paylake env`` prints them, from the connections.

    Raises:
        ValueError: see `stack_settings`.
    """
    return stack_settings().as_environment()


def stack_settings() -> Settings:
    """Paylake's settings from the connections.

    What S3's connection says of keys, a session token, a profile or a role is passed on as it is, not what it leads to:
    so whoever uses it renews what expires.

    Raises:
        ValueError: Kafka's connection names no server, or S3's wants a role by another way than STS's AssumeRole.
    """
    import boto3
    from airflow.providers.amazon.aws.hooks.s3 import S3Hook

    kafka = kafka_config()
    # Callbacks of the connection (OAuth) are objects of this process; a program that needs them uses the connection.
    options = {name: value for name, value in kafka.items() if name not in _NOT_OPTIONS and not callable(value)}
    lake = S3Hook(aws_conn_id=LAKE_CONN_ID).conn_config
    if lake.role_arn and lake.assume_role_method != "assume_role":
        raise ValueError(
            f"the connection {LAKE_CONN_ID} wants a role by {lake.assume_role_method}, which jobs cannot do: let it"
            " name a profile (profile_name) instead, or set AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE"
        )
    return Settings(
        kafka_bootstrap_servers=kafka["bootstrap.servers"],
        kafka_options=options,
        s3_endpoint_url=lake.get_service_endpoint_url("s3"),
        s3_access_key_id=lake.aws_access_key_id,
        s3_secret_access_key=lake.aws_secret_access_key,
        s3_session_token=lake.aws_session_token,
        s3_profile=lake.profile_name,
        s3_role={**lake.assume_role_kwargs, "RoleArn": lake.role_arn} if lake.role_arn else {},
        s3_region=lake.region_name or boto3.Session(profile_name=lake.profile_name).region_name or DEFAULT_REGION,
        sts_endpoint_url=lake.get_service_endpoint_url("sts", sts_connection_assume=True),
        warehouse_dsn=warehouse_dsn(),
    )


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables of this process for the length of the block; what it starts inherits them."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
