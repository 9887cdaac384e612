"""The file with the secrets of the stack in Docker: generated once, only added to, read as Compose reads it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from include.docker import cli, compose, env_file

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
    kept = [line for line in path.read_text().splitlines() if not line.startswith("AIRFLOW_CONN_")]
    kept = ["MINIO_ROOT_USER=somebody" if line == "MINIO_ROOT_USER=paylake" else line for line in kept]
    kept += ["# a remark", "OWN=1"]
    path.write_text("\n".join(kept))
    added = env_file.ensure(path)
    assert added == [name for name in env_file.VARIABLES if name.startswith("AIRFLOW_CONN_")]
    assert [line for line in path.read_text().splitlines() if line.partition("=")[0] not in added] == kept
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


@pytest.mark.parametrize("name", sorted(SECRETS))
def test_a_secret_whose_line_was_removed_is_new_wherever_it_is_used(path: Path, name: str) -> None:
    env_file.ensure(path)
    before = env_file.read(path)
    path.write_text("".join(line for line in path.read_text().splitlines(True) if not line.startswith(f"{name}=")))
    assert env_file.ensure(path) == [name]
    after = env_file.read(path)
    assert after[name] != before[name]
    assert all(before[name] not in value for value in after.values())
    changed = {other for other in before if after[other] != before[other]}
    assert changed == {other for other in before if before[name] in before[other]}


@pytest.mark.parametrize("password", ["", "a b", "abc$def", "p@ss", 'say "x"', "a/b"])
def test_a_password_that_would_be_misread_is_refused(path: Path, password: str) -> None:
    env_file.ensure(path)
    text = re.sub(r"^WAREHOUSE_PASSWORD=.*$", f"WAREHOUSE_PASSWORD={password}", path.read_text(), flags=re.MULTILINE)
    path.write_text(text)
    with pytest.raises(ValueError, match=r"WAREHOUSE_PASSWORD in .* letters, digits"):
        env_file.ensure(path)
    assert path.read_text() == text


def test_remarks_and_quotes_are_read_as_compose_does(path: Path) -> None:
    path.write_text("PORT=8081 # mine\nQUOTED='a b # c'\nDOUBLE=\"x\"\n# NO=1\nURL=http://h:${PORT}\n")
    assert env_file.read(path) == {"PORT": "8081", "QUOTED": "a b # c", "DOUBLE": "x", "URL": "http://h:8081"}


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
    monkeypatch.setattr(compose, "ENV_FILE", path)
    monkeypatch.setenv("PAYLAKE_KAFKA_PORT", "19092")
    assert cli.main(["env"]) == 0
    printed = dict(re.findall(r"export (\w+)=(.*)", capsys.readouterr().out))
    known = env_file.read(path)
    assert printed["KAFKA_BOOTSTRAP_SERVERS"] == "127.0.0.1:19092"
    assert printed["WAREHOUSE_DSN"] == f"postgresql://paylake:{known['WAREHOUSE_PASSWORD']}@127.0.0.1:15432/warehouse"
    assert printed["AIRFLOW_URL"] == "http://127.0.0.1:8080"
    assert printed["AWS_SESSION_TOKEN"] == "''"  # noqa: S105 (that there is none)


def test_of_a_managed_service_no_address_is_told(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    env_file.ensure(path)
    path.write_text(path.read_text().replace("COMPOSE_PROFILES=kafka,minio,postgres", "COMPOSE_PROFILES=minio"))
    monkeypatch.setattr(compose, "ENV_FILE", path)
    assert cli.main(["env"]) == 0
    printed = capsys.readouterr().out
    assert "S3_ENDPOINT_URL" in printed
    assert "KAFKA_BOOTSTRAP_SERVERS" not in printed
    assert "WAREHOUSE_DSN" not in printed


def test_without_the_file_each_command_says_what_writes_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compose, "ENV_FILE", path)
    for command in (["status"], ["down"], ["env"], ["logs"], ["verify"], ["psql"]):
        with pytest.raises(compose.DockerError, match="--docker init writes it"):
            cli.main(command)
