"""Telling an asset something new, and remembering what it was told.

A run may do its work and die before its event is stored; the run that is tried again finds nothing to do. So whether
there is news is not decided by what a run did but by comparing what is there now with what was told before.

A task notes what it tells beside the asset (Airflow's asset state store). It does not read the asset's events: anybody
may make one, in the UI or by REST, with any JSON in it. And Airflow refuses to show an event while a run that it has
woken is queued.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, TypeVar

from airflow.sdk import Asset
from airflow.sdk.exceptions import AirflowSkipException
from pydantic import BaseModel, ConfigDict, ValidationError

from include.assets.event import Materialization
from include.assets.registry import ASSETS

log = logging.getLogger(__name__)

KEY = "told"
"""The note's name in the asset state store."""
MOST_DAYS = 7
"""So many days of one run are told as partitions: each is an event of its own, wakes a run of its own, and can not be
shown until that begins (``include.status.assets``)."""
FAILED = ("failed", "up_for_retry")
"""States of a task whose event was not stored."""


class StreamEnded(AirflowSkipException):
    """A stream did what it was told: it stopped. Skipped, not succeeded, because its end is no news of its assets."""


class Told(BaseModel):
    """What of an event its task has to remember; a subclass says which values, and of which types."""

    model_config = ConfigDict(strict=True, frozen=True)


AnyTold = TypeVar("AnyTold", bound=Told)


class _Note(Told):
    """Written right before the event is stored: ``now`` was told, or ``before`` if the task of ``run_id`` failed."""

    run_id: str
    now: dict[str, Any]
    before: dict[str, Any] | None


def announce(
    context: Mapping[str, Any], asset: Asset, made: Materialization, own: Mapping[str, Any] | None = None
) -> None:
    """Give what was ``made``, by today's code and contract, to the event that is stored when the task succeeds.

    ``own`` are the layer's own numbers (JSON values), which stand beside it.
    """
    spec = ASSETS[asset.name]
    by = made.model_copy(update={"contract_version": spec.contract_version, "code_version": spec.code_version})
    context["outlet_events"][asset].extra = {**(own or {}), **by.as_json()}


def announce_and_note(
    context: Mapping[str, Any],
    asset: Asset,
    made: Materialization,
    own: Mapping[str, Any],
    now: AnyTold,
    before: AnyTold | None,
) -> None:
    """Announce as `announce` does, and note ``now`` for the next run; ``before`` is what `last_told` said."""
    run_id, earlier = context["ti"].run_id, None if before is None else before.model_dump()
    note = _Note(run_id=run_id, now=now.model_dump(), before=earlier)
    announce(context, asset, made, own)
    context["asset_state_store"][asset].set(KEY, note.model_dump())


def announce_days(context: Mapping[str, Any], asset: Asset, days: Iterable[date]) -> list[str]:
    """Tell the newest `MOST_DAYS` of these days as the asset's partitions: the keys, oldest first.

    With none of them the event is of no partition, or of the run's own.
    """
    keys = sorted(day.isoformat() for day in days)[-MOST_DAYS:]
    context["outlet_events"][asset].add_partitions(keys)
    return keys


def last_told(context: Mapping[str, Any], asset: Asset, kind: type[AnyTold]) -> AnyTold | None:
    """What this task has last told ``asset``; None when it never did. Only inside a running task.

    Airflow stores an event in the transaction in which its task becomes successful. A note that somebody has edited
    until it is none counts as nothing told.
    """
    kept = context["asset_state_store"][asset].get(KEY)
    if kept is None:
        return None
    try:
        note = _Note.model_validate(kept)
        told = note.now if _was_stored(context, note) else note.before
        return None if told is None else kind.model_validate(told)
    except ValidationError as error:
        log.warning("what %s was told before can not be read, so everything is told: %s", asset.name, error)
        return None


def _was_stored(context: Mapping[str, Any], note: _Note) -> bool:
    task = context["ti"]
    if note.run_id == task.run_id:
        # By an earlier try. It failed after that; or it succeeded and somebody has cleared it, which gives a task more
        # tries than it has by itself.
        return bool(task.max_tries > task.task.retries)
    states = task.get_task_states(dag_id=task.dag_id, task_ids=[task.task_id], run_ids=[note.run_id])
    # Any other state, or none, is of a run that was cleared or removed after it had succeeded.
    return states.get(note.run_id, {}).get(task.task_id) not in FAILED
