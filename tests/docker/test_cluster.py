"""The whole stack with Spark on a cluster of its own: by the profile and the connection alone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.docker.stack import ASK_SECONDS, UP_SECONDS, DockerStack, docker_stack
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(3600)]

STREAM = "paylake fraud stream"
MASTER = {"conn_type": "spark", "host": "spark://spark-master", "port": 7077, "extra": {"deploy-mode": "client"}}
ASK = "from urllib.request import urlopen; print(urlopen('http://spark-master:8080/json/', timeout=30).read().decode())"
BACK_SECONDS = 240


@pytest.fixture(scope="module")
def stack(images: Mapping[str, str]) -> Iterator[DockerStack]:
    with docker_stack(images) as stack:
        changed = {
            "COMPOSE_PROFILES": f"{stack.variables()['COMPOSE_PROFILES']},cluster",
            "AIRFLOW_CONN_SPARK_DEFAULT": json.dumps(MASTER),
        }
        path = stack.folder / ".env"
        lines = [line for line in path.read_text().splitlines() if line.partition("=")[0] not in changed]
        path.write_text("\n".join([*lines, *(f"{name}={value}" for name, value in changed.items())]) + "\n")
        up = stack.paylake("up", seconds=UP_SECONDS)
        assert up.returncode == 0, (up.stdout + up.stderr)[-5000:]
        yield stack


def cluster(stack: DockerStack) -> dict[str, Any]:
    """What the master says of itself."""
    found: dict[str, Any] = json.loads(stack.compose("exec", "--no-TTY", "spark-master", "python", "-c", ASK))
    return found


def alive(stack: DockerStack) -> set[str]:
    return {worker["id"] for worker in cluster(stack)["workers"] if worker["state"] == "ALIVE"}


def test_its_tasks_submit_to_it_and_all_tables_are_filled(stack: DockerStack) -> None:
    assert all(stack.rows().values())
    known = cluster(stack)
    assert STREAM in {application["name"] for application in known["activeapps"]}
    applications = {application["name"] for application in known["activeapps"] + known["completedapps"]}
    assert any(name.startswith("silver ") for name in applications), applications


def test_executors_run_on_both_workers_and_no_command_line_has_a_secret(stack: DockerStack) -> None:
    variables = stack.variables()
    secrets = [variables[name] for name in ("MINIO_ROOT_PASSWORD", "WAREHOUSE_PASSWORD")]
    script = "tr '\\0' ' ' < <(cat /proc/[0-9]*/cmdline)"
    for place in (["--index=1", "spark-worker"], ["--index=2", "spark-worker"], ["airflow-scheduler"]):
        lines = stack.compose("exec", "--no-TTY", *place, "bash", "-c", script)
        assert "CoarseGrainedExecutorBackend" in lines or "SparkSubmit" in lines, place
        assert not [secret for secret in secrets if secret in lines], place


def test_a_lost_worker_comes_back_and_nothing_is_lost(stack: DockerStack) -> None:
    before = alive(stack)
    assert len(before) == 2
    stack.crash("spark-worker")
    wait_until(
        lambda: len(alive(stack)) == 2 and alive(stack) != before,
        lambda: f"a new worker beside the other: {cluster(stack)['workers']}",
        BACK_SECONDS,
        ASK_SECONDS,
    )
    verified = stack.paylake("verify", "--wait", str(BACK_SECONDS), seconds=BACK_SECONDS + 300)
    assert verified.returncode == 0, verified.stdout + verified.stderr
