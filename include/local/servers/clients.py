"""What a client of the stack needs to know: the variables of ``./paylake env``, and the same as ``Settings``."""

from __future__ import annotations

import os
import shlex
import socket

from include.airflow_api import AirflowApi
from include.errors import StackError
from include.local.layout import Stack
from include.local.ports import HOST
from include.local.secrets import Secrets
from include.local.servers import kafka, minio, postgres
from include.local.setup.environment import without_foreign
from include.settings import Settings
from include.warehouse.databases import WAREHOUSE_OWNER

AIRFLOW_USER = "admin"
REGION = "us-east-1"
LISTEN_SECONDS = 3.0
VARIABLES = {"kafka": "KAFKA_BOOTSTRAP_SERVERS", "postgres": "WAREHOUSE_DSN"}
"""The variables by which a client without a stack finds servers; S3 may be AWS, with credentials of the machine."""


def airflow_url(stack: Stack) -> str:
    """The address of Airflow's UI and REST API."""
    return f"http://{HOST}:{stack.ports.airflow}"


def airflow_api(stack: Stack, secrets: Secrets, seconds: float = 30.0) -> AirflowApi:
    """Airflow's REST API as the stack's own user sees it; no call waits longer than ``seconds``."""
    return AirflowApi(airflow_url(stack), AIRFLOW_USER, secrets.airflow_password, seconds)


def store_environment(stack: Stack, secrets: Secrets) -> dict[str, str]:
    """The variables by which jobs and clients find Kafka, the lake and the warehouse."""
    return {
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers(stack),
        "S3_ENDPOINT_URL": f"http://{HOST}:{stack.ports.minio}",
        "AWS_ACCESS_KEY_ID": minio.USER,
        "AWS_SECRET_ACCESS_KEY": secrets.minio_password,
        # The shell's own would be taken for one of these keys.
        "AWS_SESSION_TOKEN": "",
        "AWS_REGION": REGION,
        "WAREHOUSE_DSN": postgres.dsn(stack, secrets, "warehouse"),
    }


def client_environment(stack: Stack, secrets: Secrets) -> dict[str, str]:
    """All that ``./paylake env`` prints."""
    return {
        **store_environment(stack, secrets),
        "AIRFLOW_URL": airflow_url(stack),
        "AIRFLOW_USERNAME": AIRFLOW_USER,
        "AIRFLOW_PASSWORD": secrets.airflow_password,
    }


def require_listening(stack: Stack, *servers: str) -> None:
    """Make sure that these servers (kafka, minio, postgres) are there.

    Raises:
        StackError: nothing listens in the place of one of them.
    """
    for server in servers:
        port = stack.ports.by_name()[server]
        try:
            socket.create_connection((HOST, port), timeout=LISTEN_SECONDS).close()
        except OSError as error:
            raise StackError(
                f"Nothing listens on {HOST}:{port}, where {server} of the stack in {stack.home} should be"
                f" ({error.strerror or error}); ./paylake up starts what does not run."
            ) from error


def use(stack: Stack, secrets: Secrets) -> None:
    """Let clients in this process find the stack, whatever its environment says of others."""
    own = {**without_foreign(os.environ), **client_environment(stack, secrets), "NO_PROXY": HOST, "no_proxy": HOST}
    for name in os.environ.keys() - own.keys():
        del os.environ[name]
    os.environ.update(own)


def psql_environment(stack: Stack, secrets: Secrets) -> dict[str, str]:
    """What makes libpq's programs speak to the warehouse; the password is not in a command line that all can see."""
    return {
        "PGHOST": HOST,
        "PGPORT": str(stack.ports.postgres),
        "PGUSER": WAREHOUSE_OWNER,
        "PGPASSWORD": secrets.warehouse_password,
        "PGDATABASE": "warehouse",
    }


def exports(variables: dict[str, str]) -> str:
    """The variables as lines a shell can evaluate."""
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items())


def settings(stack: Stack, secrets: Secrets) -> Settings:
    """The stack's addresses and credentials for our own code."""
    return Settings.from_environment(store_environment(stack, secrets))
