"""Fixtures that give a test Docker."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from tests.docker.engine import Engine, engine, why_none


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[Engine]:
    """An engine, shared by the whole session. Only a machine that can have none skips the tests."""
    if reason := why_none():
        pytest.skip(reason)
    with engine() as found:
        yield found


@pytest.fixture(scope="session")
def images(docker_engine: Engine) -> Mapping[str, str]:
    """The environment of an engine that has all images which Paylake's Docker files pull."""
    docker_engine.provide_images()
    return docker_engine.environment
