"""From Kafka to bronze."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from include.assets.event import DataVersion, Materialization
from include.domains import DOMAINS
from include.heartbeat import START_SECONDS, beat, beating
from include.lifetime import die_with_parent
from paylake_airflow import assets, hooks
from paylake_airflow.behind import behind
from paylake_airflow.events import StreamEnded, Told, announce_and_note, last_told

if TYPE_CHECKING:
    from airflow.sdk import Context

SECONDS = 30.0
"""How long Kafka may take to answer."""


class BronzeTold(Told):
    """Where each partition of each topic ended in bronze."""

    positions: dict[str, dict[str, int]]


class IngestOperator(BaseOperator):
    """Bring everything that ``domain``'s topic holds at the start into bronze, then end.

    Succeeds also where partitions are stuck, so that the event of the others is stored; ``RequireReadableOperator``
    fails the run.

    Skips, and so wakes nobody, when there is no such topic, and when bronze holds nothing that it did not tell already.

    Metadata of the event: a `Materialization` of this run, whose ``positions`` are where each partition of each topic
    now ends in bronze; and its ``records``.
    """

    def __init__(self, *, domain: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.domain = domain

    def execute(self, context: Context) -> None:
        """Ingest and tell."""
        from include.ingest import PartitionsStuckError, TopicMissingError, ingest
        from include.lake.bronze_log import BronzeLog
        from include.lake.positions import plain_positions
        from include.lake.s3 import s3_client

        domain, s3 = DOMAINS[self.domain], s3_client(hooks.stack_settings())
        try:
            report = ingest(domain, consumer_config=hooks.kafka_config(), s3=s3, stop=_never)
        except TopicMissingError as missing:
            raise AirflowSkipException(str(missing)) from missing
        except PartitionsStuckError as stuck:
            self.log.error("%s", stuck)
            report = stuck.report
        self.log.info("ingested %s", report)
        positions = plain_positions(BronzeLog(s3, domain).end_positions())
        asset = assets.bronze(domain)
        told = last_told(context, asset, BronzeTold)
        if positions == (told.positions if told else {}):
            raise AirflowSkipException(f"{domain.topic} holds nothing that bronze did not have and tell already")
        made = Materialization(
            positions=positions,
            rows_in=report.records,
            rows_out=report.records,
            bytes=report.bytes,
            objects=report.objects,
            seconds=round(report.seconds, 3),
            behind=behind(assets.BRONZE, domain),
            inputs={domain.topic: DataVersion(positions=positions)},
        )
        own = {"records": report.records}
        announce_and_note(context, asset, made, own, BronzeTold(positions=positions), told)


class RequireReadableOperator(BaseOperator):
    """Fail, without another try, while partitions of ``domain``'s topic are stuck."""

    def __init__(self, *, domain: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.domain = domain

    def execute(self, context: Context) -> None:
        """Look."""
        from include.ingest.stuck import stuck_partitions

        found = stuck_partitions(hooks.kafka_config(), DOMAINS[self.domain], SECONDS)
        if found:
            raise AirflowFailException("Not all that was produced gets into bronze:\n" + "\n".join(map(str, found)))
        self.log.info("no partition of %s is stuck", DOMAINS[self.domain].topic)


class FollowOperator(BaseOperator):
    """Bring ``domain``'s topic into bronze as it comes, until the task is told to stop.

    A process that stands still is killed and started anew.
    """

    def __init__(self, *, domain: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.domain = domain
        self._told_to_stop = False
        self._asked = 0

    def execute(self, context: Context) -> None:
        """Follow; ends after ``on_kill``, when what was fetched is written."""
        from include.ingest import ingest
        from include.lake.s3 import RequestsUnderWay, s3_client

        die_with_parent()
        beat(START_SECONDS)
        domain, s3 = DOMAINS[self.domain], s3_client(hooks.stack_settings())
        # Who follows asks often whether to stop, also while Kafka or S3 is away: no more asking, no more moving.
        with beating(lambda: self._asked, RequestsUnderWay(s3).any):
            report = ingest(domain, consumer_config=hooks.kafka_config(), s3=s3, stop=self._stop, follow=True)
        raise StreamEnded(f"told to stop; ingested {report}")

    def _stop(self) -> bool:
        self._asked += 1
        return self._told_to_stop

    def on_kill(self) -> None:
        """Tell the writer to write what it has in hand and end."""
        self._told_to_stop = True


def _never() -> bool:
    return False
