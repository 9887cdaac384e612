"""Runs of DAGs, begun and followed to their end over Airflow's API."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from graphlib import TopologicalSorter
from typing import Any

from include.airflow_api import AirflowApi
from include.assets.spec import AssetSpec
from include.errors import StackError

PAUSE_SECONDS = 1.0
"""Between two looks at runs."""
ENDED = ("success", "failed")
"""The states of a run that nothing more becomes of."""

Say = Callable[[str], None]


class RunFailedError(StackError):
    """A run failed, was not begun, or did not end in time; the message names the DAG, and the tasks."""


def order(chosen: Iterable[AssetSpec], assets: Mapping[str, AssetSpec]) -> dict[str, set[str]]:
    """The DAGs that make the chosen assets, each with those of them that come before it.

    Also through assets that were not chosen: what is far downstream waits for what is upstream.
    """
    dags = {spec.name: spec.producer for spec in chosen if spec.producer and not _of_itself(spec)}
    before: dict[str, set[str]] = {dag: set() for dag in dags.values()}
    upstream: dict[str, set[str]] = {}
    for name, spec in assets.items():
        upstream[name] = {dag for one in spec.inputs for dag in upstream[one] | {dags.get(one, "")} if dag}
        if name in dags:
            before[dags[name]] |= upstream[name] - {dags[name]}
    return before


def left_alone(chosen: Iterable[AssetSpec]) -> list[AssetSpec]:
    """Those of them that come of themselves: of producers, and of tasks without end."""
    return [spec for spec in chosen if _of_itself(spec)]


def _of_itself(spec: AssetSpec) -> bool:
    return spec.streamed or spec.producer is None or spec.group == "kafka"


def materialize(
    api: AirflowApi, dags: Mapping[str, set[str]], seconds: float, say: Say, conf: Mapping[str, str] | None = None
) -> None:
    """Run these DAGs, each after those that come before it, side by side where none does, with these parameters.

    Raises:
        RunFailedError: one is paused, or failed, and the rest was not begun; or all was not done after ``seconds``.
        include.airflow_api.AirflowApiError: Airflow does not answer.
    """
    require_at_work(api, dags)
    deadline = time.monotonic() + seconds
    sorter = TopologicalSorter(dags)
    sorter.prepare()
    running: dict[str, tuple[str, float]] = {}
    while sorter.is_active():
        for dag in sorter.get_ready():
            running[dag] = api.trigger(dag, conf), time.monotonic()
            say(f"{dag}: begun")
        for dag, (run, since) in list(running.items()):
            state = api.run(dag, run)["state"]
            if state == "failed":
                raise RunFailedError(f"{dag} failed: {failed_tasks(api, dag, run)}")
            if state == "success":
                say(f"{dag}: done in {time.monotonic() - since:.0f} s{_remark(api, dag, run)}")
                del running[dag]
                sorter.done(dag)
        if running:
            if time.monotonic() > deadline:
                raise RunFailedError(f"{', '.join(sorted(running))} did not end in {seconds:.0f} s; Airflow goes on")
            time.sleep(PAUSE_SECONDS)


def require_at_work(api: AirflowApi, dags: Iterable[str]) -> dict[str, dict[str, Any]]:
    """What Airflow says of these DAGs. Those that would never run are refused.

    Raises:
        RunFailedError: one is paused, or not there.
    """
    known = {dag["dag_id"]: dag for dag in api.dags()}
    for dag in dags:
        if dag not in known:
            raise RunFailedError(f"Airflow has no DAG {dag}")
        if known[dag]["is_paused"]:
            raise RunFailedError(f"{dag} is paused: unpause it in Airflow")
    return {dag: known[dag] for dag in dags}


def failed_tasks(api: AirflowApi, dag: str, run: str) -> str:
    """The tasks of a run that failed, by name."""
    found = [one["task_id"] for one in api.tasks(dag, run) if one["state"] == "failed"]
    return f"the task {', '.join(found)} (./paylake logs {dag})" if found else "no task of it failed by itself"


def _remark(api: AirflowApi, dag: str, run: str) -> str:
    states = {one["state"] for one in api.tasks(dag, run)}
    return "; there was nothing to do" if states == {"skipped"} else ""
