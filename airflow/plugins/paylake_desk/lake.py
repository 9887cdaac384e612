"""Routes of the lake: its layers, assets and books, and one asset."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path as FilePath
from typing import Annotated, Any

from airflow.configuration import conf
from fastapi import APIRouter, HTTPException, Path
from pydantic import ValidationError

from include.assets.registry import ASSETS, BOOKS
from include.desk.asset import AssetShown, EventShown, describe, events_of
from include.desk.lake import Books, Lake, Rates, Run, counted, lake_of
from include.desk.snapshot import Snapshot
from include.status.assets import newest_event
from include.status.flow import Flow, flow
from paylake_airflow import hooks
from paylake_desk.airflow_tables import AirflowTables

router = APIRouter(prefix="/api", tags=["lake"])

NEWEST = 20
"""So many events and runs of an asset are shown."""

AssetName = Annotated[str, Path(max_length=200, pattern=r"^[^\x00]+$")]


@dataclass(frozen=True, slots=True)
class LakeFound:
    """The lake as it was ``age_seconds`` ago; to look took ``seconds``. All None while the first look is under way."""

    age_seconds: float | None
    seconds: float | None
    lake: Lake | None


@dataclass(frozen=True, slots=True)
class AssetFound:
    """An asset, how it was ``age_seconds`` ago (None while nobody knows), its newest events and its DAG's newest runs.

    ``state`` is in the shape of ``./paylake status --json``.
    """

    asset: AssetShown
    state: dict[str, Any] | None
    age_seconds: float | None
    events: list[EventShown]
    runs: list[Run]


_rates = Rates()


def _look() -> tuple[Flow, Lake]:
    began, airflow = datetime.now(UTC), AirflowTables()
    logs = FilePath(conf.get_mandatory_value("logging", "base_log_folder"))
    found = flow(hooks.stack_settings(), airflow=airflow, task_logs=logs, kafka=hooks.kafka_config())
    rates = _rates.note(counted(found), time.monotonic())
    producers = {spec.producer for spec in ASSETS.values() if spec.producer}
    runs = {dag_id: run for dag_id in producers for run in _runs(airflow, dag_id, 1)}
    return found, lake_of(found, rates, runs, _books(airflow), began)


_lake = Snapshot("look at the lake", _look)


def _runs(airflow: AirflowTables, dag_id: str, limit: int) -> list[Run]:
    return [
        Run(dag_id, one["dag_run_id"], one["state"], one["start_date"], one["end_date"])
        for one in airflow.runs(dag_id, limit=limit)
    ]


def _books(airflow: AirflowTables) -> Books | None:
    ids = [asset["id"] for asset in airflow.assets() if asset["name"] == BOOKS.name]
    event = newest_event(airflow, ids[0], BOOKS) if ids else None
    if event is None:
        return None
    try:
        return Books.model_validate({**event["extra"], "at": event["timestamp"]})
    except ValidationError:
        # Told by a version that told something else.
        return None


@router.get("/lake")
def show_lake() -> LakeFound:
    """Every layer, asset and problem, and the last proof of the books."""
    found = _lake.ask()
    if found is None:
        return LakeFound(None, None, None)
    _, lake = found.result
    return LakeFound(found.age_seconds, found.seconds, lake)


@router.get("/assets/{name:path}")
def show_asset(name: AssetName) -> AssetFound:
    """An asset with its columns, its lineage and its events."""
    spec = ASSETS.get(name)
    if spec is None:
        raise HTTPException(404, "There is no such asset.")
    airflow = AirflowTables()
    found = _lake.ask()
    states = {one.name: one for one in found.result[0].assets} if found else {}
    return AssetFound(
        describe(spec),
        states[name].as_json() if name in states else None,
        found.age_seconds if found else None,
        events_of(spec, airflow.asset_events(name, NEWEST)),
        _runs(airflow, spec.producer, NEWEST) if spec.producer else [],
    )
