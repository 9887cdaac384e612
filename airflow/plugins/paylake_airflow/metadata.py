"""Removes old rows from Airflow's own database.

    python -m paylake_airflow.metadata 2026-01-31T00:00:00+00:00

A program of its own, because Airflow shuts its database to the process of a task.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime

import pendulum
from airflow.models import DagRun
from airflow.utils.db_cleanup import run_cleanup
from airflow.utils.session import create_session
from airflow.utils.state import State
from airflow.utils.types import DagRunType
from sqlalchemy import delete, func, select

from include.lifetime import die_with_parent

EVENTS = ["asset_event", "import_error", "job", "log"]
BATCH_ROWS = 10_000
"""Most rows that one transaction deletes by itself."""


def prune(before: datetime) -> None:
    """Delete, for good, what is from before a moment: runs that are finished, events, and the audit log.

    Of each DAG the newest run that nobody started by hand stays: from it Airflow knows when the next is due.

    Raises:
        RuntimeError: a table of events could not be cleaned; the others were.
    """
    _prune_runs(before)
    run_cleanup(
        clean_before_timestamp=pendulum.instance(before),
        table_names=EVENTS,
        confirm=False,
        skip_archive=True,
        batch_size=BATCH_ROWS,
        error_on_cleanup_failure=True,
    )


def _prune_runs(before: datetime) -> None:
    """Not by ``run_cleanup``, which looks at nothing but age and would take its row from a stream that runs for long.

    What belongs to a run (tasks, their tries, their results) goes with it, as the database's own constraints say.
    """
    newest = select(func.max(DagRun.id)).where(DagRun.run_type != DagRunType.MANUAL).group_by(DagRun.dag_id)
    old = select(DagRun.id).where(
        DagRun.state.in_(State.finished_dr_states), DagRun.end_date < before, DagRun.id.not_in(newest)
    )
    ids: Sequence[int] | None = None
    while ids is None or len(ids) == BATCH_ROWS:
        with create_session() as session:
            ids = session.scalars(old.limit(BATCH_ROWS)).all()
            session.execute(delete(DagRun).where(DagRun.id.in_(ids)))
        print(f"{len(ids)} runs deleted")


if __name__ == "__main__":
    die_with_parent()
    prune(datetime.fromisoformat(sys.argv[1]))
