"""Whether a server does its work. A probe returns None, or in a few words why not."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import psycopg
from botocore.exceptions import BotoCoreError, ClientError
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from include.airflow_api import AirflowApiError
from include.kafka.clients import kafka_away
from include.lake.s3 import s3_client
from include.local.layout import Stack
from include.local.secrets import Secrets
from include.local.servers import clients, kafka, postgres
from include.local.servers.airflow import COMPONENTS, WATCHDOG

Probe = Callable[[], str | None]
PROBE_SECONDS = 3
REPORT_SECONDS = 1.0
"""So long one health report of Airflow stands for all its parts: a look at all of them asks for it once."""
NO_ANSWER = "no answer"
# How Airflow's health report calls the processes that write a heartbeat.
HEARTBEATS = {"scheduler": "scheduler", "dag-processor": "dag_processor", "triggerer": "triggerer"}


def probes(stack: Stack, secrets: Secrets) -> dict[str, Callable[[float], str | None]]:
    """A probe per process. Each is given the Unix time at which the process started."""
    stores: dict[str, Callable[[float], str | None]] = {
        "postgres": lambda _: postgres_problem(stack, secrets),
        "kafka": lambda _: kafka_problem(stack),
        "minio": lambda _: minio_problem(stack, secrets),
    }
    report = _recent(clients.airflow_api(stack, secrets, PROBE_SECONDS).health)
    airflow: dict[str, Callable[[float], str | None]] = {
        f"airflow-{component}": _airflow_probe(report, component) for component in COMPONENTS
    }
    # It serves nobody: whether it runs is all there is to know.
    return stores | airflow | {WATCHDOG: lambda _: None}


def postgres_problem(stack: Stack, secrets: Secrets) -> str | None:
    """Whether the server answers a query of an authenticated user."""
    try:
        with psycopg.connect(postgres.dsn(stack, secrets, "postgres"), connect_timeout=PROBE_SECONDS) as connection:
            connection.execute("SELECT 1")
    except psycopg.Error as error:
        return _first_line(error)
    return None


def kafka_problem(stack: Stack) -> str | None:
    """Whether the broker serves clients: it is in its own metadata, and so has left recovery behind."""
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers(stack), "log_level": 0})
    try:
        # Not describe_cluster: when a broker answers late, to a client that was given up, the library aborts.
        cluster = admin.list_topics(timeout=PROBE_SECONDS)
    except KafkaException as error:
        return NO_ANSWER if kafka_away(error.args[0]) else str(error.args[0].str())
    return None if cluster.brokers else "the broker has not registered yet"


def minio_problem(stack: Stack, secrets: Secrets) -> str | None:
    """Whether the store answers a signed request."""
    try:
        # Tried once: a probe tells how it is now.
        s3_client(clients.settings(stack, secrets), attempts=1, timeout=PROBE_SECONDS).list_buckets()
    except (BotoCoreError, ClientError) as error:
        return _first_line(error)
    return None


def _recent(ask: Callable[[], dict[str, Any]]) -> Callable[[], dict[str, Any]]:
    """What ``ask`` says, or said a moment ago. Threads may share it: at worst each of them asks."""
    said: list[tuple[float, dict[str, Any]]] = []

    def recent() -> dict[str, Any]:
        now = time.monotonic()
        if not said or now - said[-1][0] > REPORT_SECONDS:
            said[:] = [(now, ask())]
        return said[-1][1]

    return recent


def _airflow_probe(report: Callable[[], dict[str, Any]], component: str) -> Callable[[float], str | None]:
    def problem(started: float) -> str | None:
        try:
            said = report()
        except AirflowApiError as error:
            return str(error) if error.status else "the API server does not answer"
        if component == "api-server":
            state = said["metadatabase"]["status"]
            return None if state == "healthy" else f"its database is {state}"
        return heartbeat_problem(said[HEARTBEATS[component]], component, started)

    return problem


def heartbeat_problem(report: dict[str, Any], component: str, started: float) -> str | None:
    """Whether a part of Airflow has reported since ``started`` (Unix time): an earlier run's word does not count."""
    name = HEARTBEATS[component]
    last = report.get(f"latest_{name}_heartbeat")
    if last is None or datetime.fromisoformat(last).timestamp() < started:
        return "it has not reported yet"
    if report["status"] != "healthy":
        return f"its last report is {time.time() - datetime.fromisoformat(last).timestamp():.0f} s old"
    return None


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
