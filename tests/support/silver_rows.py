"""Rows as silver hands them out, without silver."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

from include.lake.catalog import RecordCounts, SilverState


def user_row(user_id: str, **changes: Any) -> dict[str, Any]:
    """One row of silver's users."""
    moment: datetime = changes.get("timestamp", datetime(2026, 1, 31, 13, 45, tzinfo=UTC))
    row = {
        "user_id": user_id,
        "name": "Ana Silva",
        "title": None,
        "first_name": "Ana",
        "last_name": "Silva",
        "suffix": None,
        "email": None,
        "city": "Porto",
        "country_code": "PT",
        "country": "Portugal",
        "account_type": "Savings",
        "credit_score": 700,
        "status": "active",
        "timestamp": moment,
        "date": moment.date(),
        "time": moment.strftime("%H:%M:%S"),
        "month": moment.month,
        "year": moment.year,
        "bronze_topic_id": "AAAAAAAAAAAAAAAAAAAAAA",
        "bronze_partition": 0,
        "bronze_offset": int(user_id[1:]),
        "bronze_generation": 0,
        "silver_version": 1,
    }
    return row | changes


def account_row(account_id: str, **changes: Any) -> dict[str, Any]:
    """One row of silver's accounts."""
    common = user_row("U1")
    names = ("date", "time", "month", "year", "bronze_topic_id", "bronze_partition", "bronze_generation")
    row = {name: common[name] for name in names} | {
        "account_id": account_id,
        "user_id": "U1",
        "current_balance": Decimal("10.0000"),
        "currency": "EUR",
        "last_updated": common["timestamp"],
        "bronze_offset": int(account_id[1:]),
        "silver_version": 1,
    }
    return row | changes


@dataclass
class SilverTable:
    """Rows by version, handed out as silver does: what gold does with them is what is tested.

    Gold is tested with the true silver in test_gold_from_silver.py.
    """

    key: str
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    version: int = 0
    table_uuid: str = "first"
    batch_rows: int = 1000

    def commit(self, *rows: dict[str, Any]) -> None:
        """The next version, in which these rows are new or changed."""
        self.version += 1
        self.rows |= {row[self.key]: row | {"silver_version": self.version} for row in rows}

    def drop(self) -> None:
        """Silver dropped, and made again without rows."""
        self.table_uuid, self.version, self.rows = uuid.uuid4().hex, 0, {}

    def rebuild(self, *rows: dict[str, Any]) -> None:
        """Silver dropped and made anew."""
        self.drop()
        self.commit(*rows)

    def state(self) -> SilverState:
        """What silver says of its newest version."""
        return SilverState(
            table_uuid=self.table_uuid,
            snapshot_id=hash((self.table_uuid, self.version)),
            silver_version=self.version,
            position={},
            counts=RecordCounts(len(self.rows), 0, 0, 0),
            rows=len(self.rows),
            files=1,
            committed_at=datetime(2026, 2, 1, tzinfo=UTC),
            contract_versions=("1.0.0",),
        )

    def rows_after(self, silver_version: int) -> tuple[SilverState, Iterable[pa.RecordBatch]]:
        """The rows that are newer than that version, in batches, and the state they are of."""
        state = self.state()
        changed = [row for row in self.rows.values() if row["silver_version"] > silver_version]
        chunks = (changed[start : start + self.batch_rows] for start in range(0, len(changed), self.batch_rows))
        return state, (pa.RecordBatch.from_pylist(chunk) for chunk in chunks)
