"""The lake as the page shows it: what `include.status.flow` found, with the rate of each layer and its last run."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from include.assets.registry import ASSETS
from include.assets.spec import Measured
from include.assets.states import AssetState
from include.status.assets import sentence
from include.status.flow import Flow
from include.status.layers import LayerPart
from include.status.problems import Problem
from include.status.waiting import QUARANTINE

WINDOW_SECONDS = 120.0
"""A rate is that of this time, or of as much of it as somebody has looked."""
_SHORTEST_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Run:
    """The newest run of the DAG that makes an asset; times in ISO 8601, None for what has not been yet."""

    dag_id: str
    run_id: str
    state: str
    started: str | None
    ended: str | None


@dataclass(frozen=True, slots=True)
class Layer:
    """A part of a layer: a folder of the lake, or a table.

    ``rate``: rows a second that came lately; None where nobody has looked for long enough, or ``rows`` are no exact
    count. ``behind_records`` of the layer before wait for it, the oldest for ``behind_seconds``; ``late`` after
    ``limit_seconds``. ``quarantined`` records of the domain wait in quarantine: of layers that refuse records.
    """

    layer: str
    name: str
    domain: str | None
    asset: str | None
    rows: int
    exact: bool
    rate: float | None
    updated: datetime | None
    before: str | None
    behind_records: int | None
    behind_seconds: float | None
    limit_seconds: float | None
    late: bool
    quarantined: int | None
    run: Run | None


@dataclass(frozen=True, slots=True)
class Newer:
    """An input that holds newer data; ``records`` of it wait, None where they were not counted."""

    input: str
    records: int | None


@dataclass(frozen=True, slots=True)
class AssetLine:
    """An asset in the list of all; ``freshness`` says in words how it stands with its limit, empty without one."""

    name: str
    group: str
    inputs: tuple[str, ...]
    updated: datetime | None
    version: str | None
    stale_because: tuple[Newer, ...]
    overdue: bool
    changed: tuple[str, ...]
    freshness: str


class Books(BaseModel):
    """The last proof: whether the books balanced, with the records of each domain by where they are."""

    model_config = ConfigDict(extra="ignore")

    at: datetime
    balanced: bool
    records: int
    seconds: float
    domains: dict[str, dict[str, int | None]]
    findings: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Lake:
    """Everything as it was when somebody looked, from ``at`` on."""

    at: datetime
    layers: list[Layer]
    assets: list[AssetLine]
    books: Books | None
    waiting: list[str]
    problems: list[Problem]
    newest_verdict: datetime | None


class Rates:
    """Rows a second of what is counted again and again."""

    def __init__(self) -> None:
        self._counted: deque[tuple[float, Mapping[str, int]]] = deque()

    def note(self, rows: Mapping[str, int], now: float) -> dict[str, float]:
        """The rates of those that have been counted before; ``now`` is a clock's time in seconds."""
        while self._counted and now - self._counted[0][0] > WINDOW_SECONDS:
            self._counted.popleft()
        self._counted.append((now, rows))
        since, first = self._counted[0]
        if now - since < _SHORTEST_SECONDS:
            return {}
        return {name: max(0.0, (rows[name] - first[name]) / (now - since)) for name in rows.keys() & first.keys()}


def counted(flow: Flow) -> dict[str, int]:
    """The rows of the layers that could be counted exactly, by layer and name."""
    return {f"{one.layer}/{one.name}": one.rows for one in flow.layers if one.exact}


def lake_of(flow: Flow, rates: Mapping[str, float], runs: Mapping[str, Run], books: Books | None, at: datetime) -> Lake:
    """What was found, put together; ``runs`` are the newest by DAG."""
    lags = {(lag.layer, lag.domain): lag for lag in flow.lags}
    quarantined = {one.domain: one.records for one in flow.waiting if one.reason == QUARANTINE}

    def layer(part: LayerPart) -> Layer:
        asset = _ASSET_OF_PART.get((part.layer, part.name.lower()))
        spec = ASSETS[asset] if asset else None
        lag = lags.get((part.layer, part.domain or ""))
        # The layer in which records are first held to their contract.
        refuses = spec is not None and spec.domain is not None and spec.layer == _refusing(spec.domain.judged)
        return Layer(
            layer=part.layer,
            name=part.name,
            domain=part.domain,
            asset=asset,
            rows=part.rows,
            exact=part.exact,
            rate=rates.get(f"{part.layer}/{part.name}") if part.exact else None,
            updated=part.updated,
            before=lag.before if lag else None,
            behind_records=lag.records if lag else None,
            behind_seconds=lag.seconds if lag else None,
            limit_seconds=lag.limit_seconds if lag else None,
            late=lag.late if lag else False,
            quarantined=quarantined.get(part.domain or "", 0) if refuses else None,
            run=runs.get(spec.producer) if spec and spec.producer else None,
        )

    return Lake(
        at=at,
        layers=[layer(part) for part in flow.layers if part.domain],
        assets=[_line(one) for one in flow.assets],
        books=books,
        waiting=[f"{one.domain}: {one.sentence}" for one in flow.waiting if one.reason != QUARANTINE],
        problems=list(flow.problems),
        newest_verdict=flow.newest_verdict,
    )


_ASSET_OF_PART = {
    (spec.layer, spec.name.partition("/")[2].lower()): spec.name for spec in ASSETS.values() if spec.layer
}


def _refusing(judged: bool) -> str:
    return "verdicts" if judged else "silver"


def _line(state: AssetState) -> AssetLine:
    known = state.seconds is not None
    return AssetLine(
        name=state.name,
        group=state.group,
        inputs=ASSETS[state.name].inputs,
        updated=state.updated,
        version=state.version.short if state.version else None,
        stale_because=tuple(Newer(cause.input, cause.records) for cause in state.stale_because),
        overdue=state.overdue,
        changed=state.changed,
        freshness=sentence(state) if known and (state.stale or state.measured is Measured.UPDATE) else "",
    )
