"""What Paylake uses of Airflow beyond what Airflow promises to keep. At an upgrade this fails first, within seconds.

``INSIDE`` names each module, and a test each contract. What fails says in its message what depends on it.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pytest
from airflow.executors.base_executor import BaseExecutor, get_execution_api_server_url
from airflow.executors.workloads import ExecutorWorkload
from airflow.executors.workloads.base import BundleInfo
from airflow.executors.workloads.callback import CallbackDTO, CallbackFetchMethod, ExecuteCallback
from airflow.executors.workloads.connection_test import TestConnection
from airflow.executors.workloads.task import ExecuteTask, TaskInstanceDTO
from airflow.jobs.job import Job
from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk.execution_time.supervisor import ActivitySubprocess, WatchedSubprocess

from include.docker import health
from paylake_airflow import executor, hooks, metadata
from paylake_airflow.executor import TiedExecutor

ROOT = Path(__file__).parents[2]

PUBLIC = ("airflow.sdk", "airflow.sdk.exceptions", "airflow.plugins_manager", "airflow.triggers.base")
"""What Airflow's documentation calls its public interface; so are the providers' hooks and operators."""

INSIDE = {
    "airflow.api.common.trigger_dag": {"trigger_dag"},
    "airflow.api_fastapi.auth.managers.models.base_user": {"BaseUser"},
    "airflow.api_fastapi.auth.managers.models.resource_details": {"DagAccessEntity"},
    "airflow.api_fastapi.common.db.common": {"SessionDep"},
    "airflow.api_fastapi.core_api.datamodels.dag_run": {"TriggerDAGRunPostBody"},
    "airflow.api_fastapi.core_api.routes.public.dag_run": {"trigger_dag_run"},
    "airflow.api_fastapi.core_api.security": {"GetUserDep", "requires_access_dag"},
    "airflow.api_fastapi.logging.decorators": {"action_logging"},
    "airflow.configuration": {"AIRFLOW_HOME", "conf"},
    "airflow.exceptions": {"DagNotFound"},
    "airflow.executors.base_executor": {"BaseExecutor", "get_execution_api_server_url"},
    "airflow.executors.workloads": {"ExecutorWorkload"},
    "airflow.executors.workloads.types": {"WorkloadKey"},
    "airflow.jobs.job": {"Job", "JobState"},
    "airflow.models": {"DagModel", "DagRun", "TaskInstance"},
    "airflow.models.asset": {"AssetEvent", "AssetModel"},
    "airflow.models.dag": {"DagModel"},
    "airflow.models.dagbag": {"DBDagBag"},
    "airflow.models.dagrun": {"DagRun"},
    "airflow.models.errors": {"ParseImportError"},
    "airflow.models.pool": {"Pool"},
    "airflow.models.taskinstancehistory": {"TaskInstanceHistory"},
    "airflow.models.xcom": {"XCOM_RETURN_KEY", "XComModel"},
    "airflow.partition_mappers.temporal": {"StartOfDayMapper"},
    "airflow.sdk.configuration": {"conf"},
    "airflow.sdk.definitions.timetables.simple": {"ContinuousTimetable"},
    "airflow.serialization.decoders": {"decode_asset_like"},
    "airflow.serialization.definitions.assets": {"SerializedAssetBase"},
    "airflow.serialization.encoders": {"encode_asset_like"},
    "airflow.timetables.base": {"DagRunInfo", "TimeRestriction"},
    "airflow.timetables.simple": {"PartitionedAssetTimetable"},
    "airflow.timetables.trigger": {"CronPartitionTimetable"},
    "airflow.utils.db_cleanup": {"run_cleanup"},
    "airflow.utils.net": {"get_hostname"},
    "airflow.utils.session": {"create_session"},
    "airflow.utils.state": {"State"},
    "airflow.utils.types": {"DagRunTriggeredByType", "DagRunType"},
}
"""What the code imports of Airflow's inside, module by module."""

TYPES_ONLY = {"WorkloadKey"}


def imported(path: Path) -> Iterator[tuple[str, str]]:
    """Modules and names of Airflow that a module of ours imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names if alias.name.split(".")[0] == "airflow")
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "airflow":
            yield from ((node.module, alias.name) for alias in node.names)


def test_the_code_uses_no_more_of_airflows_inside_than_is_named_here() -> None:
    found: dict[str, set[str]] = {}
    for folder in ("airflow", "include"):
        for path in (ROOT / folder).rglob("*.py"):
            for module, name in imported(path):
                if module not in PUBLIC and not module.startswith("airflow.providers."):
                    found.setdefault(module, set()).add(name)
    assert found == INSIDE, "what is used beside that needs a contract in this file"


@pytest.mark.parametrize(("module", "name"), [(module, name) for module in INSIDE for name in sorted(INSIDE[module])])
def test_what_is_imported_is_there(module: str, name: str) -> None:
    if name not in TYPES_ONLY:
        assert hasattr(importlib.import_module(module), name), f"{module}.{name} is imported by our plugin"


# The executor.


NOBODY = "nobody"


class Process:
    """Stands for the child process of a workload, which ends when the test says so."""

    def __init__(self, **_: Any) -> None:
        self.exitcode: int | None = None

    def start(self) -> None:
        """Nothing runs."""

    def close(self) -> None:
        """Nothing is held."""


def a_task() -> ExecuteTask:
    task = TaskInstanceDTO(
        id=uuid.uuid4(),
        dag_version_id=uuid.uuid4(),
        dag_id="fraud_stream",
        task_id="judge",
        run_id="run",
        try_number=1,
        pool_slots=1,
        priority_weight=1,
    )
    bundle = BundleInfo(name="dags-folder")
    return ExecuteTask(ti=task, token=NOBODY, dag_rel_path=Path("fraud.py"), bundle_info=bundle, log_path=None)


def a_callback() -> ExecuteCallback:
    callback = CallbackDTO(id=str(uuid.uuid4()), fetch_method=CallbackFetchMethod.IMPORT_PATH, data={})
    bundle = BundleInfo(name="dags-folder")
    return ExecuteCallback(
        callback=callback, token=NOBODY, dag_rel_path=Path("fraud.py"), bundle_info=bundle, log_path=None
    )


def a_connection_test() -> TestConnection:
    return TestConnection(connection_test_id=uuid.uuid4(), connection_id="warehouse", timeout=10, token=NOBODY)


WORKLOADS: dict[type, Callable[[], Any]] = {
    ExecuteTask: a_task,
    ExecuteCallback: a_callback,
    TestConnection: a_connection_test,
}


@pytest.fixture
def tied(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> TiedExecutor:
    monkeypatch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "a secret that is as long as Airflow wants one, for 512 bits..")
    monkeypatch.setattr(executor, "_HEARTBEATS", tmp_path)
    monkeypatch.setattr(executor, "_FORK", SimpleNamespace(Process=Process))
    return TiedExecutor(parallelism=4)


def test_the_executor_knows_every_kind_of_workload() -> None:
    kinds = get_args(get_args(ExecutorWorkload)[0])
    assert set(kinds) == set(WORKLOADS), "TiedExecutor takes each kind out of a queue of its own"


@pytest.mark.parametrize("kind", WORKLOADS, ids=lambda kind: str(kind.__name__))
@pytest.mark.parametrize("code", [0, -9])
def test_a_queued_workload_is_processed_once_and_its_end_is_told(tied: TiedExecutor, kind: type, code: int) -> None:
    workload = WORKLOADS[kind]()
    tied.queue_workload(workload, session=None)  # type: ignore[arg-type]  # only CeleryExecutor asks the database
    tied.heartbeat()
    tied.heartbeat()
    assert list(tied._work) == [workload.key], "heartbeat() hands what is queued to _process_workloads()"
    assert tied.running == {workload.key}, "the executor's free slots are told by `running`"
    assert tied.slots_available == 3, "a workload in one of the queues counts, too, so it is taken out of them"
    told = tied.get_event_buffer()
    assert {key: state for key, (state, _) in told.items()} == (
        {} if workload.running_state is None else {workload.key: workload.running_state}
    ), "change_state(remove_running=False) tells of a start"
    tied._work[workload.key].process.exitcode = code  # type: ignore[misc]  # it is the one above
    tied.heartbeat()
    state = workload.success_state if code == 0 else workload.failure_state
    assert tied.get_event_buffer()[workload.key][0] == state, "heartbeat() calls sync(), change_state() tells of an end"
    assert tied.slots_available == 4


def test_what_airflow_has_given_up_is_no_longer_running(tied: TiedExecutor) -> None:
    assert "executor.change_state(ti.key, TaskInstanceState.FAILED, remove_running=True)" in inspect.getsource(
        SchedulerJobRunner._purge_task_instances_without_heartbeats
    ), "TiedExecutor.sync() kills a task that the scheduler took out of `running`"
    task = a_task()
    tied.running.add(task.key)
    tied.change_state(task.key, task.failure_state, remove_running=True)
    assert tied.running == set()


@pytest.mark.parametrize("name", ["start", "sync", "end", "terminate", "_process_workloads"])
def test_what_the_executor_overrides_airflow_still_has(name: str) -> None:
    theirs = inspect.signature(getattr(BaseExecutor, name)).parameters
    ours = inspect.signature(getattr(TiedExecutor, name)).parameters
    assert list(ours) == list(theirs), f"TiedExecutor.{name}() is called by Airflow"


@pytest.mark.parametrize(
    ("flag", "meaning"),
    [
        ("is_local", "bundles of DAGs that nobody uses are removed on this machine"),
        ("serve_logs", "the scheduler serves the logs of its tasks"),
        ("supports_callbacks", "callbacks are queued for it"),
        ("supports_connection_test", "tests of connections are queued for it"),
    ],
)
def test_a_flag_of_the_executor_is_one_of_airflows(flag: str, meaning: str) -> None:
    assert getattr(BaseExecutor, flag) is False, f"TiedExecutor.{flag} says that {meaning}"


def test_a_workload_is_run_by_one_call_which_says_where_the_api_is(tied: TiedExecutor) -> None:
    call = inspect.signature(BaseExecutor.run_workload)
    call.bind(a_task(), server="http://127.0.0.1/execution/", proctitle="title", subprocess_logs_to_stdout=True)
    assert get_execution_api_server_url(tied.conf).endswith("/execution/"), "it is handed to run_workload()"


def test_a_scheduler_names_itself_to_its_executor_and_ends_it_however_it_ends(
    tied: TiedExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, Any]] = []
    monkeypatch.setattr(tied, "start", lambda: calls.append(("start", tied.job_id)))
    monkeypatch.setattr(tied, "end", lambda: calls.append(("end", tied.job_id)))
    job = Job(id=7, job_type=SchedulerJobRunner.job_type)  # type: ignore[no-untyped-call]  # Airflow did not type it
    runner = SchedulerJobRunner(job, executors=[tied])

    def crash() -> None:
        raise RuntimeError("the scheduler has crashed")

    monkeypatch.setattr(runner, "_run_scheduler_loop", crash)
    monkeypatch.delenv("_AIRFLOW_PROCESS_CONTEXT", raising=False)
    with pytest.raises(RuntimeError, match="has crashed"):
        runner._execute()
    monkeypatch.delenv("_AIRFLOW_PROCESS_CONTEXT")
    assert calls == [("start", 7), ("end", 7)], "start() spares the scheduler's own job, and end() ends its tasks"


START = """
from airflow import settings
from airflow.jobs.job import Job, JobState
from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
from airflow.utils.session import create_session
from paylake_airflow import executor

Job.__table__.create(settings.engine)
with create_session() as session:
    for id, host in ((1, None), (2, "another.example"), (3, None)):
        job = Job(id=id, job_type=SchedulerJobRunner.job_type, state=JobState.RUNNING)
        job.hostname = host or job.hostname
        session.add(job)
executor.LIBRARIES = ()
tied = executor.TiedExecutor()
tied.job_id = 3
tied.start()
with create_session() as session:
    print("STATES", *(job.state for job in session.query(Job).order_by(Job.id)))
"""


def test_a_scheduler_that_starts_declares_the_earlier_one_of_its_host_dead(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", START],
        env={
            "AIRFLOW_HOME": str(tmp_path),
            "AIRFLOW__API_AUTH__JWT_SECRET": "a secret that is as long as Airflow wants one, for 512 bits..",
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": f"{ROOT}:{ROOT / 'airflow' / 'plugins'}",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "STATES failed running running" in done.stdout, "a row of `job` says host, type and state of a scheduler"
    assert "Job.state.is_distinct_from(JobState.RUNNING)" in inspect.getsource(
        SchedulerJobRunner.adopt_or_reset_orphaned_tasks
    ), "the tasks of a scheduler whose job does not run are started anew at once"


# The end with the parent.


def test_the_supervisor_of_a_task_is_its_parent_and_hands_the_word_to_stop_on() -> None:
    start, wait = inspect.getsource(WatchedSubprocess.start), inspect.getsource(ActivitySubprocess.wait)
    assert "pid = os.fork()" in start, "die_with_parent() in a task ties it to its supervisor"
    assert "signal.signal(signal.SIGTERM, _forward_signal)" in wait, "TiedExecutor.end() has tasks stop in order"
    assert "os.kill(self.pid, signum)" in wait


SUBMIT = """#!/bin/sh
echo "$PPID $PAYLAKE_TEST_SAYS" > "$PAYLAKE_TEST_FILE"
"""


def test_a_driver_on_this_machine_is_a_child_of_its_task_and_inherits_what_it_needs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "spark-submit").write_text(SUBMIT)
    (tmp_path / "spark-submit").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PAYLAKE_TEST_SAYS", "hello")
    monkeypatch.setenv("PAYLAKE_TEST_FILE", str(tmp_path / "told"))
    monkeypatch.setenv("AIRFLOW_CONN_SPARK_DEFAULT", '{"conn_type": "spark", "host": "local[1]"}')
    judge = SparkSubmitOperator(task_id="judge", application="job.py", conn_id=hooks.SPARK_CONN_ID)
    judge.execute({})
    assert (tmp_path / "told").read_text().split() == [str(os.getpid()), "hello"], (
        "our spark-submit stands first on PATH, ties itself to the task, and learns of the stores by its environment"
    )


# The connections.


def test_hooks_tell_what_their_connections_say(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.providers.amazon.aws.hooks.s3 import S3Hook
    from airflow.providers.apache.kafka.hooks.base import KafkaBaseHook
    from airflow.providers.apache.spark.hooks.spark_submit import SparkSubmitHook
    from airflow.providers.postgres.hooks.postgres import PostgresHook

    monkeypatch.setenv("AIRFLOW_CONN_SPARK_DEFAULT", '{"conn_type": "spark", "host": "yarn"}')
    monkeypatch.setenv("AIRFLOW_CONN_LAKE_S3", '{"conn_type": "aws", "login": "key", "password": "secret"}')
    assert SparkSubmitHook(conn_id="spark_default")._connection.keys() >= {"master", "deploy_mode"}, (
        "hooks.spark_connection() asks the hook where drivers run"
    )
    assert "config" in inspect.signature(KafkaBaseHook._get_client).parameters, "hooks.kafka_config() overrides it"
    lake = S3Hook(aws_conn_id=hooks.LAKE_CONN_ID).conn_config
    inspect.signature(lake.get_service_endpoint_url).bind("sts", sts_connection_assume=True)
    wanted = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token", "profile_name", "region_name")
    for name in (*wanted, "role_arn", "assume_role_method", "assume_role_kwargs"):
        assert hasattr(lake, name), "hooks.stack_settings() tells jobs of each way to credentials"
    assert PostgresHook.ignored_extra_options, "hooks.warehouse_dsn() leaves out what libpq does not know"


# Airflow's own database.


def test_the_retention_of_airflows_database_finds_its_tables() -> None:
    from airflow.models.base import Base
    from airflow.utils.db_cleanup import config_dict, run_cleanup

    assert set(metadata.EVENTS) <= config_dict.keys(), "metadata.prune() names these tables"
    names = ("clean_before_timestamp", "table_names", "confirm", "skip_archive", "batch_size")
    inspect.signature(run_cleanup).bind(**dict.fromkeys((*names, "error_on_cleanup_failure")))
    for name in ("asset_event", "dag_run", "task_instance", "xcom"):
        assert name in Base.metadata.tables, f"{name} is looked at below"
    holding = {
        f"{table.name}.{key.parent.name}": (key.ondelete or "NO ACTION").upper()
        for table in Base.metadata.tables.values()
        for key in table.foreign_keys
        if key.column.table.name in ("dag_run", "task_instance")
    }
    assert set(holding.values()) <= {"CASCADE", "SET NULL"}, (
        "metadata.prune() deletes runs alone, and the database removes what belongs to them"
    )


def test_the_health_checks_of_containers_find_a_sign_of_life() -> None:
    from airflow.jobs.dag_processor_job_runner import DagProcessorJobRunner
    from airflow.jobs.triggerer_job_runner import TriggererJobRunner

    runners = (SchedulerJobRunner, DagProcessorJobRunner, TriggererJobRunner)
    assert set(health.JOBS.values()) == {runner.job_type for runner in runners}
    assert {"job_type", "latest_heartbeat"} <= set(Job.__table__.columns.keys()), "include/docker/health.py reads them"


def test_pools_are_made_as_before() -> None:
    from airflow.models.pool import Pool

    inspect.signature(Pool.get_pool).bind("streams", session=None)
    inspect.signature(Pool.create_or_update_pool).bind("streams", 8, "words", include_deferred=False, session=None)


# The page.


def test_the_page_starts_a_run_as_the_route_does() -> None:
    from airflow.api_fastapi.core_api.datamodels.dag_run import TriggerDAGRunPostBody
    from airflow.api_fastapi.core_api.routes.public.dag_run import trigger_dag_run

    found = list(inspect.signature(trigger_dag_run).parameters)
    assert found == ["dag_id", "body", "dag_bag", "user", "session", "request"], "paylake_desk.runs calls it so"
    assert {"logical_date", "conf"} <= TriggerDAGRunPostBody.model_fields.keys(), "paylake_desk.runs gives these"
