"""``.env``: the secrets and the connections of the stack in Docker, generated once on this machine.

Docker Compose and the Astro CLI read it as it is: one variable a line, no quotes, no spaces in what is generated.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
from collections.abc import Callable
from pathlib import Path

from include.files import write_private

HEADER = """\
# Written by ./paylake --docker init: secrets of this stack alone, readable by their owner only. Keep a copy of it with
# the backups: without it the data can not be opened. docs/operations.md says how to change a password, and how to move
# to a managed Kafka, S3 or PostgreSQL by changing the connections below.
#
# Passwords may hold letters, digits and - _ . ~ only: they become parts of addresses and of files.
#
# Ports on 127.0.0.1 (the defaults): PAYLAKE_AIRFLOW_PORT=8080 PAYLAKE_POSTGRES_PORT=5432 PAYLAKE_KAFKA_PORT=9092
# PAYLAKE_MINIO_PORT=9000 PAYLAKE_MINIO_CONSOLE_PORT=9001 PAYLAKE_PGADMIN_PORT=5050
# Base image, when not Astro's: PAYLAKE_BASE_IMAGE=apache/airflow:3.3.2-python3.12
# A Spark cluster of this machine: COMPOSE_PROFILES=kafka,minio,postgres,cluster and, in AIRFLOW_CONN_SPARK_DEFAULT,
# "host":"spark://spark-master","port":7077; docs/scaling.md says more.
# The share of records that may be rejected without an alarm (the default): PAYLAKE_MAX_REJECTED_SHARE=0.5
# Another name for containers and volumes, when several clones run: COMPOSE_PROJECT_NAME=paylake

"""
PROCESSORS = 2
"""So many of the host's processors Spark uses in a container: each is a Python worker, and memory is limited."""
_SAFE = re.compile(r"[A-Za-z0-9._~-]+")


def _password() -> str:
    return secrets.token_hex(16)


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def _connection(**parts: object) -> Callable[[], str]:
    return lambda: json.dumps(parts, separators=(",", ":"))


# In the order of the file. ${…} is replaced by whoever reads it, so each password stands here once.
VARIABLES: dict[str, Callable[[], str]] = {
    # docker compose would add docker-compose.override.yml, which is for the Astro CLI.
    "COMPOSE_FILE": lambda: "docker-compose.yaml",
    # The services of our own; docs/operations.md: take one out when a managed one has its place.
    "COMPOSE_PROFILES": lambda: "kafka,minio,postgres",
    "POSTGRES_PASSWORD": _password,
    "WAREHOUSE_PASSWORD": _password,
    "AIRFLOW_DB_PASSWORD": _password,
    "MINIO_ROOT_USER": lambda: "paylake",
    "MINIO_ROOT_PASSWORD": _password,
    "PGADMIN_DEFAULT_EMAIL": lambda: "admin@example.com",
    "PGADMIN_DEFAULT_PASSWORD": _password,
    "AIRFLOW_ADMIN_PASSWORD": _password,
    "AIRFLOW__CORE__FERNET_KEY": _fernet_key,
    "AIRFLOW__API__SECRET_KEY": _password,
    "AIRFLOW__API_AUTH__JWT_SECRET": lambda: secrets.token_hex(32),
    "AIRFLOW_DATABASE_URL": lambda: "postgresql+psycopg2://airflow:${AIRFLOW_DB_PASSWORD}@warehouse:5432/airflow",
    "AIRFLOW_CONN_KAFKA_DEFAULT": _connection(
        conn_type="kafka", extra={"bootstrap.servers": "kafka:29092", "group.id": "paylake"}
    ),
    "AIRFLOW_CONN_LAKE_S3": _connection(
        conn_type="aws",
        login="${MINIO_ROOT_USER}",
        password="${MINIO_ROOT_PASSWORD}",  # noqa: S106 (a reference)
        extra={"endpoint_url": "http://minio:9000", "region_name": "us-east-1"},
    ),
    "AIRFLOW_CONN_WAREHOUSE": _connection(
        conn_type="postgres",
        host="warehouse",
        port=5432,
        login="paylake",
        password="${WAREHOUSE_PASSWORD}",  # noqa: S106 (a reference)
        schema="warehouse",
    ),
    "AIRFLOW_CONN_SPARK_DEFAULT": _connection(
        conn_type="spark", host=f"local[{PROCESSORS}]", extra={"deploy-mode": "client"}
    ),
}


PASSWORDS = tuple(name for name, make in VARIABLES.items() if make is _password)


def read(path: Path) -> dict[str, str]:
    """The variables of a file, as Compose understands them; none when there is no such file."""
    known: dict[str, str] = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        if name := _name(line):
            value = line.partition("=")[2].strip()
            if value[:1] in ("'", '"') and value[:1] == value[-1:]:
                value = value[1:-1]
            else:
                value = value.partition(" #")[0].rstrip()
            known[name] = re.sub(r"\$\{(\w+)\}", lambda match: known.get(match[1], ""), value)
    return known


def ensure(path: Path) -> list[str]:
    """Add to the file what it lacks and leave the rest as it is; returns the names that were added.

    Raises:
        ValueError: a password holds characters that would be misread; the message names it.
        OSError: it can not be read or written.
    """
    known = read(path)
    missing = [name for name in VARIABLES if name not in known]
    if missing:
        lines = (path.read_text() if path.exists() else HEADER).splitlines()
        for name in missing:
            lines.insert(_place(lines, name), f"{name}={VARIABLES[name]()}")
        write_private(path, "\n".join(lines) + "\n")
    for name, value in read(path).items():
        if name in PASSWORDS and not _SAFE.fullmatch(value):
            raise ValueError(f"{name} in {path} is empty or holds other characters than letters, digits and - _ . ~")
    return missing


def _name(line: str) -> str:
    """The variable that a line sets; empty for a remark."""
    name, separator, _ = line.partition("=")
    return name.strip() if separator and not line.lstrip().startswith("#") else ""


def _place(lines: list[str], name: str) -> int:
    """Where a variable's line belongs: before those that may refer to it."""
    order = list(VARIABLES)
    later = set(order[order.index(name) + 1 :])
    return next((number for number, line in enumerate(lines) if _name(line) in later), len(lines))
