"""From silver to the warehouse."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException

from include.assets.event import DataVersion, Materialization
from include.checks import dataquality
from include.domains import GOLD_DOMAINS, TRANSACTIONS
from paylake_airflow import assets, hooks
from paylake_airflow.behind import behind
from paylake_airflow.events import announce, announce_days

if TYPE_CHECKING:
    from airflow.sdk import Context


class GoldLoadOperator(BaseOperator):
    """Bring ``domain``'s table up to silver, in one transaction.

    Skips when silver holds no row that the table lacks. Metadata of the event: a `Materialization`, whose
    ``snapshot_id`` is that of the silver it holds, and the fields of the load's report, among them ``rows_sent``,
    ``inserted``, ``updated`` and ``silver_version``; and what each check found when it last looked, see
    ``include.checks.dataquality``.
    """

    def __init__(self, *, domain: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.domain = domain

    def execute(self, context: Context) -> None:
        """Load and tell."""
        from include.checks.result import newest
        from include.postgres import connect
        from include.warehouse.gold import load, read_watermark

        domain, settings = GOLD_DOMAINS[self.domain], hooks.stack_settings()
        with connect(settings.warehouse_dsn, "paylake gold") as connection:
            report = load(domain, connection, settings)
            snapshot_id = str(read_watermark(connection, domain).snapshot_id)
            checked = newest(connection, domain.gold_asset)
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
        own = asdict(report) | {dataquality.RESULT_KEY: dataquality.summary(domain, domain.gold_asset, checked)}
        announce(context, assets.gold(domain), made, own)


class DailyFraudOperator(BaseOperator):
    """Make days of ``daily_fraud`` anew from the verdicts: that of the run's partition.

    A run without a partition, and that of the clock, makes those anew that are behind silver, and skips when none is.
    Metadata of the event, whose partitions are the days: a `Materialization`, whose ``rows_in`` are transactions and
    whose ``snapshot_id`` is that of silver; ``days``, how many were made anew; ``days_behind``, how many still lag.
    """

    def execute(self, context: Context) -> None:
        """Rebuild and tell."""
        from include.postgres import connect
        from include.warehouse.daily_fraud import SilverDays, lagging_days, rebuild

        settings, key = hooks.stack_settings(), context["partition_key"]
        silver = SilverDays.read(settings)
        with connect(settings.warehouse_dsn, "paylake daily fraud") as connection:
            if key is None or context["dag_run"].run_type == "scheduled":
                days = lagging_days(connection, silver)
            else:
                days = [date.fromisoformat(key)]
            if not days:
                raise AirflowSkipException("every day is as new as silver's")
            report = rebuild(connection, days, silver)
            left = lagging_days(connection, silver)
        self.log.info("rebuilt %s", report)
        snapshot_id = str(silver.state.snapshot_id) if silver.state else None
        made = Materialization(
            snapshot_id=snapshot_id,
            rows_in=report.transactions,
            rows_out=report.rows,
            seconds=report.seconds,
            behind=behind(assets.GOLD, TRANSACTIONS),
            inputs={assets.silver(TRANSACTIONS).name: DataVersion(snapshot_id=snapshot_id)},
        )
        announce(context, assets.DAILY_FRAUD, made, {"days": len(report.days), "days_behind": len(left)})
        announce_days(context, assets.DAILY_FRAUD, report.days)
