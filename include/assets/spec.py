"""What is said of one asset."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from include.assets.code import code_version
from include.assets.columns import AssetColumn
from include.checks import dataquality
from include.contracts import Contract
from include.contracts.contract import OUR_TEAM
from include.domains import Domain

MOST_BYTES = 32_768
"""So much of JSON an asset's extra may be: Airflow keeps a copy in each DAG that names the asset."""


class Measured(StrEnum):
    """What a freshness limit is measured from."""

    WAITING = "waiting"
    """For how long the oldest record of the input that waits for this asset has waited. A quiet source is no delay."""
    UPDATE = "update"
    """For how long nothing new came of the asset."""


@dataclass(frozen=True, slots=True)
class Freshness:
    """An asset is overdue after ``seconds``, measured as ``measured`` says."""

    seconds: float
    measured: Measured


@dataclass(frozen=True, slots=True)
class AssetSpec:
    """One asset.

    ``inputs`` are the names of the assets it is made of, the first of them the one that it follows; what it only
    ``looks_at`` makes it no older when it changes. ``code`` are the files and folders that make it. ``producer`` is the
    id of the DAG whose events tell of it; None where a watcher does. ``layer`` is how ``include.status.lag`` calls it.
    ``streamed`` ones come of a task without end. ``by_day``: its partitions are days (UTC), each of which can be made
    anew.
    ``data_quality`` are its checks, as Airflow's provider for them declares them.
    """

    name: str
    uri: str
    group: str
    description: str
    columns: tuple[AssetColumn, ...]
    code: tuple[str, ...]
    inputs: tuple[str, ...] = ()
    looks_at: tuple[str, ...] = ()
    domain: Domain | None = None
    layer: str | None = None
    producer: str | None = None
    data_quality: dict[str, Any] | None = None
    freshness: Freshness | None = None
    streamed: bool = False
    by_day: bool = False

    @property
    def contract(self) -> Contract | None:
        """The contract that its records keep."""
        return self.domain.contract if self.domain else None

    @property
    def owners(self) -> tuple[str, ...]:
        """Teams or people, the contract's."""
        return self.contract.owners if self.contract else (OUR_TEAM,)

    @property
    def code_version(self) -> str:
        """The version of the code that makes it, see ``include.assets.code``."""
        return code_version(self.code)

    @property
    def contract_version(self) -> str | None:
        """The version of its contract."""
        return self.contract.version if self.contract else None

    def extra(self) -> dict[str, Any]:
        """What Airflow shows of it, `MOST_BYTES` of JSON at most: of a very wide table columns are left out."""
        about = {
            "description": self.description,
            "owners": list(self.owners),
            "contract": self.contract.id if self.contract else None,
            "contract_version": self.contract_version,
            "code_version": self.code_version,
            "inputs": list(self.inputs),
            "looks_at": list(self.looks_at),
            "freshness": self.freshness
            and {"limit_seconds": self.freshness.seconds, "measured": self.freshness.measured.value},
            **({dataquality.EXTRA_KEY: self.data_quality} if self.data_quality else {}),
        }
        shown = [column.as_json() for column in self.columns]
        while len(json.dumps(about | {"columns": shown})) > MOST_BYTES and shown:
            shown.pop()
        return about | {"columns": shown, "columns_left_out": len(self.columns) - len(shown)}
