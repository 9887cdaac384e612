"""Having silver run for records that were asked to leave quarantine."""

from __future__ import annotations

from collections.abc import Sequence

from include.airflow_api import AirflowApi
from include.errors import StackError


def wake(domains: Sequence[str]) -> str | None:
    """Have silver run for the domains; says why that will not happen soon, if so."""
    try:
        api = AirflowApi.from_environment()
        for name in domains:
            api.trigger(f"silver_{name}")
        paused = {dag["dag_id"] for dag in api.dags() if dag["is_paused"]}.intersection(
            f"silver_{name}" for name in domains
        )
    except StackError as error:
        return f"{error}".rstrip(".")
    return f"{', '.join(sorted(paused))} is paused" if paused else None
