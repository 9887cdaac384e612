"""In a store that others use too the buckets' names get a prefix, and nothing is written to those without it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from include.domains import BUCKETS, MERCHANTS
from include.local.layout import CLONE
from include.settings import Settings
from tests.support.objects import objects
from tests.support.records import merchant
from tests.support.world import World

pytestmark = pytest.mark.integration

PREFIX = "somebodys-"
INGEST = """
from include.domains import MERCHANTS
from include.stack.stores import make_buckets
from include.local.layout import CLONE
from include.settings import Settings
from tests.support.bronze import drain

settings = Settings.from_environment()
make_buckets(settings)
drain(MERCHANTS, settings)
"""


@pytest.fixture
def world(settings: Settings, tmp_path: Path) -> Iterator[World]:
    world = World(settings, MERCHANTS, tmp_path)
    world.wipe()
    yield world
    # The catalog must not send the next test to the other buckets.
    world.drop_table()


def test_records_land_in_the_buckets_with_the_prefix_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.produce(merchant(1), merchant(2), into_bronze=False)
    before = {bucket: objects(world.s3, bucket) for bucket in BUCKETS}
    monkeypatch.setenv("PAYLAKE_BUCKET_PREFIX", PREFIX)
    subprocess.run([sys.executable, "-P", "-c", INGEST], cwd=CLONE, check=True)
    report = world.report_of(world.submit())
    assert report["rows"] == 2
    assert {key.split("/")[0] for key in objects(world.s3, f"{PREFIX}bronze")} == {MERCHANTS.bronze_folder}
    assert MERCHANTS.silver_folder in {key.split("/")[0] for key in objects(world.s3, f"{PREFIX}silver")}
    assert {bucket: objects(world.s3, bucket) for bucket in BUCKETS} == before
