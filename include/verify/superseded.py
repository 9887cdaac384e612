"""Records of a reference domain that have no place of their own, because silver holds a newer one of the same id."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.contracts.contract import ENVELOPES
from include.domains import Domain
from include.lake.records import BronzeRecord
from include.quality import Tombstone, Valid, classify
from include.quality.envelopes import open_record
from include.quality.parse import UnreadableError
from include.verify.report import Finding, kept, listed

ORDER = ("time", "bronze_generation", "bronze_taken_ms", "bronze_partition", "bronze_offset")
"""What says which of two records of one id is newer, as silver decides it: see ``Domain.newest_by``."""

_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("written_id", pa.string()),
        ("time", pa.int64()),
        ("bronze_generation", pa.int64()),
        ("bronze_taken_ms", pa.int64()),
        ("bronze_partition", pa.int64()),
        ("bronze_offset", pa.int64()),
        ("topic_id", pa.string()),
    ]
)
_OLDEST = -(1 << 63)

Explanation: TypeAlias = Literal["superseded", "tombstone"]
"""Why a valid record of bronze is in no table."""


@dataclass(slots=True)
class Superseded:
    """Collects such records, and looks at the end whether silver really holds a newer one for each.

    ``older_contract``: whether silver has ever read records under another version of the contract. A record that
    breaks the contract of today may have kept that one; then it is enough that silver has its id. One that keeps it may
    have been read with another id than today: silver may have the one that is written in it.
    """

    domain: Domain
    generations: dict[str, int]
    older_contract: bool
    _tables: list[pa.Table] = field(default_factory=list)
    _rows: list[dict[str, Any]] = field(default_factory=list)

    def take(self, record: BronzeRecord) -> Explanation | None:
        """Note the record; None when nothing explains that it has no place."""
        explanation, identity, time = self._explain(record)
        if explanation != "superseded":
            return explanation
        written = self._written(record)[1] if self.older_contract else None
        self._rows.append(
            {
                "id": identity,
                "written_id": written,
                "time": time,
                "bronze_generation": self.generations.get(record.topic_id, 0),
                "bronze_taken_ms": record.taken_ms,
                "bronze_partition": record.partition,
                "bronze_offset": record.offset,
                "topic_id": record.topic_id,
            }
        )
        if len(self._rows) >= 100_000:
            self._flush()
        return explanation

    def findings(self, silver: pa.Table) -> list[Finding]:
        """What silver does not hold, or holds in an older version.

        ``silver`` has the key, the event time and the coordinates of each row.
        """
        self._flush()
        records = pa.concat_tables([_SCHEMA.empty_table(), *self._tables])
        held = pa.table(
            {
                "id": silver[self.domain.key].cast(pa.string()),
                "held_time": silver[self.domain.event_time].cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()),
                **{f"held_{name}": silver[name].cast(pa.int64()) for name in ORDER[1:]},
            }
        )
        joined = records.join(held, keys="id", join_type="left outer")
        unknown = np.array(joined["held_time"].is_null(), dtype=bool)
        absent = unknown & ~np.array(pc.is_in(joined["written_id"], held["id"]), dtype=bool)
        newer = ~unknown & _is_newer(joined)
        return [
            *self._finding("silver_misses", "without a row in silver, though valid", joined, absent),
            *self._finding("silver_older", "older in silver than the newest valid record", joined, newer),
        ]

    def _explain(self, record: BronzeRecord) -> tuple[Explanation | None, str | None, int]:
        """Why the record has no place; its id and time where that is because silver has a newer one."""
        outcome = classify(self.domain, record)
        if isinstance(outcome, Valid):
            time: datetime = outcome.row[self.domain.event_time]
            return "superseded", outcome.row[self.domain.key], _microseconds(time)
        if isinstance(outcome, Tombstone):
            return "tombstone", None, _OLDEST
        return (*self._written(record), _OLDEST) if self.older_contract else (None, None, _OLDEST)

    def _written(self, record: BronzeRecord) -> tuple[Explanation | None, str | None]:
        """What the record may have been under an older contract, and the id as it stands in it."""
        if record.value is None:
            return None, None
        try:
            # An older contract may have had any envelope taken off.
            members = open_record(record.value, self.domain.contract.required, ENVELOPES)
        except UnreadableError:
            return None, None
        if members is None:
            return "tombstone", None
        found = members.get(self.domain.key)  # a Number is a str, too, and was never an id
        return ("superseded", found.strip()) if type(found) is str else (None, None)

    def _flush(self) -> None:
        if self._rows:
            self._tables.append(pa.Table.from_pylist(self._rows, _SCHEMA))
            self._rows = []

    def _finding(self, check: str, what: str, joined: pa.Table, wrong: np.ndarray[Any, Any]) -> list[Finding]:
        if not wrong.any():
            return []
        rows = joined.filter(pa.array(wrong)).sort_by("id")
        ids = list(dict.fromkeys(rows["id"].to_pylist()))
        coordinates = [
            f"{row['topic_id']}/{row['bronze_partition']}/{row['bronze_offset']}"
            for row in rows.slice(0, 3).to_pylist()
        ]
        return [
            Finding(
                check=check,
                domain=self.domain.name,
                message=f"{self.domain.name} {listed(ids)}: {what} ({', '.join(coordinates)})",
                count=len(ids),
                ids=kept(ids),
            )
        ]


def _is_newer(joined: pa.Table) -> np.ndarray[Any, Any]:
    """For each record whether it comes after the one that silver holds; of no meaning where silver holds none."""
    newer = np.zeros(joined.num_rows, bool)
    equal = np.ones(joined.num_rows, bool)
    for name in ORDER:
        own = joined[name].to_numpy()
        # A row without the time of its coming is older than that column, and so is what it was chosen from.
        unknown = joined[name] if name == "bronze_taken_ms" else pa.scalar(0, pa.int64())
        held = pc.coalesce(joined[f"held_{name}"], unknown).to_numpy()
        newer |= equal & (own > held)
        equal &= own == held
    return newer


def _microseconds(moment: datetime) -> int:
    return pa.scalar(moment, pa.timestamp("us", tz="UTC")).cast(pa.int64()).as_py()  # type: ignore[no-any-return]
