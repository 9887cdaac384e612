"""Is everything as fresh as it should be? Looked at on a schedule, and told to people."""

from __future__ import annotations

from airflow.sdk import DAG, CronTriggerTimetable

from paylake_airflow import assets, defaults
from paylake_airflow.operators.freshness import WatchFreshnessOperator

DOC = """\
Compares each asset with its freshness limit, which stands in the asset's `extra`. Of one that has become overdue an
alarm is raised, once; it is cleared when the asset is fresh again. Both are in this task's log, and go to the
connections `alert_webhook` (HTTP) and `alert_email` (SMTP), if they are there. `./paylake status` marks it, too.

**Fires** every five minutes, and when triggered by hand. Pause it to be told nothing.
"""

with DAG(
    dag_id="freshness",
    schedule=CronTriggerTimetable("*/5 * * * *", timezone="UTC"),
    default_args=defaults.BATCH,
    tags=[assets.CHECKS],
    doc_md=DOC,
    **defaults.ONE_AT_A_TIME,
):
    WatchFreshnessOperator(task_id="watch", inlets=[assets.BOOKS])
