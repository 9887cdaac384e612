"""The file with the secrets of the stack in Docker: generated once, only added to, read as Compose reads it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from include.docker import cli, env_file

ROOT = Path(__file__).parents[2]
SECRETS = {
    "POSTGRES_PASSWORD",
    "WAREHOUSE_PASSWORD",
    "AIRFLOW_DB_PASSWORD",
    "MINIO_ROOT_PASSWORD",
    "PGADMIN_DEFAULT_PASSWORD",
    "AIRFLOW_ADMIN_PASSWORD",
    "AIRFLOW__CORE__FERNET_KEY",
    "AIRFLOW__API__SECRET_KEY",
    "AIRFLOW__API_AUTH__JWT_SECRET",
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".env"


def test_secrets_are_long_private_and_of_one_stack_alone(path: Path, tmp_path: Path) -> None:
    env_file.ensure(path)
    other = tmp_path / "other"
    env_file.ensure(other)
    ours, theirs = env_file.read(path), env_file.read(other)
    assert path.stat().st_mode & 0o777 == 0o600
    assert all(len(ours[name]) >= 32 for name in SECRETS)
    assert len({ours[name] for name in SECRETS} | {theirs[name] for name in SECRETS}) == 2 * len(SECRETS)


def test_nothing_that_is_there_is_changed_and_what_lacks_is_added(path: Path) -> None:
    env_file.ensure(path)
    kept = "".join(line for line in path.read_text().splitlines(True) if not line.startswith("AIRFLOW_CONN_"))
    kept = kept.replace("MINIO_ROOT_USER=paylake", "MINIO_ROOT_USER=somebody") + "# a remark\nOWN=1"
    path.write_text(kept)
    added = env_file.ensure(path)
    assert path.read_text().startswith(kept + "\n")
    assert added == [name for name in env_file.VARIABLES if name.startswith("AIRFLOW_CONN_")]
    before = path.read_bytes()
    assert env_file.ensure(path) == []
    assert path.read_bytes() == before


def test_a_password_stands_in_the_file_once(path: Path) -> None:
    env_file.ensure(path)
    known, text = env_file.read(path), path.read_text()
    for name in SECRETS:
        assert text.count(known[name]) == 1, name
    assert json.loads(known["AIRFLOW_CONN_WAREHOUSE"])["password"] == known["WAREHOUSE_PASSWORD"]
    assert json.loads(known["AIRFLOW_CONN_LAKE_S3"])["password"] == known["MINIO_ROOT_PASSWORD"]
    assert f":{known['AIRFLOW_DB_PASSWORD']}@" in known["AIRFLOW_DATABASE_URL"]


def test_all_that_compose_needs_is_generated_and_nothing_else() -> None:
    text = (ROOT / "docker-compose.yaml").read_text()
    needed = set(re.findall(r"\$\{(\w+):\?", text))
    # For Compose itself.
    assert needed | {"COMPOSE_FILE", "COMPOSE_PROFILES"} == env_file.VARIABLES.keys()


def test_addresses_follow_the_ports_that_are_set(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    env_file.ensure(path)
    path.write_text(path.read_text() + "PAYLAKE_POSTGRES_PORT=15432\n")
    monkeypatch.setattr(cli, "ENV_FILE", path)
    monkeypatch.setenv("PAYLAKE_KAFKA_PORT", "19092")
    assert cli.main(["env"]) == 0
    printed = dict(re.findall(r"export (\w+)=(.*)", capsys.readouterr().out))
    known = env_file.read(path)
    assert printed["KAFKA_BOOTSTRAP_SERVERS"] == "127.0.0.1:19092"
    assert printed["WAREHOUSE_DSN"] == f"postgresql://paylake:{known['WAREHOUSE_PASSWORD']}@127.0.0.1:15432/warehouse"
    assert printed["AIRFLOW_URL"] == "http://127.0.0.1:8080"


def test_without_the_file_each_command_says_what_writes_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "ENV_FILE", path)
    for command in (["status"], ["down"], ["env"], ["logs"], ["verify"], ["psql"]):
        with pytest.raises(cli.DockerError, match="--docker init writes it"):
            cli.main(command)
