"""Whether assets are as fresh as they should be, told to people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException

from include.assets.registry import ASSETS
from paylake_airflow import hooks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Asset, Context

    from include.assets.states import Observation

NEWEST = 20
"""So many newest events of an asset are looked at for one that its own task made."""
REMEMBERED_DAYS = 30
"""So long alarms that were cleared, and notices, are kept."""


class WatchFreshnessOperator(BaseOperator):
    """Raise an alarm of each asset that has become overdue, clear those of assets that are fresh again, and tell.

    An asset of which nobody can say how fresh it is, because a store does not answer, keeps the alarm that it has. The
    inlets are the assets of which only events tell how old they are.
    """

    def execute(self, context: Context) -> None:
        """Look, and tell.

        Raises:
            AirflowException: a channel took no notice; they are kept, and it is tried again.
        """
        from include.alerts.freshness import follow, forget
        from include.alerts.notices import deliver
        from include.postgres import connect
        from include.status.assets import sentence
        from include.status.flow import asset_flow
        from include.status.stores import Stores
        from paylake_airflow.channels import channels

        stores = Stores(hooks.stack_settings(), hooks.kafka_config())
        told = {asset.name: _newest(asset, context) for asset in self.inlets}
        found = asset_flow(stores, {name: seen for name, seen in told.items() if seen})
        for problem in found.problems:
            self.log.warning("%s: %s", problem.subject, problem.message)
        with connect(hooks.warehouse_dsn(), "paylake freshness") as connection:
            notices = follow(
                connection,
                {one.name: sentence(one) for one in found.assets if one.overdue},
                [one.name for one in found.assets if one.seconds is not None and not one.overdue],
            )
            for notice in notices:
                self.log.warning("%s: %s", notice.subject, notice.message)
            failures = deliver(connection, channels())
            forget(connection, REMEMBERED_DAYS)
        if failures:
            raise AirflowException("; ".join(failures.values()))


def _newest(asset: Asset, context: Context) -> Observation | None:
    from include.status.assets import observed, speaks

    inlets: Any = context["inlet_events"]
    events: Sequence[Any] = inlets[asset].ascending(False).limit(NEWEST)
    spec = ASSETS[asset.name]
    counted = (event for event in events if speaks(spec, event.source_dag_id, event.extra))
    newest = next(counted, None)
    return None if newest is None else observed(spec, newest.timestamp, newest.extra)
