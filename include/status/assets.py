"""What is known of each asset: from its newest event in Airflow; of streams, which tell none, from the stores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from pydantic import ValidationError

from include.airflow_api import AirflowApiError, AirflowReader
from include.assets.event import DataVersion, Materialization
from include.assets.registry import ASSETS, FRAUD_TRANSACTION, GENUINE_TRANSACTION, bronze
from include.assets.spec import AssetSpec, Measured
from include.assets.states import AssetState, Observation, Waits, states
from include.domains import TRANSACTIONS
from include.fraud.ledger import reached
from include.lake.bronze_log import BronzeLog
from include.lake.positions import plain_positions
from include.status.lag import Lag
from include.status.layers import LayerPart
from include.status.problems import Problem
from include.status.stores import Stores
from include.status.times import duration

_TRIES = 8
"""So many newest events of an asset are looked at for one that counts and can be shown."""


def from_events(api: AirflowReader) -> dict[str, Observation]:
    """What the newest event of each asset that has one tells.

    Raises:
        AirflowApiError: Airflow does not answer, or refuses.
    """
    known = {asset["name"]: asset for asset in api.assets()}
    found = {}
    for name, spec in ASSETS.items():
        if name in known and known[name]["last_asset_event"]:
            event = newest_event(api, known[name]["id"], spec)
            if event is not None:
                found[name] = observed(spec, datetime.fromisoformat(event["timestamp"]), event["extra"])
    return found


def observed(spec: AssetSpec, at: datetime, extra: Mapping[str, Any] | None) -> Observation:
    """What an event tells that a task or a watcher of the asset made; one that says nothing sensible tells its time."""
    plain = dict(extra or {})
    if plain.get("from_trigger"):
        payload = plain.get("payload") or {}
        plain = {"positions": {payload.get("topic_id"): payload.get("offsets")}}
    try:
        made = Materialization.model_validate(plain)
    except ValidationError:
        return Observation(at)
    version = DataVersion(snapshot_id=made.snapshot_id, positions=made.positions)
    return Observation(
        updated=at,
        version=None if version == DataVersion() else version,
        inputs=made.inputs,
        code_version=made.code_version,
        contract_version=made.contract_version,
    )


def newest_event(api: AirflowReader, asset_id: int, spec: AssetSpec) -> dict[str, Any] | None:
    """The newest event whose word counts.

    Airflow (3.3.2) can not show an event while a run that it has woken is queued; then it is one before it.
    """
    for skip in range(_TRIES):
        try:
            event = api.asset_event(asset_id, skip=skip)
        except AirflowApiError as error:
            if error.status != HTTPStatus.INTERNAL_SERVER_ERROR:
                raise
            continue
        if event is None:
            return None
        if speaks(spec, event["source_dag_id"], event["extra"]):
            return event
    return None


def speaks(spec: AssetSpec, source_dag_id: str | None, extra: Mapping[str, Any] | None) -> bool:
    """Whether an event's word counts: the asset's task or watcher made it, not a person."""
    if source_dag_id is None:
        return bool((extra or {}).get("from_trigger"))
    return source_dag_id == spec.producer


def ingested(stores: Stores) -> dict[str, Observation]:
    """What bronze says of what its stream has written.

    Raises:
        Whatever S3's client raises when it does not answer, or has what it should not have.
    """
    version = DataVersion(positions=plain_positions(BronzeLog(stores.s3, TRANSACTIONS).end_positions()))
    return {bronze(TRANSACTIONS).name: Observation(None, version, {TRANSACTIONS.topic: version})}


def judged(stores: Stores) -> dict[str, Observation]:
    """What the ledger says of what the fraud stream has written.

    Raises:
        psycopg.Error: the warehouse does not answer, or lacks a table.
    """
    with stores.warehouse() as connection:
        stream = reached(connection)
    version = DataVersion(positions=plain_positions(stream.positions))
    verdicts = Observation(stream.newest_verdict, version, {bronze(TRANSACTIONS).name: version})
    return {FRAUD_TRANSACTION.name: verdicts, GENUINE_TRANSACTION.name: verdicts}


def asset_states(
    seen: Mapping[str, Observation], lags: Iterable[Lag], parts: Iterable[LayerPart] = ()
) -> list[AssetState]:
    """How each asset is now: from what was seen of it, what waits for it and, where that was asked, its rows' ages."""
    by_layer = {(lag.layer, lag.domain): Waits(lag.records, lag.seconds) for lag in lags}
    waits = {
        name: by_layer[spec.layer, spec.domain.name]
        for name, spec in ASSETS.items()
        if spec.layer and spec.domain and (spec.layer, spec.domain.name) in by_layer
    }
    return states(ASSETS, dict(seen) | _dated(seen, parts), waits, datetime.now(UTC))


def _dated(seen: Mapping[str, Observation], parts: Iterable[LayerPart]) -> dict[str, Observation]:
    """What the rows of the layers tell of ages: of an asset without an event, and of each topic.

    What last came of a topic came to bronze. Its events do not tell: there is one whenever its watcher begins to look.
    """
    named = {spec.name.split("/", 1)[-1].lower(): spec for spec in ASSETS.values() if spec.layer}
    found = {}
    for part in parts:
        spec = named.get(part.name)
        if spec is None or part.updated is None:
            continue
        if (told := seen.get(spec.name, Observation(None))).updated is None:
            found[spec.name] = replace(told, updated=part.updated)
        if spec.layer == "bronze":
            (topic,) = spec.inputs
            found[topic] = replace(seen.get(topic, Observation(None)), updated=part.updated)
    return found


def overdue_problems(assets: Iterable[AssetState]) -> list[Problem]:
    """The assets of which nothing came for too long; those for which something waits are late layers already."""
    return [
        Problem("overdue", one.name, sentence(one)) for one in assets if one.overdue and one.measured is Measured.UPDATE
    ]


def sentence(state: AssetState) -> str:
    """How it stands with an asset's freshness, for people."""
    limit = f"late after {duration(state.limit_seconds)}"
    if state.measured is Measured.UPDATE:
        return f"nothing new for {duration(state.seconds)} ({limit})"
    if not state.stale:
        return "up to date"
    waiting = ", ".join(cause.input for cause in state.stale_because)
    return f"newer data of {waiting} have waited for {duration(state.seconds)} ({limit})"
