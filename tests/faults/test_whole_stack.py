"""A whole stack under load, of which one part after the other is killed, stopped or frozen, and nobody does anything.

One stack runs for all of this file. Next to it a plain Kafka client sends transactions all the time; each one has a
verdict in the end. What is measured is the time from the fault to the verdict on a transaction sent after it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator

import psutil
import psycopg
import pytest
import requests

from include.domains import PROFILES
from include.local.supervision.leftovers import find
from tests.support.books import assert_balanced, assert_judged_again
from tests.support.kafka import produce
from tests.support.processes import parent, resident_megabytes
from tests.support.records import good
from tests.support.stack import DRIVER, PAYLAKE, Stack, Traffic, whole_stack
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(900)]

VERDICT_SECONDS = 90.0
"""The promise: after whatever fault, verdicts flow again within this time, without anyone doing anything."""
BATCH_SECONDS = 240.0
"""How long a new user may take to gold after a fault, with all the retries and two Spark jobs to start."""
FROZEN_SECONDS = 120.0
OUTAGE_SECONDS = 30.0
ORPHAN_SECONDS = 20.0
DOWN_SECONDS = 45.0
JVM_MEGABYTES = 1600.0  # of which 1 GB is the heap that spark-defaults.conf allows
PYTHON_MEGABYTES = 600.0


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with whole_stack() as stack:
        yield stack


@pytest.fixture(scope="module")
def traffic(stack: Stack) -> Iterator[Traffic]:
    with Traffic(stack.settings) as traffic:
        # The first driver of a new stack may still be starting.
        traffic.seconds_until_judged(traffic.last(), time.monotonic(), 2 * VERDICT_SECONDS)
        yield traffic


def jvm(stack: Stack) -> int:
    return only(stack.drivers())


def python_driver(stack: Stack) -> int:
    above = jvm(stack)
    return only([pid for pid, line in stack.command_lines().items() if DRIVER in line and parent(pid) == above])


def fraud_task(stack: Stack) -> int:
    return parent(jvm(stack))


def bronze_tasks(stack: Stack) -> list[int]:
    """The processes that bring transactions into bronze; none while the API server is away."""
    try:
        page = stack.airflow.get("dags/bronze_transactions/dagRuns/~/taskInstances", state="running")
    except requests.ConnectionError:
        return []
    alive = stack.command_lines()
    return [instance["pid"] for instance in page["task_instances"] if instance["pid"] in alive]


def bronze_task(stack: Stack) -> int:
    return only(bronze_tasks(stack))


def only(pids: list[int]) -> int:
    assert len(pids) == 1, pids
    return pids[0]


def keeper(name: str) -> Callable[[Stack], int]:
    return lambda stack: stack.pid(name)


VICTIMS: dict[str, Callable[[Stack], int]] = {
    "the scheduler": keeper("airflow-scheduler"),
    "the supervising process of the fraud task": lambda stack: parent(fraud_task(stack)),
    "the fraud task": fraud_task,
    "the driver's JVM": jvm,
    "the driver's Python": python_driver,
    "the bronze task": bronze_task,
    "the supervising process of the bronze task": lambda stack: parent(bronze_task(stack)),
    "the triggerer": keeper("airflow-triggerer"),
    "the API server": keeper("airflow-api-server"),
    "the DAG processor": keeper("airflow-dag-processor"),
    "the watchdog": keeper("airflow-watchdog"),
    "Kafka": keeper("kafka"),
    "MinIO": keeper("minio"),
    "PostgreSQL": keeper("postgres"),
}
BATCH_MATTERS = ("the scheduler", "the triggerer", "the API server", "the DAG processor")


def orphans(stack: Stack) -> dict[int, str]:
    """Processes of the stack that no chain of parents ties to supervisor."""
    lines = stack.command_lines()
    root = int((stack.home / "run" / "supervisord.pid").read_text())
    return {pid: lines[pid] for pid in lines if not _descends(pid, root)}


def _descends(pid: int, root: int) -> bool:
    while pid not in (root, 0, 1):
        pid = parent(pid)
    return pid != 1


def assert_whole(stack: Stack, traffic: Traffic) -> None:
    """Nothing of before goes on, nothing is lost, nothing doubled, and what was judged is judged the same again."""
    wait_until(lambda: not orphans(stack), "the end of all orphans", ORPHAN_SECONDS)
    wait_until(
        lambda: len(stack.drivers()) == 1 == len(bronze_tasks(stack)), "one stream of each kind", VERDICT_SECONDS
    )
    traffic.assert_all_judged()
    assert_balanced(stack.settings, wait_seconds=BATCH_SECONDS)
    assert max(assert_judged_again(stack.settings)) > 1, "verdicts by what came before"


def await_user_in_gold(stack: Stack, user_id: str) -> float:
    """Produce a user, and wait for its row; returns the seconds."""
    start = time.monotonic()
    produce(stack.settings, PROFILES.topic, [good(PROFILES, user_id=user_id)])

    def there() -> bool:
        with psycopg.connect(stack.settings.warehouse_dsn) as connection:
            found = connection.execute("SELECT EXISTS (SELECT FROM users WHERE user_id = %s)", [user_id]).fetchone()
        return found == (True,)

    wait_until(there, f"{user_id} in gold", BATCH_SECONDS)
    return time.monotonic() - start


@pytest.mark.parametrize("victim", VICTIMS)
def test_verdicts_flow_again_after_a_kill(stack: Stack, traffic: Traffic, victim: str) -> None:
    pid = VICTIMS[victim](stack)
    os.kill(pid, signal.SIGKILL)
    killed, last = time.monotonic(), traffic.last()
    seconds = traffic.seconds_until_judged(last, killed, VERDICT_SECONDS)
    print(f"{victim} killed: first verdict after {seconds:.1f} s")
    if victim in BATCH_MATTERS:
        user_id = f"U{pid:06}{list(VICTIMS).index(victim):02}"
        print(f"{victim} killed: a new user in gold after {await_user_in_gold(stack, user_id):.1f} s")
    assert_whole(stack, traffic)


def test_a_stream_comes_back_as_soon_the_tenth_time_as_the_first(stack: Stack, traffic: Traffic) -> None:
    """Its run has nine tries: this also goes from one run to the next."""
    for number in range(10):
        os.kill(bronze_task(stack), signal.SIGKILL)
        seconds = traffic.seconds_until_judged(traffic.last(), time.monotonic(), VERDICT_SECONDS)
        print(f"bronze task killed, time {number + 1}: first verdict after {seconds:.1f} s")
    assert_whole(stack, traffic)


@pytest.mark.parametrize("name", ["postgres", "kafka", "minio"])
def test_verdicts_flow_again_after_an_outage_and_memory_stays_bounded(
    stack: Stack, traffic: Traffic, name: str
) -> None:
    generator = subprocess.Popen(
        [PAYLAKE, "generate", "transactions", "--rate", "200"],
        env=stack.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        traffic.seconds_until_judged(traffic.last(), time.monotonic(), VERDICT_SECONDS)
        stack.supervisor.stop([name])
        most: dict[str, float] = {}
        watch(stack, most, OUTAGE_SECONDS)
        stack.start(name)
        back, last = time.monotonic(), traffic.last()
        seconds = traffic.seconds_until_judged(last, back, VERDICT_SECONDS)
        watch(stack, most, 5)
        print(f"{name} was away: first verdict {seconds:.1f} s after it was back; memory {most}")
    finally:
        generator.send_signal(signal.SIGINT)
        generator.wait(60)
    assert most["JVM"] < JVM_MEGABYTES
    assert most["Python"] < PYTHON_MEGABYTES
    assert_whole(stack, traffic)


def watch(stack: Stack, most: dict[str, float], seconds: float) -> None:
    """Note for so long the most memory that any JVM of a driver, and any Python process of Airflow or Spark, takes."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for pid, line in stack.command_lines().items():
            kind = "JVM" if "SparkSubmit" in line else "Python" if "airflow worker" in line or "pyspark" in line else ""
            if kind:
                most[kind] = max(most.get(kind, 0.0), round(resident_megabytes(pid)))
        time.sleep(0.5)


@pytest.mark.parametrize("name", ["airflow-scheduler", "airflow-api-server"])
def test_a_frozen_part_of_airflow_is_started_anew_by_the_watchdog(stack: Stack, traffic: Traffic, name: str) -> None:
    frozen = stack.pid(name)
    begin = time.monotonic()
    os.kill(frozen, signal.SIGSTOP)
    wait_until(lambda: stack.pid(name) not in (0, frozen), f"a new {name}", 180)
    print(f"{name} frozen: started anew after {time.monotonic() - begin:.1f} s")
    log = (stack.home / "logs" / "airflow-watchdog.log").read_text()
    assert f"{name} (process {frozen}) is killed" in log
    traffic.seconds_until_judged(traffic.last(), time.monotonic(), VERDICT_SECONDS)
    assert_whole(stack, traffic)


FROZEN = (
    "the driver's JVM",
    "the driver's Python",
    "the supervising process of the fraud task",
    "the bronze task",
    "the supervising process of the bronze task",
)


@pytest.mark.parametrize("name", FROZEN)
def test_a_stream_that_stands_still_is_started_anew(stack: Stack, traffic: Traffic, name: str) -> None:
    traffic.seconds_until_judged(traffic.last(), time.monotonic(), VERDICT_SECONDS)
    frozen = VICTIMS[name](stack)
    os.kill(frozen, signal.SIGSTOP)
    begin, last = time.monotonic(), traffic.last()
    seconds = traffic.seconds_until_judged(last, begin, VERDICT_SECONDS)
    print(f"{name} frozen: first verdict after {seconds:.1f} s")
    # While a supervising process stands still its stream goes on, until it is started anew.
    wait_until(lambda: frozen not in stack.command_lines(), "the end of the frozen process", FROZEN_SECONDS)
    traffic.seconds_until_judged(traffic.last(), time.monotonic(), VERDICT_SECONDS)
    assert_whole(stack, traffic)


def test_after_the_machine_went_down_up_goes_on_where_it_ended(stack: Stack, traffic: Traffic) -> None:
    traffic.seconds_until_judged(traffic.last(), time.monotonic(), VERDICT_SECONDS)
    os.kill(int((stack.home / "run" / "supervisord.pid").read_text()), signal.SIGKILL)

    def all_killed() -> bool:
        left = find(stack.layout)
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        return not left

    wait_until(all_killed, "the end of every process")
    begin = time.monotonic()
    up = stack.paylake("up", "--no-traffic")
    assert up.returncode == 0, up.stdout + up.stderr
    ready, last = time.monotonic(), traffic.last()
    seconds = traffic.seconds_until_judged(last, ready, VERDICT_SECONDS)
    print(f"machine down: up took {ready - begin:.1f} s, first verdict {seconds:.1f} s later")
    assert_whole(stack, traffic)


def test_down_stops_the_streams_in_order_and_soon(stack: Stack, traffic: Traffic) -> None:
    traffic.seconds_until_judged(traffic.last(), time.monotonic(), VERDICT_SECONDS)
    begin = time.monotonic()
    down = stack.paylake("down")
    assert down.returncode == 0, down.stdout + down.stderr
    print(f"down took {time.monotonic() - begin:.1f} s")
    assert time.monotonic() - begin < DOWN_SECONDS
    assert not find(stack.layout)
    up = stack.paylake("up", "--no-traffic")
    assert up.returncode == 0, up.stdout + up.stderr
    traffic.seconds_until_judged(traffic.last(), time.monotonic(), VERDICT_SECONDS)
    # The task could still tell the API server that it did what it was told.
    ended = stack.airflow.get("dags/bronze_transactions/dagRuns/~/taskInstances", state="skipped")
    assert ended["total_entries"] > 0
    assert_whole(stack, traffic)
