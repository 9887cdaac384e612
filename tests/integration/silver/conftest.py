"""One Spark session for all of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from include.domains import MERCHANTS
from include.settings import Settings
from include.spark.session import spark_session
from tests.support.world import World


@pytest.fixture(scope="package")
def spark(settings: Settings) -> Iterator[SparkSession]:
    """The session that the runs in this process use."""
    session = spark_session("silver-test", settings)
    yield session
    session.stop()


@pytest.fixture
def world(settings: Settings, tmp_path: Path) -> World:
    """Merchants, of which there are none yet."""
    world = World(settings, MERCHANTS, tmp_path)
    world.wipe()
    return world
