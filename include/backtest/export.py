"""Features of each transaction at the moment it was scored, with its label, for whoever trains on them elsewhere."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq

from include.backtest.replay import Judged
from include.fraud.computed import arrow_type
from include.fraud.rules import Rules
from include.sql import load_sql

_COLUMNS = ("txn_id", "user_id", "merchant_id", "amount", "channel", "location", "timestamp")


class Export:
    """A Parquet file with a row for each transaction; it gets its name when all of it is written, or not at all.

    Columns: the transaction's own, ``scored_at``, ``score``, ``alert``, each feature of the rules, ``is_fraud`` and
    ``scenario`` by the session's table ``label`` (null: it has none).
    """

    def __init__(self, path: Path, conn: psycopg.Connection, rules: Rules) -> None:
        self._path = path
        self._unfinished = path.with_name(f".{path.name}.unfinished")
        self._conn = conn
        self._rules = rules
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is None:
            return
        self._writer.close()
        if error is None:
            os.replace(self._unfinished, self._path)
        else:
            self._unfinished.unlink()

    def add(self, judged: Judged) -> None:
        """Write a chunk, if any of it could be read."""
        if not judged.chunk.stored:
            return
        transactions, verdicts = judged.chunk.transactions, judged.verdicts
        txn_ids = transactions["txn_id"].to_pylist()
        known: dict[str, str | None] = dict(
            self._conn.execute(load_sql("backtest/known_labels"), {"txn_ids": txn_ids}).fetchall()
        )
        is_fraud = [known[one] is not None if one in known else None for one in txn_ids]
        columns = {
            **{name: transactions[name] for name in _COLUMNS},
            "scored_at": pa.array([one.scored_at for one in judged.chunk.stored], pa.timestamp("us", "UTC")),
            "score": pa.array(verdicts.scores, pa.int32()),
            "alert": pa.array(verdicts.fraud, pa.bool_()),
            **{one.name: judged.features[one.name].cast(arrow_type(one)) for one in self._rules.features},
            "is_fraud": pa.array(is_fraud, pa.bool_()),
            "scenario": pa.array([known.get(one) for one in txn_ids], pa.string()),
        }
        table = pa.table(columns)
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._unfinished, table.schema, compression="zstd")
        self._writer.write_table(table)
