"""Spark jobs: ``SparkSubmitOperator`` on the connection ``spark_default``, told where the stack is."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowRuntimeError, AirflowSkipException

import include
from include.assets.event import DataVersion, Materialization
from include.checks import dataquality
from include.domains import DOMAINS, Domain, Kind
from include.heartbeat import START_SECONDS, beat
from include.lake.positions import plain_positions
from include.lifetime import die_with_parent
from paylake_airflow import assets, hooks
from paylake_airflow.behind import behind
from paylake_airflow.events import Told, announce_and_note, announce_days, last_told

if TYPE_CHECKING:
    from airflow.sdk import Context

    from include.lake.catalog import SilverState
    from include.settings import Settings

INCLUDE = Path(include.__file__).parent
JOBS = INCLUDE / "spark"
SUBMIT = JOBS / "bin"
SHARE_OF_CLUSTER = {"spark.cores.max": "2"}
"""So much of a cluster one application takes where the connection does not say: without a limit, a stream takes all."""


class SparkJobOperator(SparkSubmitOperator):
    """Run ``include/spark/<job>.py``; its driver dies with this task, however the task dies.

    Addresses and credentials come from the connections and reach the job as its environment, which it inherits from
    this process: not as arguments, which every user of the machine can read, and not as the provider's ``env_vars``,
    which are kept as a rendered template and become arguments on YARN and Kubernetes. (A driver that runs *inside* a
    cluster gets its environment from the cluster.)

    The connection says where the job runs: its host is the master, and ``conf`` in its extra holds Spark's own settings
    for the jobs (``docs/scaling.md``). They are arguments: no secrets.
    """

    def __init__(self, *, job: str, **kwargs: Any) -> None:
        super().__init__(
            application=str(JOBS / f"{job}.py"), conn_id=hooks.SPARK_CONN_ID, name=f"paylake_{job}", **kwargs
        )

    def execute(self, context: Context) -> None:
        """Submit and wait for the end; the job's output goes to the task's log."""
        die_with_parent()
        connection = hooks.spark_connection()
        ours = {} if connection.holds_drivers else _cluster_conf(connection.master)
        self.conf = {**ours, **(self.conf or {}), **connection.conf}
        with hooks.environment({**hooks.stack_environment(), **_driver_environment()}):
            super().execute(context)


class SparkStreamOperator(SparkJobOperator):
    """Run a job without end, which shows that it does its work: a driver that stands still is killed and started anew.

    (A driver that runs *inside* a cluster cannot show it to this machine; there it is the cluster's to look after.)
    """

    def execute(self, context: Context) -> None:
        """Submit and wait for the end."""
        if not hooks.spark_connection().holds_drivers:
            beat(START_SECONDS)
        super().execute(context)


def _driver_environment() -> dict[str, str]:
    """What a driver on this machine needs besides: our ``spark-submit``, this Python, and the package ``include``."""
    path = os.pathsep.join([str(SUBMIT), os.environ.get("PATH", os.defpath)])
    modules = [str(INCLUDE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        "PATH": path,
        "PYTHONPATH": os.pathsep.join(modules),
        "PYSPARK_PYTHON": sys.executable,
        "PAYLAKE_TASK_PID": str(os.getpid()),
    }


def _cluster_conf(master: str) -> dict[str, str]:
    """What a driver on this machine sets for a cluster; nothing where Spark runs in the driver's own process.

    Executors find the driver at the address from which this machine reaches their master.
    """
    host = urlsplit(master.removeprefix("k8s://").split(",")[0]).hostname
    if host is None:  # local, or YARN, which has files of its own for this
        return {}
    family, kind, _, _, address = socket.getaddrinfo(host, 1, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind) as probe:
        probe.connect(address)  # sends nothing
        own = probe.getsockname()[0]
    return {"spark.driver.host": own, "spark.driver.bindAddress": own, **SHARE_OF_CLUSTER}


class SilverTold(Told):
    """What silver's event said, as far as the next one is reckoned from it."""

    table_uuid: str
    snapshot_id: str
    totals: dict[str, int]
    alarm: dict[str, Any] | None
    silver_version: int = 0


class SilverOperator(SparkJobOperator):
    """Bring ``domain``'s silver up to bronze, a judged one's up to where the stream is, with what quarantine gives.

    Does not start Spark when silver is there already, and skips, so that gold is not woken, when it has told of that
    already. The job takes along what the ``others`` have waiting, for most of its time goes into starting Spark: they
    are domains, each with the id of its DAG, which then tells of it. Of one that is paused nothing is taken. Succeeds
    however many records were rejected, so that the event is stored; ``RequireAcceptanceOperator`` fails the run.

    A run with the parameters ``from`` and ``to`` first makes the days from the one to the other anew from bronze.

    Metadata of the event: a `Materialization`; ``rows`` in the table and its ``files``; what became of the records
    since the event before, or since the table was made anew: ``valid``, ``duplicates``, ``rejected``, ``tombstones``,
    and ``redriven``, which were rejected and then became valid; the same since the beginning of this table as
    ``totals``; ``reasons``, the records that wait in quarantine now by reason; ``alarm``, if more were rejected than is
    allowed and nobody has accepted it, else None; ``table_uuid`` and ``silver_version``; and what each check found when
    it last looked, see ``include.checks.dataquality``. Of events the partitions are the days (UTC) that have got rows
    since then.
    """

    def __init__(self, *, domain: str, others: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(job="silver", application_args=[domain], **kwargs)
        self.domain = domain
        self.others = dict(others)

    def execute(self, context: Context) -> None:
        """Run the job if there is something to do, and tell."""
        started = time.monotonic()
        domain, settings = DOMAINS[self.domain], hooks.stack_settings()
        days = _days_asked_for(context["params"])
        if days or _is_behind(domain, settings):
            self.application_args = [self.domain, "--along", *self._others_at_work(context), *days]
            super().execute(context)
        else:
            self.log.info("silver holds all of bronze, and nothing is asked of quarantine: no job to run")
        asset = assets.silver(domain)
        state, told = _silver_state(domain, settings), last_told(context, asset, SilverTold)
        alarm = _alarm(domain, settings)
        if state is None or (told and (told.snapshot_id, told.alarm) == (str(state.snapshot_id), alarm)):
            raise AirflowSkipException(f"silver of {domain.name} holds nothing that it did not tell already")
        now = silver_told(state, alarm)
        made, own = silver_event(domain, settings, state, now, told)
        seconds = round(time.monotonic() - started, 3)
        made = made.model_copy(update={"seconds": seconds, "behind": behind(assets.SILVER, domain)})
        announce_and_note(context, asset, made, own, now, told)
        if domain.kind is Kind.EVENT:
            keys = announce_days(context, asset, _changed_days(domain, settings, now, told))
            self.log.info("%d days have got rows, told of: %s", len(keys), ", ".join(keys))

    def _others_at_work(self, context: Context) -> list[str]:
        """The other domains whose DAG is there and not paused."""
        found: list[str] = []
        for name, dag_id in self.others.items():
            try:
                paused = context["ti"].get_dag(dag_id).is_paused
            except AirflowRuntimeError as error:
                # This domain's run does not depend on it.
                self.log.warning("%s is left alone: Airflow does not know its DAG: %s", name, error)
            else:
                found += [] if paused else [name]
        return found


def silver_told(state: SilverState, alarm: dict[str, Any] | None) -> SilverTold:
    """What an event tells of silver in this state."""
    return SilverTold(
        table_uuid=state.table_uuid,
        # As text: it has 63 bits, more than a browser's numbers have.
        snapshot_id=str(state.snapshot_id),
        totals=_totals(state),
        alarm=alarm,
        silver_version=state.silver_version,
    )


def _days_asked_for(params: Mapping[str, Any]) -> list[str]:
    """The job's arguments for the days that a run's parameters ask for, none if they ask for none.

    Raises:
        AirflowFailException: they are no range of days.
    """
    first, last = params.get("from"), params.get("to")
    if first is None and last is None:
        return []
    if first is None or last is None or date.fromisoformat(first) > date.fromisoformat(last):
        raise AirflowFailException(f"from {first} to {last} is no range of days")
    return ["--days", first, last]


def _is_behind(domain: Domain, settings: Settings) -> bool:
    from include.fraud.ledger import decided
    from include.lake.bronze_log import BronzeLog
    from include.lake.s3 import s3_client
    from include.postgres import connect
    from include.quarantine import landing

    state = _silver_state(domain, settings)
    position = state.position if state else {}
    bronze = BronzeLog(s3_client(settings), domain)
    with connect(settings.warehouse_dsn, "paylake silver") as connection:
        return (
            landing.in_hand(connection, domain, position) or decided(connection, bronze, domain, position) != position
        )


def _silver_state(domain: Domain, settings: Settings) -> SilverState | None:
    from include.lake.catalog import silver_state

    return silver_state(settings, domain)


def _changed_days(domain: Domain, settings: Settings, now: SilverTold, told: SilverTold | None) -> list[date]:
    """The days of events that have got rows since silver was ``told``."""
    from include.lake.catalog import silver_days

    found = silver_days(settings, domain)
    before = told.silver_version if told and told.table_uuid == now.table_uuid else 0
    return [day for day, held in found[1].items() if held.version > before] if found else []


def _alarm(domain: Domain, settings: Settings) -> dict[str, Any] | None:
    from include.postgres import connect
    from include.quarantine.alarms import open_alarms

    with connect(settings.warehouse_dsn, "paylake silver") as connection:
        found = open_alarms(connection, domain.name)
    return found[0].as_json() if found else None


def _totals(state: SilverState) -> dict[str, int]:
    return {
        "valid": state.counts.valid,
        "duplicates": state.counts.duplicates,
        # Also those that have left quarantine: what was rejected once does not become less.
        "rejected": state.counts.quarantined + state.counts.redriven,
        "tombstones": state.counts.tombstones,
        "redriven": state.counts.redriven,
    }


def silver_event(
    domain: Domain, settings: Settings, state: SilverState, now: SilverTold, told: SilverTold | None
) -> tuple[Materialization, dict[str, Any]]:
    """What silver's event tells after one that told ``told``: that of every event, and the numbers of silver's own."""
    from include.checks.result import newest
    from include.postgres import connect
    from include.quarantine.rows import counts

    before = told.totals if told and told.table_uuid == now.table_uuid else {}
    became = {name: total - before.get(name, 0) for name, total in now.totals.items()}
    with connect(settings.warehouse_dsn, "paylake silver") as connection:
        reasons = counts(connection, domain.name)
        checked = newest(connection, domain.silver_asset)
    positions = plain_positions(state.position)
    made = Materialization(
        snapshot_id=now.snapshot_id,
        positions=positions,
        rows_in=sum(became[name] for name in ("valid", "duplicates", "rejected", "tombstones")),
        rows_out=became["valid"] + became["duplicates"],
        rejected=became["rejected"],
        inputs={assets.bronze(domain).name: DataVersion(positions=positions)},
    )
    own = {
        "rows": state.rows,
        "files": state.files,
        **became,
        "totals": now.totals,
        "reasons": reasons,
        "alarm": now.alarm,
        "table_uuid": now.table_uuid,
        "silver_version": state.silver_version,
        dataquality.RESULT_KEY: dataquality.summary(domain, domain.silver_asset, checked),
    }
    return made, own


class RequireAcceptanceOperator(BaseOperator):
    """Fail, without another try, while the domain ``domain`` has an alarm that nobody has accepted."""

    def __init__(self, *, domain: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.domain = domain

    def execute(self, context: Context) -> None:
        """Look."""
        from include.postgres import connect
        from include.quarantine.alarms import open_alarms

        with connect(hooks.warehouse_dsn(), "paylake silver") as connection:
            found = open_alarms(connection, self.domain)
        if found:
            raise AirflowFailException(
                f"{found[0]}. They are in quarantine, and the good ones have landed. Each run fails until somebody "
                f"accepts that. {found[0].advice}"
            )
        self.log.info("%s: no alarm that nobody has accepted", self.domain)
