"""The whole stack as `docker compose up` brings it up: it fills itself, comes back, and keeps its data."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import requests

from tests.docker.stack import ASK_SECONDS, ROOT, SERVERS, UP_SECONDS, DockerStack, docker_stack
from tests.support.waiting import wait_until
from tests.support.warehouse import GOLD_TABLES

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(3600)]

# A minute of silence, a few checks, and a start.
HUNG_SECONDS = 300
# Tasks of reference data wait the longer between their tries, the more of them a restart has ended.
LATE_SECONDS = 900


@pytest.fixture(scope="module")
def stack(images: Mapping[str, str]) -> Iterator[DockerStack]:
    with docker_stack(images) as stack:
        up = stack.paylake("up", seconds=UP_SECONDS)
        assert up.returncode == 0, (up.stdout + up.stderr)[-5000:]
        yield stack


def test_it_fills_all_tables_by_itself_and_the_books_balance(stack: DockerStack) -> None:
    assert all(stack.rows().values())
    wait_until(
        lambda: bool(stack.status()["well"]), lambda: f"all to be well: {stack.status()}", LATE_SECONDS, ASK_SECONDS
    )
    status = stack.status()
    assert {service["name"] for service in status["services"]} >= set(SERVERS)
    assert {part["name"] for part in status["layers"]} >= set(GOLD_TABLES)
    assert {one["layer"] for one in status["behind"]} == {"bronze", "silver", "gold", "verdicts"}
    verified = stack.paylake("verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_each_command_finds_the_stores(stack: DockerStack) -> None:
    frauds = stack.paylake("logs", "fraud", "-n", "3").stdout.splitlines()
    assert len(frauds) == 3
    assert all(line.startswith("FRAUD ") for line in frauds)
    assert "fraud_stream" in stack.paylake("logs").stdout
    assert stack.paylake("psql", "-Atc", "SELECT count(*) > 0 FROM users").stdout == "t\n"
    assert "Produced" in stack.paylake("generate", "reference", "--users", "5", "--merchants", "20").stdout
    assert stack.paylake("quarantine", "list").returncode == 0
    assert "precision" in stack.paylake("evaluate").stdout.lower()
    assert "fraud_stream" in stack.paylake("airflow", "dags", "list").stdout


def test_nothing_is_left_of_a_command_that_was_interrupted(stack: DockerStack) -> None:
    assert stack.interrupted("logs", "fraud", "--follow") == 130
    wait_until(lambda: not stack.commands(), lambda: f"the end of {stack.commands()}", pause=ASK_SECONDS)


def test_commands_work_from_any_folder(stack: DockerStack, tmp_path: Path) -> None:
    assert stack.paylake("psql", "-Atc", "SELECT 1", folder=tmp_path).stdout == "1\n"


def test_the_pages_ask_who_one_is(stack: DockerStack) -> None:
    airflow = f"http://127.0.0.1:{stack.ports['AIRFLOW']}"
    login = {"username": "admin", "password": stack.variables()["AIRFLOW_ADMIN_PASSWORD"]}
    assert requests.get(f"{airflow}/api/v2/dags", timeout=30).status_code == 401
    assert requests.post(f"{airflow}/auth/token", json=login | {"password": "admin"}, timeout=30).status_code == 401
    token = requests.post(f"{airflow}/auth/token", json=login, timeout=30).json()["access_token"]
    dags = requests.get(f"{airflow}/api/v2/dags", headers={"Authorization": f"Bearer {token}"}, timeout=30)
    assert not any(dag["is_paused"] for dag in dags.json()["dags"])


def test_pgadmin_knows_the_warehouse_and_opens_it_without_another_password(stack: DockerStack) -> None:
    address, known = f"http://127.0.0.1:{stack.ports['PGADMIN']}", stack.variables()
    session = requests.Session()
    page = session.get(f"{address}/login", timeout=60).text
    token = re.search(r'"csrfToken": "([^"]+)"', page)
    assert token is not None
    form = {
        "email": known["PGADMIN_DEFAULT_EMAIL"],
        "password": known["PGADMIN_DEFAULT_PASSWORD"],
        "csrf_token": token[1],
    }
    assert session.post(f"{address}/authenticate/login", data=form, timeout=60).ok
    session.headers["X-pgA-CSRFToken"] = form["csrf_token"]
    group = session.get(f"{address}/browser/nodes/", timeout=60).json()["data"][0]["_id"]
    servers = session.get(f"{address}/browser/server/nodes/{group}/", timeout=60).json()["result"]
    assert [server["label"] for server in servers] == ["Paylake"]
    connected = session.post(f"{address}/browser/server/connect/{group}/{servers[0]['_id']}", timeout=60)
    assert connected.ok, connected.text
    assert connected.json()["data"]["connected"] is True


def test_nothing_listens_beyond_this_machine(stack: DockerStack) -> None:
    listening = _listeners()
    for name, port in stack.ports.items():
        assert {address for address, number in listening if number == port} == {"0100007F"}, name


@pytest.mark.parametrize("service", SERVERS)
def test_no_server_is_root(stack: DockerStack, service: str) -> None:
    assert stack.compose("exec", "--no-TTY", service, "stat", "-c", "%u", "/proc/1").strip() != "0"


def test_no_secret_is_in_the_images(stack: DockerStack) -> None:
    secrets = [value for name, value in stack.variables().items() if re.search("PASSWORD|KEY|SECRET", name)]
    assert len(secrets) == 9
    images = stack.images()
    assert len(images) == 2
    assert not any(stack.image_holds(image, secrets) for image in images)
    # The search finds what is there.
    assert any(stack.image_holds(image, ["FraudTransaction"]) for image in images)


@pytest.mark.parametrize("service", SERVERS)
def test_a_restarted_service_comes_back_while_data_flow(stack: DockerStack, service: str) -> None:
    stack.compose("restart", service)
    stack.await_well(service, since=time.time())


@pytest.mark.parametrize("service", ["kafka", "minio", "postgres", "airflow-scheduler", "airflow-triggerer"])
def test_a_killed_service_comes_back(stack: DockerStack, service: str) -> None:
    stack.crash(service)
    stack.await_well(service, since=time.time())


@pytest.mark.parametrize("service", ["airflow-scheduler", "airflow-api-server"])
def test_a_service_that_hangs_is_replaced(stack: DockerStack, service: str) -> None:
    before = stack.started(service)
    stack.freeze(service)
    wait_until(lambda: stack.started(service) != before, f"a new {service}", HUNG_SECONDS, ASK_SECONDS)
    stack.await_well(service, since=time.time())


def test_all_that_happened_lost_and_doubled_nothing(stack: DockerStack) -> None:
    verified = stack.paylake("verify", "--wait", str(LATE_SECONDS), seconds=LATE_SECONDS + 300)
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_its_data_survive_its_containers(stack: DockerStack) -> None:
    before = stack.rows()
    assert stack.paylake("down").returncode == 0
    assert stack.compose("ps", "--all", "--quiet") == ""
    up = stack.paylake("up", seconds=UP_SECONDS)
    assert up.returncode == 0, up.stdout + up.stderr
    after = stack.rows()
    assert all(after[table] >= before[table] for table in GOLD_TABLES)
    stack.await_well("airflow-scheduler", since=time.time())
    verified = stack.paylake("verify", "--wait", str(LATE_SECONDS), seconds=LATE_SECONDS + 300)
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_a_password_is_changed_where_it_stands(stack: DockerStack) -> None:
    path = stack.folder / ".env"
    text = path.read_text()
    for name in ("WAREHOUSE_PASSWORD", "AIRFLOW_DB_PASSWORD", "MINIO_ROOT_PASSWORD", "AIRFLOW_ADMIN_PASSWORD"):
        text = re.sub(rf"^{name}=.*$", f"{name}=another-{name.lower()}", text, flags=re.MULTILINE)
    path.write_text(text)
    up = stack.paylake("up", "--no-follow", seconds=UP_SECONDS)
    assert up.returncode == 0, up.stdout + up.stderr
    stack.await_well("airflow-api-server", since=time.time())
    verified = stack.paylake("verify", "--wait", str(LATE_SECONDS), seconds=LATE_SECONDS + 300)
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_a_backup_is_restored_by_the_commands_of_the_documentation(stack: DockerStack) -> None:
    stack.shell(documented("backup"))
    before = stack.rows()
    assert stack.paylake("reset", "--yes").returncode == 0
    stack.forget_images()
    (stack.folder / ".env").unlink()
    stack.shell(documented("restore"))
    after = stack.rows()
    assert all(after[table] >= before[table] > 0 for table in GOLD_TABLES)
    stack.await_well("airflow-scheduler", since=time.time())


def documented(name: str) -> str:
    """The shell commands that docs/operations.md has under this mark."""
    text = (ROOT / "docs" / "operations.md").read_text()
    found = re.search(rf"^<!-- {name} -->\n```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert found is not None, name
    return found[1]


def _listeners() -> set[tuple[str, int]]:
    """Address (as the kernel writes it) and port of each listening TCP socket of this machine."""
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state = line.split()[:4]
            if state == "0A":
                address, _, port = local.partition(":")
                found.add((address, int(port, 16)))
    return found
