"""What Airflow is to load of ours by itself; everything else is imported by who needs it."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from paylake_airflow.rest import RefuseUntellable

GUARDS = [{"name": "refuse what no task could be told", "middleware": RefuseUntellable}]


class PaylakePlugin(AirflowPlugin):
    """Guards the REST API."""

    name = "paylake"
    fastapi_root_middlewares = GUARDS
