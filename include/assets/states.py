"""Whether each asset is up to date: reckoned from the registry's graph and what is known of each, asked by others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from include.assets.event import DataVersion
from include.assets.spec import AssetSpec, Measured


@dataclass(frozen=True, slots=True)
class Observation:
    """What is known of an asset: from its newest event, or from the store that holds it.

    ``updated``: when something new last came of it. ``version``: the data it holds; ``inputs``: that of each input that
    it was made of. ``code_version`` and ``contract_version``: what made it.
    """

    updated: datetime | None
    version: DataVersion | None = None
    inputs: Mapping[str, DataVersion] = field(default_factory=dict)
    code_version: str | None = None
    contract_version: str | None = None


@dataclass(frozen=True, slots=True)
class Waits:
    """So many ``records`` of the asset's first input wait for it, the oldest for ``seconds`` (None: nobody knows)."""

    records: int
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Cause:
    """An ``input`` holds newer data than the asset was made of.

    ``newest`` and ``used`` are its versions, None where it was told by counting what waits, or none was used yet.
    """

    input: str
    newest: DataVersion | None
    used: DataVersion | None
    records: int | None


@dataclass(frozen=True, slots=True)
class AssetState:
    """How an asset is.

    ``stale_because`` lists the inputs that hold newer data; it is empty for an asset that is up to date. ``seconds`` is
    what its freshness limit is compared with, None where there is no limit or nobody knows. ``changed`` names what made
    the asset and is another one today: ``code``, ``contract``.
    """

    name: str
    group: str
    updated: datetime | None
    version: DataVersion | None
    inputs: Mapping[str, DataVersion]
    stale_because: tuple[Cause, ...]
    changed: tuple[str, ...]
    measured: Measured | None
    seconds: float | None
    limit_seconds: float | None

    @property
    def stale(self) -> bool:
        """Whether an input holds newer data."""
        return bool(self.stale_because)

    @property
    def waiting(self) -> int:
        """So many records of its inputs wait for it, as far as they were counted."""
        return sum(cause.records or 0 for cause in self.stale_because)

    @property
    def overdue(self) -> bool:
        """Whether its freshness limit is passed."""
        return self.seconds is not None and self.limit_seconds is not None and self.seconds > self.limit_seconds

    def as_json(self) -> dict[str, Any]:
        """As plain values; times in ISO 8601, UTC."""
        return {
            "name": self.name,
            "group": self.group,
            "updated": self.updated.isoformat() if self.updated else None,
            "data_version": _plain(self.version),
            "inputs": {name: _plain(version) for name, version in self.inputs.items()},
            "stale": self.stale,
            "stale_because": [
                {
                    "input": one.input,
                    "newest": _plain(one.newest),
                    "used": _plain(one.used),
                    "records": one.records,
                }
                for one in self.stale_because
            ],
            "changed": list(self.changed),
            "freshness": self.measured
            and {
                "measured": self.measured.value,
                "seconds": self.seconds,
                "limit_seconds": self.limit_seconds,
                "overdue": self.overdue,
            },
        }


def states(
    assets: Mapping[str, AssetSpec],
    seen: Mapping[str, Observation],
    waits: Mapping[str, Waits],
    now: datetime,
) -> list[AssetState]:
    """How each of ``assets`` is at the moment ``now``, in their order.

    ``seen`` has what is known of them, ``waits`` what the stores counted; an asset that is in neither is one of which
    nobody knows anything, and is neither stale nor overdue. A count goes before versions: an offset without a record
    (of a Kafka transaction, say) moves a position and is no news, nor is a snapshot in which no row changed.
    """
    return [_state(spec, seen, waits.get(name), now) for name, spec in assets.items()]


def _state(spec: AssetSpec, seen: Mapping[str, Observation], waits: Waits | None, now: datetime) -> AssetState:
    found = seen.get(spec.name, Observation(None))
    causes = tuple(_causes(spec, found, seen, waits))
    made_by = {
        "code": (found.code_version, spec.code_version),
        "contract": (found.contract_version, spec.contract_version),
    }
    return AssetState(
        name=spec.name,
        group=spec.group,
        updated=found.updated,
        version=found.version,
        inputs=found.inputs,
        stale_because=causes,
        changed=tuple(what for what, (then, today) in made_by.items() if then is not None and then != today),
        measured=spec.freshness.measured if spec.freshness else None,
        seconds=_seconds(spec, found, seen, waits, causes, now),
        limit_seconds=spec.freshness.seconds if spec.freshness else None,
    )


def _causes(
    spec: AssetSpec, found: Observation, seen: Mapping[str, Observation], waits: Waits | None
) -> Iterator[Cause]:
    for name in spec.inputs:
        newest = seen[name].version if name in seen else None
        used = found.inputs.get(name)
        if waits is not None and name == spec.inputs[0]:
            if waits.records:
                yield Cause(name, newest, used, waits.records)
        elif newest is not None and used is not None and newest.newer_than(used):
            yield Cause(name, newest, used, None)


def _seconds(
    spec: AssetSpec,
    found: Observation,
    seen: Mapping[str, Observation],
    waits: Waits | None,
    causes: tuple[Cause, ...],
    now: datetime,
) -> float | None:
    if spec.freshness is None:
        return None
    if spec.freshness.measured is Measured.UPDATE:
        return _age(found.updated, now)
    if not causes:
        known = waits is not None or any(name in seen for name in spec.inputs)
        return 0.0 if known else None
    if waits is not None:
        return waits.seconds
    ages = (_age(seen[cause.input].updated, now) for cause in causes)
    return max((age for age in ages if age is not None), default=None)


def _age(moment: datetime | None, now: datetime) -> float | None:
    """Seconds since then; none for a moment in the future, for clocks differ."""
    return None if moment is None else max(0.0, round((now - moment).total_seconds(), 1))


def _plain(version: DataVersion | None) -> dict[str, Any] | None:
    if version is None:
        return None
    return {"short": version.short, "snapshot_id": version.snapshot_id, "positions": version.positions}
