"""Airflow as its API server knows it: read from its own tables."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from airflow.models import DagModel, DagRun, TaskInstance
from airflow.models.asset import AssetEvent, AssetModel
from airflow.models.errors import ParseImportError
from airflow.models.taskinstancehistory import TaskInstanceHistory
from airflow.utils.session import create_session
from sqlalchemy import Executable, Select, select

_TASKS = ("dag_id", "task_id", "map_index", "try_number", "state", "pool", "start_date", "end_date")


class AirflowTables:
    """What `include.airflow_api.AirflowReader` asks for, without a login: inside the API server there is none.

    Times are texts in ISO 8601, as the REST API has them.
    """

    def dags(self) -> list[dict[str, Any]]:
        """The DAGs that were read from the present files."""
        columns = (DagModel.dag_id, DagModel.is_paused, DagModel.timetable_summary)
        found = _rows(select(*columns).where(DagModel.is_stale.is_(False)))
        return [one | {"timetable_summary": _summary(one["timetable_summary"])} for one in found]

    def import_errors(self) -> list[dict[str, Any]]:
        """The files that could not be read, with their tracebacks."""
        columns = (ParseImportError.filename, ParseImportError.stacktrace.label("stack_trace"))
        return _rows(select(*columns).limit(100))

    def runs(self, dag_id: str, *, limit: int = 50, **filters: str | Sequence[str]) -> list[dict[str, Any]]:
        """The DAG's newest runs, newest first; dag_id ``~`` stands for all DAGs.

        Of the filters there are ``state``, ``end_date_gte`` and ``order_by`` (``id``: the oldest first).
        """
        columns = (DagRun.dag_id, DagRun.run_id.label("dag_run_id"), DagRun.state, DagRun.start_date, DagRun.end_date)
        wanted = select(*columns).limit(limit)
        if dag_id != "~":
            wanted = wanted.where(DagRun.dag_id == dag_id)
        if state := filters.get("state"):
            wanted = wanted.where(DagRun.state.in_([state] if isinstance(state, str) else state))
        if since := filters.get("end_date_gte"):
            wanted = wanted.where(DagRun.end_date >= datetime.fromisoformat(str(since)))
        oldest_first = filters.get("order_by") == "id"
        return _rows(wanted.order_by(DagRun.id.asc() if oldest_first else DagRun.id.desc()))

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """The tasks of a run, as they are now."""
        return _rows(_tasks(TaskInstance, dag_id, run_id).limit(100))

    def tries(self, dag_id: str, run_id: str, task_id: str) -> list[dict[str, Any]]:
        """Each try of a task that was begun in a run, in no particular order."""
        # One that waits to be tried again is among those before it.
        now = _tasks(TaskInstance, dag_id, run_id).where(TaskInstance.state.is_distinct_from("up_for_retry"))
        before = _tasks(TaskInstanceHistory, dag_id, run_id)
        return _rows(now.where(TaskInstance.task_id == task_id)) + _rows(
            before.where(TaskInstanceHistory.task_id == task_id)
        )

    def assets(self) -> list[dict[str, Any]]:
        """The assets of the present DAGs, each with the time of its newest event."""
        newest = (
            select(AssetEvent.timestamp)
            .where(AssetEvent.asset_id == AssetModel.id)
            .order_by(AssetEvent.timestamp.desc())
            .limit(1)
            .scalar_subquery()
        )
        columns = (AssetModel.id, AssetModel.name, newest.label("last_asset_event"))
        return _rows(select(*columns).where(AssetModel.active.has()))

    def asset_event(self, asset_id: int, *, skip: int = 0) -> dict[str, Any] | None:
        """The asset's newest event, or that before ``skip`` newer ones; None if there is none."""
        return next(iter(_rows(_events().where(AssetEvent.asset_id == asset_id).offset(skip).limit(1))), None)

    def asset_events(self, name: str, limit: int) -> list[dict[str, Any]]:
        """The newest events of the asset of this name, newest first."""
        mine = select(AssetModel.id).where(AssetModel.name == name, AssetModel.active.has())
        return _rows(_events().where(AssetEvent.asset_id.in_(mine)).limit(limit))


def _events() -> Select[Any]:
    columns = (AssetEvent.timestamp, AssetEvent.extra, AssetEvent.source_dag_id, AssetEvent.source_run_id)
    return select(*columns).order_by(AssetEvent.timestamp.desc(), AssetEvent.id.desc())


def _tasks(model: type[TaskInstance] | type[TaskInstanceHistory], dag_id: str, run_id: str) -> Select[Any]:
    columns = (getattr(model, name) for name in _TASKS)
    wanted = select(*columns, model.run_id.label("dag_run_id"))
    return wanted.where(model.dag_id == dag_id, model.run_id == run_id)


def _rows(statement: Executable) -> list[dict[str, Any]]:
    with create_session(scoped=False) as session:
        found = session.execute(statement).mappings().all()
    return [{str(name): _plain(value) for name, value in row.items()} for row in found]


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _summary(timetable: str | None) -> str | None:
    return None if timetable == "None" else timetable
