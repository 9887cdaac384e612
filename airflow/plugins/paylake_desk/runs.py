"""Runs of Airflow's DAGs, from within its API server: started as who is logged in, and looked up."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.core_api.datamodels.dag_run import TriggerDAGRunPostBody
from airflow.api_fastapi.core_api.routes.public.dag_run import trigger_dag_run
from airflow.models.dag import DagModel
from airflow.models.dagbag import DBDagBag
from airflow.models.dagrun import DagRun
from airflow.models.xcom import XCOM_RETURN_KEY, XComModel
from fastapi import Request
from sqlalchemy import select
from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class Run:
    """A run of a DAG; ``state`` is queued, running, success or failed."""

    run_id: str
    state: str
    started_by: str | None
    queued_at: datetime | None
    began_at: datetime | None
    ended_at: datetime | None


def start(session: Session, request: Request, user: BaseUser, dag_id: str, conf: dict[str, Any]) -> str:
    """Start a run, in the user's name, by what Airflow's own route does; its id.

    Raises:
        HTTPException: there is no such DAG, it cannot be read, or its parameters do not allow this.
    """
    body = TriggerDAGRunPostBody(logical_date=None, conf=conf)
    run = trigger_dag_run(dag_id, body, DBDagBag(load_op_links=False), user, session, request)
    # What its signature says FastAPI makes of it.
    return cast(DagRun, run).run_id


def is_paused(session: Session, dag_id: str) -> bool:
    """Whether its runs stay queued; True where there is no such DAG."""
    return session.scalar(select(DagModel.is_paused).where(DagModel.dag_id == dag_id)) is not False


def newest(session: Session, dag_id: str, limit: int, run_id: str | None = None) -> list[DagRun]:
    """The DAG's runs, or the one of this id, the newest first."""
    chosen = select(DagRun).where(DagRun.dag_id == dag_id).order_by(DagRun.id.desc()).limit(limit)
    return list(session.scalars(chosen if run_id is None else chosen.where(DagRun.run_id == run_id)))


def told(run: DagRun) -> Run:
    """What the page says of it."""
    return Run(run.run_id, str(run.state), run.triggering_user_name, run.queued_at, run.start_date, run.end_date)


def returned(session: Session, runs: Collection[DagRun], task_id: str) -> dict[str, Any]:
    """What a task has returned in each of these runs, by the run's id; those where it has not are left out."""
    found = session.execute(
        select(XComModel.run_id, XComModel.value).where(
            XComModel.dag_run_id.in_([run.id for run in runs]),
            XComModel.task_id == task_id,
            XComModel.map_index == -1,
            XComModel.key == XCOM_RETURN_KEY,
        )
    )
    return {one.run_id: XComModel.deserialize_value(one) for one in found}
