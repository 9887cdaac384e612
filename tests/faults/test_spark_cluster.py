"""Silver and the fraud stream on a real Spark cluster, of which one machine is lost in the middle of both."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import psutil
import pytest
from psycopg.conninfo import conninfo_to_dict

from include.domains import ACCOUNTS, DOMAINS, MERCHANTS, PROFILES, REFERENCE_DOMAINS
from include.local.layout import CLONE
from include.settings import Settings
from tests.support.books import assert_balanced, begin_anew, remove_checkpoint
from tests.support.fraud_stream import WAIT_SECONDS, Stream
from tests.support.processes import command_line
from tests.support.silver import load_gold
from tests.support.spark_cluster import Cluster, Member, spark_cluster
from tests.support.waiting import wait_until
from tests.support.wild import wild_values
from tests.support.world import World

pytestmark = pytest.mark.integration

SILVER = "silver profiles"


@pytest.fixture
def cluster(settings: Settings, tmp_path: Path) -> Iterator[Cluster]:
    with spark_cluster(tmp_path / "cluster") as cluster:
        yield cluster


@pytest.fixture
def options(cluster: Cluster, tmp_path: Path) -> list[str]:
    """The master, a share for each application that leaves room for another one, and our code for the executors."""
    code = shutil.make_archive(str(tmp_path / "include"), "gztar", CLONE, "include")
    conf = {
        "spark.cores.max": "2",
        "spark.executor.memory": "512m",
        "spark.archives": f"{code}#paylake",
        "spark.executorEnv.PYTHONPATH": "paylake",
    }
    return ["--master", cluster.url, *(word for item in conf.items() for word in ("--conf", "=".join(item)))]


@pytest.fixture
def stream(settings: Settings, tmp_path: Path, options: list[str]) -> Iterator[Stream]:
    for domain in DOMAINS.values():
        begin_anew(settings, domain)
    stream = Stream(settings, tmp_path, options=options)
    remove_checkpoint(settings, stream.checkpoint)
    yield stream
    remove_checkpoint(settings, stream.checkpoint)


@pytest.fixture
def worlds(settings: Settings, tmp_path: Path, options: list[str], stream: Stream) -> dict[str, World]:
    for name in REFERENCE_DOMAINS:
        (tmp_path / name).mkdir()
    return {
        name: World(settings, domain, tmp_path / name, options=options) for name, domain in REFERENCE_DOMAINS.items()
    }


def test_a_worker_is_lost_under_both_and_every_layer_is_filled(
    settings: Settings, cluster: Cluster, stream: Stream, worlds: dict[str, World]
) -> None:
    for seed, world in enumerate(worlds.values()):
        world.produce(*wild_values(world.domain, 600, 200, seed=seed), partitions=2)
    with stream.driver() as driver:
        with fed(stream):
            wait_until(lambda: stream.read() > 0, "the first verdicts", WAIT_SECONDS)
            silver = worlds[PROFILES.name].submit(along=[MERCHANTS.name, ACCOUNTS.name])
            try:
                wait_until(lambda: bool(computing(cluster)), "silver at work", WAIT_SECONDS)
                lost = computing(cluster)[0]
                lines = command_lines()
                lost.lose()
                assert worlds[PROFILES.name].report_of(silver)["rows"] > 0
            finally:
                silver.kill()
            wait_until(lambda: len(alive(cluster)) == 1, "the master knows that a worker is lost", WAIT_SECONDS)
        stream.settle()
        driver.stop()
    # What the first job had no time left to take along.
    others = [worlds[domain.name] for domain in (MERCHANTS, ACCOUNTS)]
    for world, job in [(world, world.submit()) for world in others]:
        world.report_of(job)
    for world in worlds.values():
        assert load_gold(world.domain, settings).inserted > 0
    assert_balanced(settings)

    assert any("CoarseGrainedExecutorBackend" in line for line in lines)
    assert any("include.spark.worker_daemon" in line for line in lines)
    logs = [path for pattern in ("*.log", "stderr", "stdout") for path in cluster.folder.rglob(pattern)]
    assert {"daemon.log", "stderr", "stdout"} == {path.name for path in logs}
    said = [driver.output(), str(cluster.master.page()), *(path.read_text(errors="replace") for path in logs)]
    for secret in secrets(settings):
        assert not [text for text in [*lines, *said] if secret in text]


@contextmanager
def fed(stream: Stream) -> Iterator[None]:
    """Give the stream transactions for the length of the block."""
    stop = Event()

    def feed() -> None:
        while not stop.wait(0.5):  # the pace
            stream.produce(50)

    with ThreadPoolExecutor(1) as pool:
        feeding = pool.submit(feed)
        try:
            yield
        finally:
            stop.set()
        feeding.result()


def computing(cluster: Cluster) -> list[Member]:
    """The workers on which silver's job has had tasks."""
    application = cluster.application(SILVER)
    return [worker for worker in cluster.workers if application and worker.computes_for(application)]


def alive(cluster: Cluster) -> list[str]:
    return [worker["id"] for worker in cluster.master.page()["workers"] if worker["state"] == "ALIVE"]


def command_lines() -> list[str]:
    """Of all processes of this machine."""
    return [command_line(pid) for pid in psutil.pids()]


def secrets(settings: Settings) -> list[str]:
    assert settings.s3_secret_access_key
    return [settings.s3_secret_access_key, str(conninfo_to_dict(settings.warehouse_dsn)["password"])]
