"""What the event of an asset tells: the one shape of all of them.

Each layer's event has the fields of `Materialization`, those that make no sense for it left out, and beside them the
numbers of its own, which the layer's operator describes.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

PlainPositions = dict[str, dict[str, int]]
"""Topic id -> partition -> next offset, as JSON has them."""


class DataVersion(BaseModel):
    """Which data an asset holds: an Iceberg snapshot, positions in Kafka's offsets, or both."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    snapshot_id: str | None = Field(default=None, max_length=100)
    positions: PlainPositions | None = None

    @property
    def short(self) -> str:
        """Eight characters to tell versions apart by."""
        text = json.dumps([self.snapshot_id, self.positions], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def newer_than(self, used: DataVersion) -> bool:
        """Whether this holds something that ``used``, an earlier version of the same asset, did not.

        A snapshot is another one; of positions, one lies further on.
        """
        if self.snapshot_id is not None or used.snapshot_id is not None:
            return self.snapshot_id != used.snapshot_id
        return any(
            offset > (used.positions or {}).get(topic_id, {}).get(partition, 0)
            for topic_id, partitions in (self.positions or {}).items()
            for partition, offset in partitions.items()
        )


class Materialization(DataVersion):
    """What became of an asset, and of which data.

    ``rows_in`` were read, ``rows_out`` written, ``rejected`` refused, all of this run; ``bytes`` and ``objects`` were
    written; ``seconds`` it took. ``behind``: how far the asset is behind its input after that, ``records`` and
    ``seconds``. ``inputs`` has the version of each input that the asset now holds. ``contract_version`` and
    ``code_version`` are those it was made by. None: nobody knows, or it makes no sense here.
    """

    rows_in: int | None = None
    rows_out: int | None = None
    rejected: int | None = None
    bytes: int | None = None
    objects: int | None = None
    seconds: float | None = None
    behind: dict[str, Any] | None = None
    inputs: dict[str, DataVersion] = Field(default_factory=dict)
    contract_version: str | None = Field(default=None, max_length=100)
    code_version: str | None = Field(default=None, max_length=100)

    def as_json(self) -> dict[str, Any]:
        """The event's fields as plain values, without what nobody knows."""
        return self.model_dump(exclude_none=True)
