"""What Airflow is to load of ours by itself; everything else is imported by who needs it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from airflow.plugins_manager import AirflowPlugin

from paylake_airflow.rest import RefuseUntellable
from paylake_airflow.timetables import DailyPartitions

GUARDS = [{"name": "refuse what no task could be told", "middleware": RefuseUntellable}]


async def desk(
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
    send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
) -> None:
    """The page's application, imported by the first request: all of Airflow's processes load this plugin."""
    from paylake_desk.app import app

    await app(scope, receive, send)


class PaylakePlugin(AirflowPlugin):
    """Guards the REST API, puts the page into the navigation, and lets Airflow know our schedules."""

    name = "paylake"
    fastapi_root_middlewares = GUARDS
    timetables = [DailyPartitions]  # noqa: RUF012 - Airflow's own shape
    fastapi_apps = [{"app": desk, "url_prefix": "/paylake", "name": "Paylake"}]  # noqa: RUF012 - Airflow's own shape
    external_views = [  # noqa: RUF012
        {
            "name": "Paylake",
            "href": "paylake/",
            "destination": "nav",
            "url_route": "paylake",
            "icon": "paylake/web/icon.svg",
            "icon_dark_mode": "paylake/web/icon.svg",
        }
    ]
