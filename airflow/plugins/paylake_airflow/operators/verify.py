"""Whether the books balance, as an asset that people see."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from include.assets.event import Materialization
from paylake_airflow import assets, hooks
from paylake_airflow.behind import all_behind
from paylake_airflow.events import announce

if TYPE_CHECKING:
    from airflow.sdk import Context


class VerifyOperator(BaseOperator):
    """Verify all domains and tell the asset of the books what came out, also where they do not balance.

    Succeeds whenever the stores could be read, so that the event is stored; ``RequireBalanceOperator`` fails the run.
    Returns the findings as sentences. Metadata of the event: a `Materialization`, whose ``behind`` has the delay of
    each layer by domain; ``balanced``, ``records``, ``domains`` with the books of each, ``quarantine`` with the records
    that wait there by reason, ``waiting`` with those that wait in Kafka and why, and ``findings``.

    :param wait_seconds: how long the layers may take to get to where the topics end now
    """

    def __init__(self, *, wait_seconds: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.wait_seconds = wait_seconds

    def execute(self, context: Context) -> list[str]:
        """Verify and tell."""
        from include.domains import DOMAINS
        from include.postgres import connect
        from include.quarantine.rows import counts
        from include.verify import verify
        from include.verify.cli import summary

        settings = hooks.stack_settings()
        report = verify(settings, wait_seconds=self.wait_seconds, kafka=hooks.kafka_config())
        with connect(settings.warehouse_dsn, "paylake verify") as connection:
            quarantine = {name: counts(connection, name) for name in DOMAINS}
        self.log.info("%d records in %.1f s, %d findings", report.records, report.seconds, len(report.findings))
        made = Materialization(rows_in=report.records, seconds=round(report.seconds, 3), behind=all_behind())
        announce(context, assets.BOOKS, made, {**summary(report), "quarantine": quarantine})
        return [finding.message for finding in report.findings]


class RequireBalanceOperator(BaseOperator):
    """Fail, without another try, unless the task ``verified`` found nothing.

    :param verified: the id of the task that verified
    """

    def __init__(self, *, verified: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.verified = verified

    def execute(self, context: Context) -> None:
        """Look at the findings."""
        findings = context["ti"].xcom_pull(task_ids=self.verified)
        if findings is None:
            raise AirflowFailException(f"The task {self.verified} left no result; run it again, too.")
        if findings:
            raise AirflowFailException("The books do not balance:\n" + "\n".join(findings))
        self.log.info("the books balance")
