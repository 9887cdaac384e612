"""Fixtures that give every test the real servers it asks for."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from include.local.testing import store_servers
from include.settings import Settings


@pytest.fixture(scope="session")
def settings() -> Iterator[Settings]:
    """Addresses of real Kafka, MinIO and PostgreSQL servers, shared by the whole session.

    They are started on free ports in a temporary home and removed at the end, whatever happens. With
    PAYLAKE_TEST_ENV=1 the servers of the environment are used instead.
    """
    if os.environ.get("PAYLAKE_TEST_ENV") == "1":
        yield Settings.from_environment()
        return
    with store_servers() as environment, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        yield Settings.from_environment()
