"""Routes of quarantine: how much waits there and why, the records behind a reason, and driving them through again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Annotated, Any

import psycopg
from airflow.api.common.trigger_dag import trigger_dag
from airflow.api_fastapi.logging.decorators import action_logging
from airflow.exceptions import DagNotFound
from airflow.utils.types import DagRunTriggeredByType
from fastapi import APIRouter, Depends, HTTPException, Query
from pydantic import BaseModel, ConfigDict, Field

from include.assets.code import ROOT
from include.desk.quarantine import Quarantined, Shown, list_records, show_record
from include.desk.snapshot import Snapshot
from include.lake.coordinates import Coordinates
from include.quarantine import rows as quarantine
from include.quarantine.alarms import Alarm, open_alarms
from include.quarantine.rows import ReasonCount, Selection
from paylake_airflow.hooks import stack_environment
from paylake_desk.access import Who, may_write
from paylake_desk.cases import Id
from paylake_desk.period import utc
from paylake_desk.warehouse import Warehouse, pool

router = APIRouter(prefix="/api/quarantine", tags=["quarantine"])

REDRIVEN = 1_000
"""So many records one request drives through again at most."""
REDRIVE_SECONDS = 120.0

TopicId = Annotated[str, Field(pattern="^[A-Za-z0-9_-]{1,64}$")]
Partition = Annotated[int, Field(ge=0, le=2**31 - 1)]
Offset = Annotated[int, Field(ge=0, le=2**63 - 1)]


@dataclass(frozen=True, slots=True)
class Waiting:
    """The records that waited ``age_seconds`` ago, by domain and reason; one with several reasons counts for each.

    ``alarms``: of a domain more were refused than is usual, and nobody has accepted that. All None while the first
    count is under way.
    """

    age_seconds: float | None
    records: int | None
    reasons: list[ReasonCount] | None
    alarms: list[Alarm] | None


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Place(_Body):
    """Where a record is in Kafka and in bronze."""

    topic_id: TopicId
    partition: Partition
    offset: Offset


class Wanted(_Body):
    """Waiting records: this one, or those of a ``domain`` with this reason, refused in this time (UTC).

    With ``dry_run`` nothing is changed.
    """

    dry_run: bool
    record: Place | None = None
    domain: Id | None = None
    code: Id | None = None
    field: Id | None = None
    since: datetime | None = None
    until: datetime | None = None


class Redriven(BaseModel):
    """What became, or with ``dry_run`` would become, of the ``chosen`` records that were waiting.

    ``valid`` keep their contract now (by domain), ``rejected`` do not, for these ``reasons``. ``landed`` are in their
    table (by domain), of which transactions are ``fraud``, ``genuine`` or ``duplicates``; ``requested`` wait for the
    next run of silver, ``refused`` were not taken in after all. ``woken`` are the DAGs that were started for them.
    """

    dry_run: bool
    chosen: int
    valid: dict[str, int]
    rejected: int
    reasons: list[ReasonCount]
    landed: dict[str, int]
    fraud: int
    genuine: int
    duplicates: int
    refused: dict[str, int]
    requested: dict[str, int]
    already_done: int
    woken: list[str] = []


def _count() -> tuple[quarantine.Summary, list[Alarm]]:
    with pool().connection() as conn:
        return quarantine.summarize(conn, Selection(done=False)), open_alarms(conn)


_waiting = Snapshot("count quarantine", _count)


@router.get("")
def sum_up() -> Waiting:
    """How many records wait, by domain and reason."""
    found = _waiting.ask()
    if found is None:
        return Waiting(None, None, None, None)
    summary, alarms = found.result
    return Waiting(found.age_seconds, summary.records, summary.reasons, alarms)


@router.get("/records")
def list_quarantined(
    conn: Warehouse,
    domain: Id,
    code: Id | None = None,
    field: Id | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    done: Annotated[bool, Query(description="Those that were driven through again, not those that wait.")] = False,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before_at: datetime | None = None,
    topic_id: TopicId | None = None,
    partition: Partition | None = None,
    offset: Offset | None = None,
) -> list[Quarantined]:
    """Records of a domain, last refused first; the next page begins after the last one's quarantined_at and place."""
    selection = _selection(domain, code, field, since, until, done=done)
    before = None
    if before_at is not None and topic_id is not None and partition is not None and offset is not None:
        before = (utc(before_at), Coordinates(topic_id, partition, offset))
    elif (before_at, topic_id, partition, offset) != (None, None, None, None):
        raise HTTPException(400, "A page begins after a before_at, topic_id, partition and offset: say all four.")
    return list_records(conn, selection, limit, before)


@router.get("/record")
def show_quarantined(conn: Warehouse, topic_id: TopicId, partition: Partition, offset: Offset) -> Shown:
    """A record with every reason and its value as it came."""
    found = show_record(conn, Coordinates(topic_id, partition, offset))
    if found is None:
        raise HTTPException(404, "That record is not in quarantine and never was.")
    return found


@router.post("/redrive", dependencies=[*may_write, Depends(action_logging("paylake_redrive"))])
def redrive(conn: Warehouse, who: Who, wanted: Wanted) -> Redriven:
    """Classify waiting records by today's contract, and let those that keep it land in their table.

    Who asked for what is in Airflow's audit log.
    """
    chosen = _chosen(conn, wanted)
    if not chosen:
        raise HTTPException(409, "No such record waits.")
    told = Redriven.model_validate(_driven(chosen, dry_run=wanted.dry_run))
    if not wanted.dry_run:
        _waiting.expire()
        told.woken = _wake([domain for domain, records in told.requested.items() if records], who)
    return told


def _selection(
    domain: str,
    code: str | None,
    field: str | None,
    since: datetime | None,
    until: datetime | None,
    *,
    done: bool,
) -> Selection:
    return Selection(domain, code, field, utc(since) if since else None, utc(until) if until else None, done)


def _chosen(conn: psycopg.Connection, wanted: Wanted) -> list[Coordinates]:
    selecting = (wanted.domain, wanted.code, wanted.field, wanted.since, wanted.until)
    if wanted.record is not None:
        if any(value is not None for value in selecting):
            raise HTTPException(400, "Choose records either by the place of one or by domain and reason.")
        place = Coordinates(wanted.record.topic_id, wanted.record.partition, wanted.record.offset)
        if quarantine.find(conn, place) is None:
            raise HTTPException(404, "That record is not in quarantine and never was.")
        return [place]
    if wanted.domain is None:
        raise HTTPException(400, "Which records: say the place of one, or a domain.")
    selection = _selection(wanted.domain, wanted.code, wanted.field, wanted.since, wanted.until, done=False)
    found = [one.coordinates for one in islice(quarantine.choose(conn, selection, REDRIVEN + 1), REDRIVEN + 1)]
    if len(found) > REDRIVEN:
        raise HTTPException(
            409,
            f"More than {REDRIVEN:,} records are meant. Choose a shorter time or one reason, or use"
            " ./paylake quarantine redrive, which has no limit.",
        )
    return found


def _driven(chosen: list[Coordinates], *, dry_run: bool) -> dict[str, Any]:
    """What ``./paylake quarantine redrive`` says of these records.

    A process of its own: this one has the contracts and cleaners of when it was started, and people redrive because
    they have mended them.
    """
    command = [sys.executable, "-m", "include.redrive", "redrive", "--json", "--wait", "0"]
    command += ["--dry-run" if dry_run else "--yes", "--", *map(str, chosen)]
    # What wakes silver is Airflow itself, see `_wake`.
    environment = {name: value for name, value in os.environ.items() if name != "AIRFLOW_URL"}
    try:
        done = subprocess.run(
            command,
            env=environment | stack_environment(),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=REDRIVE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise HTTPException(503, f"The redrive was stopped after {REDRIVE_SECONDS:.0f} s; see what landed.") from error
    if done.returncode not in (0, 1) or not done.stdout.strip():
        raise HTTPException(409, done.stderr.strip().removeprefix("error: ")[-1_000:])
    return dict(json.loads(done.stdout))


def _wake(domains: list[str], who: str) -> list[str]:
    """Start silver's runs for the domains; one whose DAG is not there has its records taken in by the next run."""
    woken = []
    for domain in domains:
        dag_id = f"silver_{domain}"
        try:
            trigger_dag(dag_id, triggered_by=DagRunTriggeredByType.REST_API, triggering_user_name=who)
        except DagNotFound:
            continue
        woken.append(dag_id)
    return woken
