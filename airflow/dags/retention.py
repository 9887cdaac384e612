"""Nothing grows for ever: each limit of what a running stack keeps of its own work."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, CronTriggerTimetable

from paylake_airflow import defaults
from paylake_airflow.operators.retention import (
    PruneBackTestsOperator,
    PruneChecksOperator,
    PruneLogsOperator,
    PruneMetadataOperator,
    PruneStreamOperator,
)

HISTORY = timedelta(days=30)
"""Of runs, tasks, events and the audit log in Airflow's database, of the logs of tasks, of back-tests' pictures, and of
what checks found."""
LARGEST_LOG = 100 * 1024 * 1024
"""Bytes of a log that still grows, as a stream's does; a larger one is cut down to its last MiB."""
LEDGER = timedelta(days=2)
"""Of the fraud stream's micro-batches in ``ops.stream_batch``."""

DOC = f"""\
Keeps what Paylake writes about its own work within limits; payments are not touched. Runs, events and logs of Airflow,
pictures of back-tests and results of checks stay for {HISTORY.days} days, the fraud stream's ledger for {LEDGER.days};
a log that still grows is cut at {LARGEST_LOG // 2**20} MiB. Change the limits here.

**Fires** once a day, at 03:17 UTC, or when the stack is next up, and when triggered by hand.
"""

with DAG(
    dag_id="retention",
    schedule=CronTriggerTimetable("17 3 * * *", timezone="UTC"),
    default_args=defaults.BATCH,
    tags=["retention"],
    doc_md=DOC,
    **defaults.ONE_AT_A_TIME,
):
    PruneMetadataOperator(task_id="airflow_metadata", age=HISTORY)
    PruneLogsOperator(task_id="task_logs", age=HISTORY, most_bytes=LARGEST_LOG)
    PruneBackTestsOperator(task_id="back_tests", age=HISTORY)
    PruneChecksOperator(task_id="checks", age=HISTORY)
    PruneStreamOperator(task_id="fraud_stream", age=LEDGER)
