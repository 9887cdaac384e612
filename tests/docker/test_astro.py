"""What the Astro CLI and docker-compose.override.yml make together, as Compose itself reads it.

The CLI merges the override into services of its own, which stand here in the few lines that matter to us: their names,
their network, their volumes, which of them get .env. docs/operations.md says what was tried with the CLI itself.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from include.docker import env_file
from include.local.layout import CLONE
from tests.docker.compose import compose_command

OVERRIDE = "docker-compose.override.yml"
AIRFLOW = ("scheduler", "dag-processor", "api-server", "triggerer")
ASTRO = """\
networks: {airflow: {}}
volumes: {postgres_data: {}, airflow_logs: {}}
services:
  postgres:
    image: postgres:17.6-bookworm
    networks: [airflow]
    ports: [127.0.0.1:5432:5432]
    volumes: [postgres_data:/var/lib/postgresql/data]
    environment: {POSTGRES_USER: postgres, POSTGRES_PASSWORD: postgres}
  db-migration:
    depends_on: [postgres]
    image: &image paylake_astro/airflow:latest
    command: [airflow, db, migrate]
    networks: [airflow]
    environment: &environment
      AIRFLOW__CORE__EXECUTOR: LocalExecutor
      AIRFLOW__CORE__EXECUTION_API_SERVER_URL: http://api-server:8080/execution/
  scheduler: &airflow
    depends_on: [db-migration]
    image: *image
    command: [airflow, scheduler]
    networks: [airflow]
    environment: *environment
    volumes: [airflow_logs:/usr/local/airflow/logs]
    env_file: .env
  dag-processor: {<<: *airflow, command: [airflow, dag-processor]}
  api-server: {<<: *airflow, command: [airflow, api-server], ports: [127.0.0.1:8080:8080]}
  triggerer: {<<: *airflow, command: [airflow, triggerer]}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A clone with .env, as far as Compose reads it, and the CLI's own services."""
    for name in (OVERRIDE, "docker/services.yaml", "airflow/airflow.env"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(CLONE / name, tmp_path / name)
    (tmp_path / "astro.yaml").write_text(ASTRO)
    env_file.ensure(tmp_path / ".env")
    return tmp_path


def compose(project: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Merge the files like the CLI, which knows the caller's environment only; Compose itself would read .env, too."""
    files = ["--env-file", os.devnull, "-f", "astro.yaml", "-f", OVERRIDE]
    return subprocess.run(
        [*compose_command(), *files, "config", "--format", "json"],
        cwd=project,
        # With the caller's home: Compose may be installed there, as a plugin of Docker.
        env={"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def services(project: Path, **environment: str) -> dict[str, Any]:
    answer = compose(project, **environment)
    assert answer.returncode == 0, answer.stderr
    loaded: dict[str, Any] = json.loads(answer.stdout)["services"]
    return loaded


def test_the_override_adds_the_stores_and_keeps_the_services_of_the_cli(project: Path) -> None:
    loaded = services(project)
    assert set(loaded) == {"postgres", "db-migration", *AIRFLOW, "kafka", "minio", "warehouse", "pgadmin"}
    assert all(list(service["networks"]) == ["airflow"] for service in loaded.values())
    assert [volume["source"] for volume in loaded["warehouse"]["volumes"]] == ["warehouse_data"]
    assert [volume["source"] for volume in loaded["postgres"]["volumes"]] == ["postgres_data"]


def test_airflow_starts_when_the_migration_is_done_and_the_migration_when_the_stores_are_healthy(project: Path) -> None:
    loaded = services(project)
    for name in AIRFLOW:
        assert {other: how["condition"] for other, how in loaded[name]["depends_on"].items()} == {
            "db-migration": "service_completed_successfully"
        }
        assert loaded[name]["healthcheck"]["test"][-1] == name
    assert {other: how["condition"] for other, how in loaded["db-migration"]["depends_on"].items()} == dict.fromkeys(
        ("postgres", "kafka", "minio", "warehouse"), "service_healthy"
    )
    assert "restart" not in loaded["db-migration"]


def test_each_service_gets_the_secrets_that_it_needs_from_the_env_file(project: Path) -> None:
    known = env_file.read(project / ".env")
    loaded = services(project)
    for name in ("db-migration", *AIRFLOW):
        environment = loaded[name]["environment"]
        assert environment["AIRFLOW__CORE__EXECUTOR"] == "paylake_airflow.executor.TiedExecutor"
        assert environment["AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION"] == "False"
        assert environment["AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL"] == "60", "from airflow.env"
        assert json.loads(environment["AIRFLOW_CONN_WAREHOUSE"])["password"] == known["WAREHOUSE_PASSWORD"]
        assert json.loads(environment["AIRFLOW_CONN_LAKE_S3"])["password"] == known["MINIO_ROOT_PASSWORD"]
    for name, variable in (
        ("warehouse", "POSTGRES_PASSWORD"),
        ("minio", "MINIO_ROOT_PASSWORD"),
        ("pgadmin", "PGADMIN_DEFAULT_PASSWORD"),
    ):
        assert loaded[name]["environment"][variable] == known[variable]
    assert not {"POSTGRES_PASSWORD", "WAREHOUSE_PASSWORD"} & loaded["kafka"]["environment"].keys()


def test_without_the_env_file_nothing_starts(project: Path) -> None:
    (project / ".env").unlink()
    answer = compose(project)
    assert answer.returncode != 0
    assert f"env file {project / '.env'} not found" in answer.stderr


def test_ports_are_on_this_machine_only_and_settable(project: Path) -> None:
    names = ("KAFKA", "MINIO", "MINIO_CONSOLE", "WAREHOUSE", "PGADMIN")
    chosen = {f"PAYLAKE_{name}_PORT": str(21000 + index) for index, name in enumerate(names)}
    for environment, expected in (({}, {"9092", "9000", "9001", "5433", "5050"}), (chosen, set(chosen.values()))):
        ports = [port for service in services(project, **environment).values() for port in service.get("ports", [])]
        assert {port["host_ip"] for port in ports} == {"127.0.0.1"}
        assert {port["published"] for port in ports} == expected | {"5432", "8080"}
    advertised = services(project, **chosen)["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    assert advertised == "INTERNAL://kafka:29092,HOST://127.0.0.1:21000"
