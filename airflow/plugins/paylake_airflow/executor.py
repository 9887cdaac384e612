"""An executor for one machine that can be killed, and whose tasks can be killed, at any moment.

Airflow's ``LocalExecutor`` runs tasks as this one does, but it is made for tasks that end and a scheduler that is not
killed: docs/endless-streams.md tells what was seen with streams.
"""

from __future__ import annotations

import gc
import importlib
import multiprocessing
import os
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from airflow.configuration import AIRFLOW_HOME
from airflow.executors.base_executor import BaseExecutor, get_execution_api_server_url
from airflow.jobs.job import Job, JobState
from airflow.utils.net import get_hostname
from airflow.utils.session import create_session
from sqlalchemy import update

from include.heartbeat import VARIABLE, Silence
from include.lifetime import die_with_parent

if TYPE_CHECKING:
    from multiprocessing.context import ForkProcess

    from airflow.executors.workloads import ExecutorWorkload
    from airflow.executors.workloads.types import WorkloadKey

END_SECONDS = 10.0
"""How long tasks may take to end in order when the scheduler ends."""

LIBRARIES = (
    "airflow.providers.amazon.aws.hooks.s3",
    "airflow.providers.apache.kafka.hooks.base",
    "airflow.providers.apache.spark.operators.spark_submit",
    "airflow.providers.postgres.hooks.postgres",
    "confluent_kafka.admin",
    "nameparser",
    "open_data_contract_standard.model",
    "psycopg",
    "pyarrow.compute",
    "pyarrow.csv",
    "pycountry",
    "pyiceberg.catalog.sql",
    "pyiceberg.io.pyarrow",
    "pyiceberg.table",
    "statistics",
)
"""What tasks load besides our own modules, of which each task is to have the newest: before the fork, once for all."""

_FORK = multiprocessing.get_context("fork")
_HEARTBEATS = Path(AIRFLOW_HOME) / "heartbeats"


@dataclass(frozen=True, slots=True)
class _Work:
    workload: ExecutorWorkload
    process: ForkProcess
    silence: Silence


class TiedExecutor(BaseExecutor):
    """Runs each workload in a child process of the scheduler: they share nothing, and the kernel ties them together.

    - A process that dies, however it dies, is noticed at the scheduler's next round, and its task is tried again.
    - A task that shows that it does its work (``include/heartbeat.py``) and stops showing it is killed with everything
      that it started, and tried again. So is one whose supervising process was silent for Airflow's own limit.
    - A scheduler that dies takes them with it, however it dies. Its successor on the same host knows that nothing of
      it is left and starts its tasks anew at once. So there must be one scheduler per host.
    - A scheduler that ends, or crashes, tells its tasks to stop, waits for ``END_SECONDS`` and kills the rest.
    """

    is_local = True
    serve_logs = True
    supports_callbacks = True
    supports_connection_test = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._work: dict[WorkloadKey, _Work] = {}

    def start(self) -> None:
        """Declare the earlier schedulers of this host dead, so that what they ran is started anew; load libraries."""
        import boto3

        shutil.rmtree(_HEARTBEATS, ignore_errors=True)
        with create_session() as session:
            session.execute(
                update(Job)
                .where(
                    Job.job_type == "SchedulerJob",
                    Job.state == JobState.RUNNING,
                    Job.hostname == get_hostname(),  # type: ignore[no-untyped-call]  # Airflow did not type it
                    Job.id != self.job_id,
                )
                .values(state=JobState.FAILED)
            )
        for name in LIBRARIES:
            importlib.import_module(name)
        # What boto3 reads for this client stays in its default session, which tasks inherit: a quarter of a second.
        nobody = "none"
        boto3.client("s3", region_name=nobody, aws_access_key_id=nobody, aws_secret_access_key=nobody)

    def _process_workloads(self, workload_items: Sequence[ExecutorWorkload]) -> None:
        for workload in workload_items:
            queues: list[dict[Any, Any]] = [self.queued_tasks, self.queued_callbacks, self.queued_connection_tests]
            for queue in queues:
                queue.pop(workload.key, None)
            server = get_execution_api_server_url(self.conf)
            silence = Silence(_HEARTBEATS)
            process = _FORK.Process(target=_run, args=(workload, server, silence.file), name=workload.display_name)
            process.start()
            self._work[workload.key] = _Work(workload, process, silence)
            self.running.add(workload.key)
            if workload.running_state is not None:
                self.change_state(workload.key, workload.running_state, remove_running=False)

    def sync(self) -> None:
        """Tell the scheduler which processes ended, and kill those that stand still.

        Why a task ended, the task itself has told the API server.
        """
        for key, work in list(self._work.items()):
            code = work.process.exitcode
            if code is None:
                if work.silence.too_long():
                    self._kill(work, f"it has made no progress for {work.silence.silent_for():.0f} s")
                elif key not in self.running:
                    self._kill(work, "Airflow has given it up")
                continue
            if code != 0:
                self.log.warning("The process of %s ended with %d", work.workload.display_name, code)
            work.process.close()
            work.silence.close()
            del self._work[key]
            self.change_state(key, work.workload.success_state if code == 0 else work.workload.failure_state)

    def _kill(self, work: _Work, reason: str) -> None:
        """Kill the process of a workload and all that come from it: one that is stopped takes no other signal."""
        self.log.warning("Killing %s and what it started: %s", work.workload.display_name, reason)
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(work.process.pid)
            for one in (process, *process.children(recursive=True)):
                with suppress(psutil.NoSuchProcess):
                    one.kill()

    def end(self) -> None:
        """Have the tasks stop in order, and kill what takes too long."""
        self.log.info("Ending %d processes", len(self._work))
        for work in self._work.values():
            # Airflow's supervisor of the task hands it on to the task.
            work.process.terminate()
        deadline = time.monotonic() + END_SECONDS
        for work in self._work.values():
            work.process.join(max(0.0, deadline - time.monotonic()))
        self.terminate()
        self.sync()

    def terminate(self) -> None:
        """Kill every process."""
        for work in self._work.values():
            if work.process.exitcode is None:
                self.log.warning("Killing the process of %s", work.workload.display_name)
                work.process.kill()
                work.process.join()


def _run(workload: ExecutorWorkload, server: str, heartbeat: str) -> None:
    """Supervise one workload to its end, in a process of its own."""
    die_with_parent()
    os.environ[VARIABLE] = heartbeat
    # What was inherited is never freed here: looking it through would only copy its pages.
    gc.freeze()
    title = f"airflow worker: {workload.display_name}"
    BaseExecutor.run_workload(workload, server=server, proctitle=title, subprocess_logs_to_stdout=True)
