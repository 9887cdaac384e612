"""Fixtures of more than one file: a warehouse of a test's own, and the fraud sink on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from threading import Event

import httpx
import psycopg
import pytest

from include.fraud.lease import Lease, acquire
from include.fraud.rulebook import RULES_FILE, load_rules
from include.fraud.rules import Rules
from include.fraud.scorer import Scorer
from include.fraud.sink import Sink
from include.postgres import connect
from include.settings import Settings
from tests.support.airflow_server import AirflowServer, airflow_server
from tests.support.desk import FROM_THE_PAGE, connections, furnished_warehouse
from tests.support.fraud_sink import no_records
from tests.support.warehouse import warehouse_copy, warehouse_template


@pytest.fixture(scope="session")
def template(settings: Settings) -> Iterator[str]:
    """The DSN of a warehouse without rows, which is quickly copied."""
    with warehouse_template(settings) as dsn:
        yield dsn


@pytest.fixture
def own(template: str, settings: Settings) -> Iterator[Settings]:
    """Settings with an empty warehouse of the test's own."""
    with warehouse_copy(template) as dsn:
        yield replace(settings, warehouse_dsn=dsn)


@pytest.fixture
def conn(own: Settings) -> Iterator[psycopg.Connection]:
    """A session in that warehouse."""
    with connect(own.warehouse_dsn) as conn:
        yield conn


@pytest.fixture(scope="session")
def rules() -> Rules:
    """The rules that come with the code."""
    return load_rules(RULES_FILE)


@pytest.fixture
def lease(conn: psycopg.Connection) -> Lease:
    """The first lease of the test's own warehouse."""
    return acquire(conn, "test")


@pytest.fixture
def sink(own: Settings, lease: Lease) -> Iterator[Sink]:
    """A sink with that lease."""
    sink = Sink(own.warehouse_dsn, lease, Scorer(), no_records, Event(), patience=10)
    yield sink
    sink.close()


@pytest.fixture(scope="session")
def desk_warehouse(template: str) -> Iterator[str]:
    """The DSN of the warehouse that the page shows."""
    with furnished_warehouse(template) as dsn:
        yield dsn


@pytest.fixture(scope="session")
def desk_server(
    settings: Settings, desk_warehouse: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AirflowServer]:
    """Airflow's API server with the page, one for all of its tests."""
    with airflow_server(tmp_path_factory.mktemp("airflow"), connections(settings, desk_warehouse)) as server:
        yield server


@pytest.fixture(scope="session")
def ana(desk_server: AirflowServer) -> Iterator[httpx.Client]:
    """Who may work at the page."""
    with desk_server.client("ana") as client:
        client.headers.update(FROM_THE_PAGE)
        yield client


@pytest.fixture(scope="session")
def vera(desk_server: AirflowServer) -> Iterator[httpx.Client]:
    """Who may only look."""
    with desk_server.client("vera") as client:
        client.headers.update(FROM_THE_PAGE)
        yield client
