"""From silver to the warehouse."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException

from include.assets.event import DataVersion, Materialization
from include.domains import GOLD_DOMAINS
from paylake_airflow import assets, hooks
from paylake_airflow.behind import behind
from paylake_airflow.events import announce

if TYPE_CHECKING:
    from airflow.sdk import Context


class GoldLoadOperator(BaseOperator):
    """Bring ``domain``'s table up to silver, in one transaction.

    Skips when silver holds no row that the table lacks. Metadata of the event: a `Materialization`, whose
    ``snapshot_id`` is that of the silver it holds, and the fields of the load's report, among them ``rows_sent``,
    ``inserted``, ``updated`` and ``silver_version``.
    """

    def __init__(self, *, domain: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.domain = domain

    def execute(self, context: Context) -> None:
        """Load and tell."""
        from include.postgres import connect
        from include.warehouse.gold import load, read_watermark

        domain, settings = GOLD_DOMAINS[self.domain], hooks.stack_settings()
        with connect(settings.warehouse_dsn, "paylake gold") as connection:
            report = load(domain, connection, settings)
            snapshot_id = str(read_watermark(connection, domain).snapshot_id)
        self.log.info("loaded %s", report)
        if not (report.rows_sent or report.deleted):
            raise AirflowSkipException(f"silver of {domain.name} holds no row that {domain.table} lacks")
        made = Materialization(
            snapshot_id=snapshot_id,
            rows_in=report.rows_sent,
            rows_out=report.inserted + report.updated,
            seconds=round(report.seconds, 3),
            behind=behind(assets.GOLD, domain),
            inputs={assets.silver(domain).name: DataVersion(snapshot_id=snapshot_id)},
        )
        announce(context, assets.gold(domain), made, asdict(report))
