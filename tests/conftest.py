"""Fixtures that give every test the real servers it asks for."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from include.settings import Settings

if find_spec("supervisor") is None:
    # `astro dev pytest` runs all of tests/ in the image, which has none of the servers. There the DAGs are tested.
    collect_ignore = [path.name for path in Path(__file__).parent.iterdir() if path.is_dir() and path.name != "dags"]
else:
    import hypothesis

    # On a busy machine any example may take long, and a landing must not hang on which examples were drawn.
    hypothesis.settings.register_profile(
        "paylake", deadline=None, derandomize=True, suppress_health_check=[hypothesis.HealthCheck.too_slow]
    )
    hypothesis.settings.load_profile("paylake")

# It logs the end of each connection, also when the interpreter ends, which has closed pytest's streams by then.
logging.getLogger("py4j").setLevel(logging.WARNING)


@pytest.fixture(scope="session")
def settings() -> Iterator[Settings]:
    """Addresses of real Kafka, MinIO and PostgreSQL servers, shared by the whole session.

    They are started on free ports in a temporary home and removed at the end, whatever happens. With
    PAYLAKE_TEST_ENV=1 the servers of the environment are used instead.
    """
    if os.environ.get("PAYLAKE_TEST_ENV") == "1":
        yield Settings.from_environment()
        return
    from include.local.testing.stores import store_servers

    with store_servers() as environment, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        yield Settings.from_environment()
