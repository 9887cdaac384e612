"""One asset: what it is, what it is made of, and what its events told."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from include.assets.columns import AssetColumn, Source
from include.assets.event import Materialization
from include.assets.registry import ASSETS
from include.assets.spec import AssetSpec
from include.status.assets import observed, speaks

TEXT_CHARACTERS = 4_000
"""So much of an event is shown as it is."""


@dataclass(frozen=True, slots=True)
class ColumnShown:
    """A column with its rule, what it is made of, and the columns of other assets that are made of it."""

    column: AssetColumn
    feeds: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class EventShown:
    """An event: who told it, and what.

    ``counts`` is False for what a person told by hand, whose word counts for nothing. ``text`` is all of it as JSON, at
    most `TEXT_CHARACTERS` of it.
    """

    at: datetime
    dag_id: str | None
    run_id: str | None
    counts: bool
    version: str | None
    rows_in: int | None
    rows_out: int | None
    rejected: int | None
    seconds: float | None
    contract_version: str | None
    code_version: str | None
    text: str
    cut: bool


@dataclass(frozen=True, slots=True)
class AssetShown:
    """What the registry says of an asset; ``feeds`` are the assets that are made of it."""

    name: str
    uri: str
    group: str
    description: str
    owners: tuple[str, ...]
    contract: str | None
    contract_version: str | None
    code_version: str
    producer: str | None
    inputs: tuple[str, ...]
    looks_at: tuple[str, ...]
    feeds: tuple[str, ...]
    limit_seconds: float | None
    measured: str | None
    columns: tuple[ColumnShown, ...]


def describe(spec: AssetSpec) -> AssetShown:
    """An asset of the registry."""
    feeds: dict[str, list[Source]] = {column.name: [] for column in spec.columns}
    for other in ASSETS.values():
        for column in other.columns:
            for source in column.sources:
                if source.asset == spec.name:
                    feeds[source.column].append(Source(other.name, column.name))
    return AssetShown(
        name=spec.name,
        uri=spec.uri,
        group=spec.group,
        description=spec.description,
        owners=spec.owners,
        contract=spec.contract.id if spec.contract else None,
        contract_version=spec.contract_version,
        code_version=spec.code_version,
        producer=spec.producer,
        inputs=spec.inputs,
        looks_at=spec.looks_at,
        feeds=tuple(one.name for one in ASSETS.values() if spec.name in one.inputs),
        limit_seconds=spec.freshness.seconds if spec.freshness else None,
        measured=spec.freshness.measured.value if spec.freshness else None,
        columns=tuple(ColumnShown(column, tuple(feeds[column.name])) for column in spec.columns),
    )


def events_of(spec: AssetSpec, events: Iterable[Mapping[str, Any]]) -> list[EventShown]:
    """The events of an asset, of which anybody may have made one, with any JSON in it."""
    return [_event(spec, event) for event in events]


def _event(spec: AssetSpec, event: Mapping[str, Any]) -> EventShown:
    at = datetime.fromisoformat(event["timestamp"])
    extra = event["extra"] or {}
    try:
        made = Materialization.model_validate(extra)
    except ValidationError:
        made = Materialization()
    version = observed(spec, at, extra).version
    text = json.dumps(extra, ensure_ascii=True, indent=1, sort_keys=True)
    return EventShown(
        at=at,
        dag_id=event["source_dag_id"],
        run_id=event["source_run_id"],
        counts=speaks(spec, event["source_dag_id"], extra),
        version=version.short if version else None,
        rows_in=made.rows_in,
        rows_out=made.rows_out,
        rejected=made.rejected,
        seconds=made.seconds,
        contract_version=made.contract_version,
        code_version=made.code_version,
        text=text[:TEXT_CHARACTERS],
        cut=len(text) > TEXT_CHARACTERS,
    )
