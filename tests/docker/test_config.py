"""The Compose file as Compose itself understands it: what listens where, is checked, bounded, pinned, secret."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from include.docker import env_file
from include.local.setup import minio_build
from tests.docker.compose import compose_command
from tests.docker.stack import SERVERS
from tests.docker.stand_ins import PULLED

ROOT = Path(__file__).parents[2]
FILES = ("docker-compose.yaml", "docker-compose.override.yml", "docker", "airflow/airflow.env")
ONCE = {"postgres-init", "warehouse-init", "kafka-init", "minio-init", "airflow-init"}
COMMANDS = {"paylake"}
CLUSTER = {"spark-master", "spark-worker"}
GIGABYTE = 10**9


class Project:
    """A folder with our Compose files, and what Compose makes of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in FILES:
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
            copy(ROOT / name, target)

    def compose(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("COMPOSE", "PAYLAKE_"))
        }
        return subprocess.run(
            [*compose_command(), *arguments],
            cwd=self.folder,
            env=environment | variables,
            capture_output=True,
            text=True,
            check=False,
        )

    def config(self, **variables: str) -> dict[str, Any]:
        answer = self.compose("--profile", "*", "config", "--format", "json", **variables)
        assert answer.returncode == 0, answer.stderr
        found: dict[str, Any] = json.loads(answer.stdout)
        return found


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = Project(tmp_path_factory.mktemp("project"))
    env_file.ensure(made.folder / ".env")
    return made


@pytest.fixture(scope="module")
def config(project: Project) -> dict[str, Any]:
    return project.config()


@pytest.fixture(scope="module")
def servers(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The services that run for as long as the stack does."""
    return {name: service for name, service in config["services"].items() if name not in ONCE | COMMANDS}


def published(config: dict[str, Any]) -> dict[str, str]:
    """The address of each published port, by the service's port."""
    ports = [port for service in config["services"].values() for port in service.get("ports", ())]
    return {f"{port['target']}": f"{port.get('host_ip')}:{port['published']}" for port in ports}


def test_without_secrets_compose_refuses_and_says_what_makes_them(tmp_path: Path) -> None:
    answer = Project(tmp_path).compose("up")
    assert answer.returncode != 0
    assert "is missing a value: run ./paylake --docker init first, it writes .env" in answer.stderr


def test_each_secret_is_needed(project: Project, tmp_path: Path) -> None:
    lines = (project.folder / ".env").read_text().splitlines()
    poor = Project(tmp_path)
    for name in env_file.VARIABLES:
        if name.startswith("COMPOSE"):
            continue
        (tmp_path / ".env").write_text("\n".join(line for line in lines if not line.startswith(f"{name}=")))
        answer = poor.compose("config", "--quiet")
        assert answer.returncode != 0, name
        assert "./paylake --docker init" in answer.stderr, (name, answer.stderr)


def test_nothing_of_the_astro_cli_is_merged_in(servers: dict[str, dict[str, Any]], config: dict[str, Any]) -> None:
    assert set(servers) == {*SERVERS, *CLUSTER}
    assert config["volumes"].keys() >= {"minio_data", "postgres_data", "kafka_data"}


def test_every_port_is_on_this_machine_alone_and_can_be_chosen(project: Project, config: dict[str, Any]) -> None:
    usual = {"8080": 8080, "9000": 9000, "9001": 9001, "5432": 5432, "9092": 9092, "5050": 5050}
    assert published(config) == {target: f"127.0.0.1:{port}" for target, port in usual.items()}
    names = ("AIRFLOW", "MINIO", "MINIO_CONSOLE", "POSTGRES", "KAFKA", "PGADMIN")
    chosen = {f"PAYLAKE_{name}_PORT": str(21000 + number) for number, name in enumerate(names)}
    other = project.config(**chosen)
    assert published(other) == {target: f"127.0.0.1:{21000 + number}" for number, target in enumerate(usual)}
    kafka = other["services"]["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    assert "HOST://127.0.0.1:21004" in kafka
    airflow = other["services"]["airflow-api-server"]["environment"]["AIRFLOW__API__BASE_URL"]
    assert airflow == "http://127.0.0.1:21000"


def test_every_server_is_checked_and_comes_back(servers: dict[str, dict[str, Any]]) -> None:
    for name, service in servers.items():
        assert service["healthcheck"]["test"], name
        assert service["restart"] == "unless-stopped", name


def test_every_server_starts_after_what_it_needs_does_its_work(config: dict[str, Any]) -> None:
    for name, service in config["services"].items():
        for needed, how in service.get("depends_on", {}).items():
            wanted = "service_completed_successfully" if needed in ONCE else "service_healthy"
            assert how["condition"] == wanted, (name, needed)
    for name in ("api-server", "scheduler", "dag-processor", "triggerer"):
        assert set(config["services"][f"airflow-{name}"]["depends_on"]) == ONCE - {"postgres-init"}


def test_memory_and_logs_are_bounded(config: dict[str, Any], servers: dict[str, dict[str, Any]]) -> None:
    limits = {name: int(service["mem_limit"]) for name, service in config["services"].items()}
    commands = max(limits[name] for name in COMMANDS)
    assert sum(limits[name] for name in servers.keys() - CLUSTER) + commands <= 8 * GIGABYTE
    # Airflow begins when all of them have ended.
    assert sum(limits[name] for name in ONCE | {"kafka", "minio", "postgres", "pgadmin"}) <= 8 * GIGABYTE
    for name, service in config["services"].items():
        assert service["logging"] == {"driver": "json-file", "options": {"max-size": "10m", "max-file": "3"}}, name


def test_images_are_pinned_and_those_that_are_pulled_are_known(config: dict[str, Any]) -> None:
    images = {service["image"] for service in config["services"].values()}
    assert all(re.search(r":\d", image) for image in images), images
    text = (ROOT / "Dockerfile").read_text()
    bases = set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) - {"${BASE}"}
    default = re.search(r"^ARG BASE=(\S+)$", text, re.MULTILINE)
    assert default is not None
    pulled = {image for image in images if not image.startswith("paylake/")} | bases | {default[1]}
    # The official image may be the base too, and the Astro CLI pulls a database for Airflow.
    assert pulled | {"apache/airflow:3.3.2-python3.12", "postgres:17.6-bookworm"} == set(PULLED)


def test_the_base_is_the_same_for_compose_and_for_the_astro_cli(project: Project, config: dict[str, Any]) -> None:
    base = config["services"]["airflow-init"]["build"]["args"]["BASE"]
    assert f"ARG BASE={base}\n" in (ROOT / "Dockerfile").read_text()
    official = "apache/airflow:3.3.2-python3.12"
    build = project.config(PAYLAKE_BASE_IMAGE=official)["services"]["airflow-init"]["build"]
    assert build["args"]["BASE"] == official


def test_the_share_of_rejected_records_reaches_the_tasks(project: Project, config: dict[str, Any]) -> None:
    def share(found: dict[str, Any]) -> str:
        return str(found["services"]["airflow-scheduler"]["environment"]["PAYLAKE_MAX_REJECTED_SHARE"])

    assert share(config) == "", "which means the default"
    assert share(project.config(PAYLAKE_MAX_REJECTED_SHARE="0.9")) == "0.9"


def test_minio_is_the_same_as_without_docker(config: dict[str, Any]) -> None:
    assert f"ARG MINIO_VERSION={minio_build.VERSION}\n" in (ROOT / "Dockerfile").read_text()
    assert config["services"]["minio"]["image"].rpartition(":")[2] in minio_build.VERSION


def test_the_images_tag_is_the_projects_version(config: dict[str, Any]) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    ours = {service["image"] for service in config["services"].values() if service["image"].startswith("paylake/")}
    assert ours == {f"paylake/airflow:{version}", config["services"]["minio"]["image"]}


def test_each_service_gets_only_the_secrets_it_needs(project: Project, config: dict[str, Any]) -> None:
    known = env_file.read(project.folder / ".env")
    for name, service in config["services"].items():
        text = json.dumps(service)
        if name not in ("postgres", "postgres-init"):
            assert known["POSTGRES_PASSWORD"] not in text, name
        if name in ("kafka", "minio"):
            assert known["WAREHOUSE_PASSWORD"] not in text, name
        if name != "pgadmin":
            assert known["PGADMIN_DEFAULT_PASSWORD"] not in text, name


def test_only_where_tasks_run_airflows_own_database_is_a_connection(project: Project, config: dict[str, Any]) -> None:
    known = env_file.read(project.folder / ".env")
    named = {
        name: database
        for name, service in config["services"].items()
        if (database := (service.get("environment") or {}).get("AIRFLOW_CONN_AIRFLOW_DB"))
    }
    password = known["AIRFLOW_DB_PASSWORD"]
    assert named == {"airflow-scheduler": f"postgresql+psycopg2://airflow:{password}@warehouse:5432/airflow"}


def test_a_managed_service_takes_the_place_of_ours(project: Project) -> None:
    answer = project.compose("config", "--services", COMPOSE_PROFILES="minio")
    services = set(answer.stdout.split())
    assert "minio" in services
    assert not services & {"kafka", "postgres", "postgres-init"}


def test_a_cluster_is_there_when_it_is_asked_for_and_knows_no_secrets(project: Project, config: dict[str, Any]) -> None:
    usual = project.compose("config", "--services").stdout.split()
    asked = project.compose("config", "--services", COMPOSE_PROFILES="kafka,minio,postgres,cluster").stdout.split()
    assert set(asked) - set(usual) == CLUSTER
    assert config["services"]["spark-worker"]["deploy"]["replicas"] == 2
    known = env_file.read(project.folder / ".env")
    for name in CLUSTER:
        text = json.dumps(config["services"][name])
        assert not [variable for variable in env_file.PASSWORDS if known[variable] in text], name
