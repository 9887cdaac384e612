"""The stand-ins: made once, never in the place of a real image, and as strict as the real ones where it matters."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping

import pytest

from include.errors import StackError
from tests.docker import stand_ins
from tests.docker.engine import Engine

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def engine(docker_engine: Engine, images: Mapping[str, str]) -> Mapping[str, str]:
    if not docker_engine.has_stand_ins:
        pytest.skip("this engine has the real images")
    return images


@pytest.fixture
def real_image(engine: Mapping[str, str]) -> Iterator[str]:
    """An image that is no stand-in."""
    name = "paylake/test-real-image:1"
    run(engine, "build", "--tag", name, "-", text=f"FROM {stand_ins.PULLED[0]}\nLABEL {stand_ins.LABEL}=\n")
    yield name
    run(engine, "image", "rm", name)


def test_they_are_made_once(engine: Mapping[str, str]) -> None:
    said: list[str] = []
    stand_ins.make(stand_ins.PULLED, engine, said.append)
    assert said == []


def test_a_real_image_is_not_replaced(
    engine: Mapping[str, str], real_image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stand_ins, "STAND_INS", (stand_ins.StandIn(real_image, "golang"),))
    with pytest.raises(StackError, match=f"{real_image} in this engine is no stand-in"):
        stand_ins.make([real_image], engine)


@pytest.mark.parametrize(
    ("image", "asked"),
    [("postgres:18.6-bookworm", "POSTGRES_PASSWORD"), ("dpage/pgadmin4:9.18", "PGADMIN_DEFAULT_PASSWORD")],
)
def test_without_a_password_they_do_not_start(engine: Mapping[str, str], image: str, asked: str) -> None:
    answer = docker(engine, "run", "--rm", image)
    assert answer.returncode != 0
    assert asked in answer.stderr


@pytest.mark.parametrize(
    ("image", "user"),
    [
        ("astrocrpublic.azurecr.io/runtime:3.3-8-python-3.12", "50000:0"),
        ("apache/airflow:3.3.2-python3.12", "50000:0"),
        ("apache/kafka:4.2.0", "1000:1000"),
        ("dpage/pgadmin4:9.18", "5050:0"),
    ],
)
def test_their_programs_run_as_the_users_of_the_real_ones(engine: Mapping[str, str], image: str, user: str) -> None:
    answer = docker(engine, "run", "--rm", "--entrypoint", "sh", image, "-c", "echo $(id -u):$(id -g)")
    assert answer.stdout.strip() == user


def test_the_runtime_refuses_another_airflow(engine: Mapping[str, str]) -> None:
    script = "cd /tmp && echo 'Apache_Airflow[celery]>=3' > requirements.txt && install-python-dependencies"
    answer = docker(engine, "run", "--rm", "astrocrpublic.azurecr.io/runtime:3.3-8-python-3.12", "bash", "-c", script)
    assert answer.returncode != 0
    assert "apache-airflow" in answer.stderr


def docker(engine: Mapping[str, str], *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["docker", *arguments], env=dict(engine), input=text, capture_output=True, text=True, check=False
    )


def run(engine: Mapping[str, str], *arguments: str, text: str = "") -> None:
    answer = docker(engine, *arguments, text=text)
    assert answer.returncode == 0, answer.stderr
