"""The image that Airflow's containers and the Astro CLI run: what is in it, and what a change makes anew."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.docker import debian
from tests.docker.engine import Engine
from tests.docker.stand_ins import PULLED
from tests.support.clone import copy_of_clone

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(1800)]

ASTRO, OFFICIAL = "astrocrpublic.azurecr.io/runtime:3.3-8-python-3.12", "apache/airflow:3.3.2-python3.12"
HOMES = {ASTRO: "/usr/local/airflow", OFFICIAL: "/opt/airflow"}
# What may be made again when a DAG has changed; the heavy layers are each larger.
LIGHT_BYTES = 100 * 10**6


class Clone:
    """A copy of this clone from which images are built."""

    def __init__(self, folder: Path, engine: Mapping[str, str]) -> None:
        self.folder = copy_of_clone(folder)
        self._environment = dict(engine)

    def build(self, base: str) -> str:
        """Build Airflow's image on a base and return its name."""
        name = f"paylake/test-airflow:{base.rpartition(':')[2]}"
        project = {
            "name": "paylake-test-image",
            "services": {"airflow": {"image": name, "build": {"context": ".", "args": {"BASE": base}}}},
        }
        (self.folder / "test-image.json").write_text(json.dumps(project))
        self.run("docker", "compose", "--file", "test-image.json", "build", "airflow")
        return name

    def in_image(self, image: str, *command: str) -> str:
        return self.run("docker", "run", "--rm", "--env", "CONNECTION_CHECK_MAX_COUNT=0", image, *command)

    def layers(self, image: str) -> list[tuple[str, int]]:
        """Id and size in bytes of each layer's step, oldest first."""
        text = self.run("docker", "history", "--no-trunc", "--human=false", "--format", "{{json .}}", image)
        entries = [json.loads(line) for line in text.splitlines()]
        sizes = [(entry["CreatedAt"] + entry["CreatedBy"], int(entry["Size"])) for entry in entries]
        return sizes[::-1]

    def run(self, *command: str) -> str:
        answer = subprocess.run(
            command, cwd=self.folder, env=self._environment, capture_output=True, text=True, check=False
        )
        assert answer.returncode == 0, f"{' '.join(command)}\n{answer.stdout[-5000:]}{answer.stderr[-5000:]}"
        return answer.stdout


@pytest.fixture(scope="module")
def clone(docker_engine: Engine) -> Iterator[Clone]:
    with TemporaryDirectory(prefix="paylake-image-") as folder:
        yield Clone(Path(folder), docker_engine.environment)


@pytest.fixture(scope="module", params=[ASTRO, OFFICIAL])
def base(request: pytest.FixtureRequest) -> str:
    assert request.param in PULLED
    return str(request.param)


@pytest.fixture(scope="module")
def image(docker_engine: Engine, clone: Clone, base: str) -> str:
    docker_engine.provide_images([debian.NAME, base])
    return clone.build(base)


def test_it_is_airflow_with_all_that_the_dags_need(clone: Clone, image: str, base: str) -> None:
    script = (
        "import json, os, shutil, sys; import airflow, pyspark, paylake_airflow, include; "
        "from importlib.metadata import version; "
        "print(json.dumps([os.getuid(), os.getcwd(), version('apache-airflow'), pyspark.__version__,"
        " shutil.which('java') is not None, len(os.listdir('/opt/paylake/jars'))]))"
    )
    user, home, airflow, pyspark, java, jars = json.loads(
        clone.in_image(image, "python", "-c", script).splitlines()[-1]
    )
    assert user != 0
    assert home == HOMES[base]
    assert (airflow, pyspark, java) == ("3.3.2", "4.1.2", True)
    assert jars == len((clone.folder / "include/local/setup/ivy/spark.sha256").read_text().splitlines())


def test_spark_finds_its_connectors(clone: Clone, image: str) -> None:
    script = (
        "from pyspark.sql import SparkSession; jvm = SparkSession.builder.master('local[1]').getOrCreate()._jvm; "
        "print(all(jvm.java.lang.Class.forName(name) for name in ("
        "'org.apache.hadoop.fs.s3a.S3AFileSystem', 'org.apache.iceberg.spark.SparkCatalog', 'org.postgresql.Driver')))"
    )
    assert clone.in_image(image, "python", "-c", script).splitlines()[-1] == "True"


def test_airflow_reads_every_dag_in_it(clone: Clone, image: str) -> None:
    expected = {path.name for path in (clone.folder / "airflow/dags").glob("*.py")}
    script = (
        "airflow db migrate > /dev/null 2>&1 && airflow dags list --local --output json"
        " && airflow dags list-import-errors --local"
    )
    text = clone.in_image(image, "bash", "-c", script)
    assert {name for name in expected if name in text} == expected
    assert "No data found" in text


def test_a_changed_dag_makes_nothing_heavy_anew(clone: Clone, image: str, base: str) -> None:
    before = clone.layers(image)
    dag = clone.folder / "airflow/dags/verify.py"
    dag.write_text(dag.read_text() + "# changed\n")
    after = clone.layers(clone.build(base))
    made = [layer for layer in after if layer not in before]
    assert made, "the change is in the image"
    assert sum(size for _, size in made) < LIGHT_BYTES, made


def test_only_what_runs_is_in_it(clone: Clone, image: str, base: str) -> None:
    (clone.folder / ".env").write_text("MINIO_ROOT_PASSWORD=never-in-an-image\n")
    assert clone.build(base) == image
    names = set(clone.in_image(image, "bash", "-c", f"ls -A {HOMES[base]}").split())
    assert {"airflow", "include", "dags", "plugins"} <= names
    assert not names & {".env", ".git", "docs", ".paylake"}
    # The bases have the folder.
    assert (
        clone.in_image(image, "bash", "-c", f"test ! -d {HOMES[base]}/tests || find {HOMES[base]}/tests -type f") == ""
    )
