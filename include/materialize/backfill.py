"""Days of an asset made anew over Airflow's API."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import date

from include.airflow_api import AirflowApi
from include.assets.spec import AssetSpec
from include.materialize.runs import PAUSE_SECONDS, RunFailedError, Say, failed_tasks, materialize, require_at_work


class NoDaysError(ValueError):
    """The asset is made as a whole; the message says how."""


def make_days_anew(
    api: AirflowApi, chosen: Sequence[AssetSpec], first: date, last: date, most_at_once: int, seconds: float, say: Say
) -> None:
    """Have each day from ``first`` to ``last`` of the one chosen asset made anew.

    Raises:
        NoDaysError: it is no single asset, or one without days.
        RunFailedError: a day failed, or not all was done after ``seconds``.
        include.airflow_api.AirflowApiError: Airflow does not answer, or works at another backfill of the asset.
    """
    if len(chosen) != 1:
        raise NoDaysError(f"a backfill is of one asset, not of {', '.join(spec.name for spec in chosen)}")
    (spec,) = chosen
    dag = spec.producer
    if not spec.by_day or dag is None:
        raise NoDaysError(
            f"{spec.name} is made as a whole, not by days: ./paylake materialize '{spec.name}' brings it up to date"
        )
    if not require_at_work(api, [dag])[dag]["is_backfillable"]:
        # One run reads all of bronze, be it for one day or for many.
        materialize(api, {dag: set()}, seconds, say, {"from": f"{first}", "to": f"{last}"})
        say(f"done: {spec.name} from {first} to {last}")
        return
    backfill = api.start_backfill(dag, first, last, most_at_once)
    ours = {"run_type": "backfill", "queued_at_gte": backfill["created_at"]}
    deadline, told = time.monotonic() + seconds, -1
    while backfill["completed_at"] is None:
        done = api.count_runs(dag, **ours, state=["success", "failed"])
        if done != told:
            say(f"{dag}: {done} of {(last - first).days + 1} days done")
            told = done
        if time.monotonic() > deadline:
            raise RunFailedError(f"the backfill of {spec.name} did not end in {seconds:.0f} s; Airflow goes on")
        time.sleep(PAUSE_SECONDS)
        backfill = api.backfill(backfill["id"])
    failed = api.runs(dag, **ours, state="failed")
    if failed:
        days = ", ".join(sorted(run["partition_key"] for run in failed))
        raise RunFailedError(f"{dag} failed for {days}: {failed_tasks(api, dag, failed[0]['dag_run_id'])}")
    say(f"done: {spec.name} from {first} to {last}")
