"""The stack's own servers: started, found again, stopped, and nothing left behind, whatever is killed."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import StringIO
from pathlib import Path

import psycopg
import pytest
from confluent_kafka.admin import AdminClient
from rich.console import Console

from include.errors import StackError
from include.kafka.topics import TOPICS
from include.lake.s3 import s3_client
from include.local.layout import CLONE, Stack, locate
from include.local.ports import HOST, Ports
from include.local.reset import reset
from include.local.secrets import ensure_secrets, load_secrets
from include.local.servers import clients, postgres
from include.local.setup.cache import lock_of
from include.local.setup.environment import STACK_ID_VARIABLE
from include.local.start import down
from include.local.status import status
from include.local.supervision import health
from include.local.supervision.leftovers import find as processes_of
from include.local.supervision.supervisor import Supervisor
from include.local.up import start_stores_and_jars
from include.postgres import connect
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

STORES = {"postgres", "kafka", "minio"}


@contextmanager
def new_stack(folder: Path) -> Iterator[Stack]:
    """A stack that was never started, in a folder that is closed to other users, as /root is."""
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    found = replace(locate(), home=closed / "home", ports=Ports.free())
    yield found
    reset(found)
    assert not found.home.exists()
    assert not postgres.open_folder(found).exists()


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with new_stack(tmp_path) as found:
        yield found


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack that runs, for tests that leave it so."""
    with new_stack(tmp_path_factory.mktemp("running")) as found:
        start(found)
        yield found


def start(stack: Stack) -> str:
    """Start the stores; returns what was printed."""
    output = StringIO()
    start_stores_and_jars(stack, Console(file=output, width=200))
    return output.getvalue()


def pids(stack: Stack) -> dict[str, int]:
    return {name: condition.pid for name, condition in Supervisor(stack).conditions().items()}


def test_a_stack_lives_through_its_days(stack: Stack) -> None:
    start(stack)
    settings = clients.settings(stack, load_secrets(stack))
    assert set(AdminClient({"bootstrap.servers": settings.kafka_bootstrap_servers}).list_topics().topics) >= set(TOPICS)
    assert {bucket["Name"] for bucket in s3_client(settings).list_buckets()["Buckets"]} >= {"bronze", "silver"}
    s3_client(settings).put_object(Bucket="bronze", Key="kept", Body=b"1")
    with connect(settings.warehouse_dsn) as warehouse:
        warehouse.execute("CREATE TABLE kept AS SELECT 1 AS one")
    before = pids(stack)
    assert set(before) == STORES

    unused = stack.cache / "jars" / f"of-no-version-{stack.stack_id}"
    unused.mkdir()
    lock_of(unused).touch()
    os.utime(lock_of(unused), (1, 1))
    start(stack)
    assert pids(stack) == before, "a second start touches nothing"
    assert not unused.exists(), "but what nobody has used for long"
    lock_of(unused).unlink()

    assert down(stack)
    assert processes_of(stack) == []
    assert not down(stack), "there is nothing to stop any more"

    start(stack)
    assert not set(pids(stack).values()) & set(before.values())
    with connect(settings.warehouse_dsn) as warehouse:
        assert warehouse.execute("SELECT one FROM kept").fetchone() == (1,)
    assert s3_client(settings).get_object(Bucket="bronze", Key="kept")["Body"].read() == b"1"


def test_passwords_are_asked_for(running: Stack) -> None:
    stack, secrets = running, load_secrets(running)
    for database in ("postgres", "warehouse", "airflow"):
        dsn = postgres.dsn(stack, replace(secrets, **_wrong(secrets)), database)
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(dsn)
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(postgres.dsn(stack, secrets, "airflow").removesuffix("/airflow") + "/warehouse")
    assert health.minio_problem(stack, replace(secrets, minio_password="wrong-password")) is not None  # noqa: S106
    assert health.minio_problem(stack, secrets) is None


def _wrong(secrets: object) -> dict[str, str]:
    return dict.fromkeys(("postgres_password", "warehouse_password", "airflow_db_password"), "wrong")


def test_servers_whose_keeper_was_killed_are_replaced(stack: Stack) -> None:
    start(stack)
    orphans = pids(stack)
    keeper = int((stack.run / "supervisord.pid").read_text())
    os.kill(keeper, signal.SIGKILL)
    wait_until(lambda: not Supervisor(stack).alive(), "the keeper's end")
    assert set(orphans.values()) <= {process.pid for process in processes_of(stack)}, "its servers go on without it"

    assert down(stack)
    assert processes_of(stack) == []
    start(stack)
    assert not set(orphans.values()) & set(pids(stack).values())


def test_a_killed_server_comes_back(running: Stack) -> None:
    stack, secrets = running, load_secrets(running)
    before = pids(stack)["minio"]
    os.kill(before, signal.SIGKILL)
    wait_until(
        lambda: pids(stack)["minio"] not in (0, before) and health.minio_problem(stack, secrets) is None,
        "a new MinIO",
    )


FOREIGN = {
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    "KAFKA_OPTIONS": '{"security.protocol": "SSL"}',
    "S3_ENDPOINT_URL": "http://127.0.0.1:1",
    "AWS_SESSION_TOKEN": "old",
    "AWS_PROFILE": "nobody",
    "WAREHOUSE_DSN": "postgresql://127.0.0.1:1/nothing",
    "PGSSLMODE": "require",
    "PGOPTIONS": "-c search_path=pg_catalog",
    "http_proxy": "http://127.0.0.1:1",
}
"""What a shell may have exported for something else."""


def paylake(stack: Stack, folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command of this stack in ``folder``, as ./paylake does once it has its Python."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "include.cli", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(CLONE), "PAYLAKE_HOME": os.path.relpath(stack.home, folder)} | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_commands_find_their_stack_from_anywhere_whatever_the_shell_says(running: Stack, tmp_path: Path) -> None:
    produced = paylake(running, tmp_path, "generate", "reference", "--users", "5", "--merchants", "20", **FOREIGN)
    assert produced.returncode == 0, produced.stderr
    verified = paylake(running, tmp_path, "verify", "--wait", "0", "--json", **FOREIGN)
    assert verified.returncode == 1, verified.stderr
    domains = json.loads(verified.stdout)["domains"]
    assert {finding["check"] for domain in domains for finding in domain["findings"]} == {"bronze_behind"}
    kept = paylake(running, tmp_path, "quarantine", "list", "--json", **FOREIGN)
    assert kept.returncode == 0, kept.stderr
    evaluated = paylake(running, tmp_path, "evaluate", **FOREIGN)
    assert "Traceback" not in evaluated.stderr
    found = json.loads(paylake(running, tmp_path, "status", "--json", **FOREIGN).stdout)
    assert {problem["check"] for problem in found["problems"]} == {"process", "no_answer"}
    silent = {problem["subject"] for problem in found["problems"] if problem["check"] == "no_answer"}
    assert silent == {"airflow", "events of assets"}
    (profiles,) = [one for one in found["behind"] if (one["layer"], one["domain"]) == ("bronze", "profiles")]
    assert profiles["records"] >= 5


def test_a_stack_that_does_not_run_is_named_at_once_and_help_needs_none(stack: Stack, tmp_path: Path) -> None:
    for command in (["generate", "reference"], ["verify"]):
        answer = paylake(stack, tmp_path, *command, KAFKA_BOOTSTRAP_SERVERS="", WAREHOUSE_DSN="")
        assert answer.returncode == 1
        assert answer.stderr.startswith(f"paylake: There is no stack in {stack.home}: ./paylake up starts one.")
    stack.remember()
    ensure_secrets(stack)
    for command in (["generate", "reference"], ["evaluate"], ["psql", "-c", "SELECT 1"]):
        answer = paylake(stack, tmp_path, *command)
        assert answer.returncode == 1
        assert answer.stderr.count("\n") == 1
        assert f"of the stack in {stack.home} should be" in answer.stderr
        assert "./paylake up starts what does not run" in answer.stderr
    assert "--wait" in paylake(stack, tmp_path, "verify", "--help").stdout
    assert "redrive" in paylake(stack, tmp_path, "quarantine").stdout
    asked = paylake(stack, tmp_path, "status")
    assert asked.returncode == 1
    assert "postgres; kafka; minio" in asked.stdout
    assert "it does not run" in asked.stdout


@pytest.mark.parametrize("name", sorted(STORES))
def test_status_answers_while_a_server_is_frozen(running: Stack, name: str) -> None:
    frozen = pids(running)[name]
    os.kill(frozen, signal.SIGSTOP)
    try:
        started = time.monotonic()
        found = status(running, load_secrets(running), seconds=6.0)
        assert time.monotonic() - started < 40
    finally:
        os.kill(frozen, signal.SIGCONT)
    silent = {problem.subject for problem in found.flow.problems if problem.check == "no_answer"}
    parts = {part.name for part in found.flow.layers}
    probes = health.probes(running, load_secrets(running))
    wait_until(lambda: probes[name](0.0) is None, f"{name} to be well again")
    assert {
        "kafka": {"bronze profiles", "open transactions, profiles"},
        "minio": {"bronze/profiles-folder", "bronze profiles", "silver profiles"},
        "postgres": {"gold/users", "silver/processed-profiles", "verdicts transactions", "quarantine"},
    }[name] <= silent
    assert {"kafka": "users", "minio": "users", "postgres": "profiles-folder"}[name] in parts


def test_a_taken_port_stops_the_start_before_it_begins(stack: Stack) -> None:
    with (
        socket.create_server((HOST, stack.ports.kafka)),
        pytest.raises(StackError, match=rf"Port {stack.ports.kafka} \(for kafka\) is taken by another program"),
    ):
        start(stack)
    assert processes_of(stack) == []
    assert not stack.choice_file.exists()


def test_a_server_that_can_not_start_takes_the_others_down(stack: Stack) -> None:
    start(stack)
    down(stack)
    (stack.home / "kafka" / "data" / "meta.properties").write_text("version=1\nnode.id=7\ncluster.id=another\n")
    with pytest.raises(StackError, match=r"kafka does not start; the end of .*kafka\.log"):
        start(stack)
    assert not Supervisor(stack).alive()
    assert processes_of(stack) == []


def test_other_peoples_files_are_not_removed(stack: Stack) -> None:
    stack.home.mkdir(mode=0o700)
    letter = stack.home / "letter.txt"
    letter.write_text("dear")
    for change in (reset, start):
        with pytest.raises(StackError, match=r"holds what is not Paylake's \(letter\.txt\)"):
            change(stack)
    assert stack.home.stat().st_mode & 0o777 == 0o700
    assert letter.read_text() == "dear"
    letter.unlink()


def test_the_servers_of_a_killed_test_session_are_removed(tmp_path: Path) -> None:
    script = (
        "import sys; from include.local.testing.stores import store_servers\n"
        "with store_servers() as environment:\n"
        "    print(environment['SPARK_CONF_DIR'], flush=True); sys.stdin.read()\n"
    )
    session = subprocess.Popen(
        [sys.executable, "-c", script], cwd=CLONE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert session.stdout is not None
        home = Path(session.stdout.readline().strip()).parents[1]
        stack = replace(locate({"PAYLAKE_HOME": str(home)}))
        assert set(pids(stack)) == STORES
    finally:
        session.kill()
        session.communicate()
    wait_until(lambda: not home.exists(), "the removal of the home")
    assert processes_of(stack) == []


def test_only_processes_of_this_stack_are_its_own(stack: Stack) -> None:
    other = subprocess.Popen(["sleep", "60"], env={STACK_ID_VARIABLE: stack.stack_id + "0"})
    own = subprocess.Popen(["sleep", "60"], env={STACK_ID_VARIABLE: stack.stack_id})
    try:
        assert [process.pid for process in processes_of(stack)] == [own.pid]
        stack.remember()
        assert down(stack)
        assert own.wait(5) == -signal.SIGTERM
        assert other.poll() is None
    finally:
        for process in (own, other):
            process.kill()
            process.wait()


def test_servers_are_kept_for_tests_until_they_are_told_to_stop() -> None:
    with subprocess.Popen([CLONE / "paylake", "test", "servers"], stdout=subprocess.PIPE, text=True) as keeping:
        assert keeping.stdout is not None
        exports: dict[str, str] = {}
        while "PAYLAKE_TEST_ENV" not in exports:
            (word,) = shlex.split(keeping.stdout.readline().removeprefix("export "))
            name, _, value = word.partition("=")
            exports[name] = value
        with psycopg.connect(exports["WAREHOUSE_DSN"]) as connection:
            assert connection.execute("SELECT count(*) FROM users").fetchone() == (0,)
        keeping.send_signal(signal.SIGINT)
        assert keeping.wait(60) == 0
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(exports["WAREHOUSE_DSN"])
