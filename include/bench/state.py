"""Where users may be remembered: in the driver, over the verdict tables; in rows; in Spark's state store."""

from __future__ import annotations

import gc
import json
import os
import pickle
import time
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from include.bench.figures import Figure, Peer, by_turns
from include.bench.rulebooks import FEATURES
from include.bench.submit import OWN_JOBS, SPARKS_OWN_JVM, BenchError, result_of
from include.fraud.features import Feature
from include.fraud.history import DEFAULT_REMEMBERED, RECALLED, History
from include.fraud.recall import recall
from include.fraud.rulebook import RULES_FILE, load_rules
from include.fraud.units import decimals
from include.postgres import connect
from include.settings import Settings
from include.warehouse.schema import apply_schema

USERS = 2_000
PAYMENTS = 50
"""Of each user, before the batches that are measured."""
SIZES = (1_000, 10_000)
MILLION = 1_000_000
_START = datetime(2026, 1, 1, tzinfo=UTC)
_DAYS = 30
PIECE = 10_000
"""So many of them are made at once."""
_MERCHANTS = 500
_ROWS = """
    DROP TABLE IF EXISTS bench_state;
    CREATE TABLE bench_state (member text, id text, state bytea NOT NULL, PRIMARY KEY (member, id))
"""
_READ = "SELECT id, state FROM bench_state WHERE member = %s AND id = ANY(%s)"
_WRITE = """
    INSERT INTO bench_state SELECT %s, * FROM unnest(%s::text[], %s::bytea[])
    ON CONFLICT (member, id) DO UPDATE SET state = EXCLUDED.state
"""
_STAGE = """
    CREATE TEMPORARY TABLE bench_payment (txn_id text, user_id text, amount numeric, merchant_id text, channel text,
        location text, "timestamp" timestamptz) ON COMMIT DROP
"""
_STORE = """
    INSERT INTO genuinetransaction
    SELECT *, "timestamp"::date, ("timestamp" AT TIME ZONE 'UTC')::time, extract(month FROM "timestamp"),
        extract(year FROM "timestamp"), 'bench', 0, row_number() OVER (), 'bench', now(), 0, 0
    FROM bench_payment
"""
_SIZES = """
    SELECT pg_total_relation_size('genuinetransaction'),
        pg_relation_size('genuinetransaction_user_idx') + pg_relation_size('genuinetransaction_merchant_idx')
"""


class Rows(History):
    """The peer: the memory of each user and merchant is a row, read and written within the batch's transaction."""

    def __init__(self, features: tuple[Feature, ...], conn: psycopg.Connection) -> None:
        super().__init__(features, lambda _member, _sinces: ())
        self._conn = conn
        conn.execute(_ROWS)

    def pass_by(self, table: pa.Table) -> dict[str, pa.Array]:
        """The same features; what was remembered is read before, and written afterwards."""
        self.forget()
        with self._conn.transaction():
            for member, memories in self._memories.items():
                ids = table[member.column].unique().to_pylist()
                for name, state in self._conn.execute(_READ, (member, ids), binary=True):
                    memories[name] = pickle.loads(state)  # noqa: S301 - written below
            found = super().pass_by(table)
            for member, memories in self._memories.items():
                states = [pickle.dumps(one, pickle.HIGHEST_PROTOCOL) for one in memories.values()]
                self._conn.execute(_WRITE, (member, list(memories), states))
        return found


def state(settings: Settings, rounds: int) -> list[Figure]:
    """A batch's features with each kind of memory, and the bytes of what is remembered.

    The driver's memory writes nothing of its own, because the verdicts are stored anyway; the others commit.
    """
    features = tuple(Feature.model_validate({"name": name, **one}) for name, one in FEATURES.items())
    made = payments()
    history = [next(made) for _ in range(USERS * PAYMENTS // PIECE)]
    batches = {size: [next(made).slice(0, size) for _ in range(rounds + 1)] for size in SIZES}
    with connect(settings.warehouse_dsn, "paylake bench") as conn, TemporaryDirectory() as folder:
        apply_schema(conn)
        for piece in history:
            _store(conn, piece)
        conn.execute("VACUUM ANALYZE genuinetransaction")
        kinds = {
            "all users known": History(features, lambda _member, _sinces: ()),
            "no user known": History(features, partial(recall, conn, datetime.now(UTC) + timedelta(days=1))),
            "rows": Rows(features, conn),
        }
        remembered = _bytes_of(kinds["all users known"], history)
        in_use = _bytes_of(History(load_rules(RULES_FILE).features, lambda _member, _sinces: ()), history)
        for piece in history:
            kinds["rows"].pass_by(piece)
        (table_bytes,) = conn.execute("SELECT pg_total_relation_size('bench_state')").fetchone() or (0,)
        tables, indexes = conn.execute(_SIZES).fetchone() or (0, 0)
        measured = {size: by_turns(rounds, _runs(kinds, batches[size])) for size in SIZES}
        spark = _in_spark(Path(folder), history, batches)
    figures = [_batch_figure(size, measured[size], spark["ms"][str(size)][-rounds:]) for size in SIZES]
    memory, rows, store = remembered / USERS, table_bytes / USERS, spark["bytes"] / USERS
    return figures + _byte_figures(in_use / USERS, memory, rows, store, tables, indexes)


def _batch_figure(size: int, measured: dict[str, tuple[float, ...]], spark: list[float]) -> Figure:
    peers = (
        Peer("no user known: recalled from the verdict tables", measured["no user known"]),
        Peer("rows in PostgreSQL", measured["rows"]),
        Peer("Spark's state store, without merchants, and no feature made of the sums", tuple(spark)),
    )
    name = f"12 features of {size:,} transactions from memory, all users known"
    return Figure(name, "ms", measured["all users known"], lower_is_better=True, peers=peers)


def _byte_figures(in_use: float, memory: float, rows: float, spark: float, tables: int, indexes: int) -> list[Figure]:
    count = USERS * PAYMENTS
    peers = (
        Peer("the same with the rules in use", (in_use,)),
        Peer("a row in PostgreSQL", (rows,)),
        Peer("Spark's state store", (spark,)),
    )
    of_all = (
        Peer("the same with the rules in use", (DEFAULT_REMEMBERED * in_use / 1e9,)),
        Peer("rows in PostgreSQL", (MILLION * rows / 1e9,)),
        Peer("Spark's state store", (MILLION * spark / 1e9,)),
        Peer("the verdicts of their payments", (MILLION * PAYMENTS * tables / count / 1e9,)),
        Peer("the two indexes of these by which they are recalled", (MILLION * PAYMENTS * indexes / count / 1e9,)),
    )
    held = f"1 million such users: memory of {DEFAULT_REMEMBERED:,}, who are held"
    return [
        Figure(f"a user of {PAYMENTS} payments in memory, 12 features", "bytes", (memory,), peers=peers),
        Figure(held, "GB", (DEFAULT_REMEMBERED * memory / 1e9,), peers=of_all),
    ]


def _runs(kinds: dict[str, History], batches: list[pa.Table]) -> dict[str, Callable[[], float]]:
    """Milliseconds of a batch, the same for each kind; one batch has been passed before, to warm up."""

    def run(history: History, forgets: bool, left: Iterator[pa.Table]) -> float:
        if forgets:
            history.forget()
        batch = next(left)
        # In the stream's driver it is looked for seldom, see decisions.md.
        gc.disable()
        began = time.monotonic()
        history.pass_by(batch)
        spent = 1000 * (time.monotonic() - began)
        gc.enable()
        return spent

    runs: dict[str, Callable[[], float]] = {
        name: partial(run, one, name == "no user known", iter(batches)) for name, one in kinds.items()
    }
    for one in runs.values():
        one()
    return runs


def _bytes_of(history: History, pieces: list[pa.Table]) -> int:
    """What it has in memory when these have passed."""
    history.pass_by(pieces[0].slice(0, 1))  # reads where cities are
    gc.collect()
    tracemalloc.start()
    for piece in pieces:
        history.pass_by(piece)
    gc.collect()
    traced, _most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return traced


def _in_spark(folder: Path, history: list[pa.Table], batches: dict[int, list[pa.Table]]) -> dict[str, Any]:
    """Milliseconds of each batch by its size, and the bytes of the store's files."""
    tables = [*history, *(batch for of_size in batches.values() for batch in of_size)]
    for number, table in enumerate(tables):
        path = folder / f"{number:04}.parquet"
        pq.write_table(table, path)
        os.utime(path, (number, number))  # the order in which they are read
    found: dict[str, Any] = json.loads(result_of(OWN_JOBS / "state_store.py", str(folder), options=SPARKS_OWN_JVM))
    counts = [table.num_rows for table in tables]
    if [rows for rows, _ms in found["batches"]] != counts:
        raise BenchError(f"Spark's batches are of {found['batches']}, not of {counts}")
    ms = [ms for _rows, ms in found["batches"]][len(history) :]
    of_size = {str(size): [ms.pop(0) for _ in some] for size, some in batches.items()}
    return {"ms": of_size, "bytes": found["bytes"]}


def _store(conn: psycopg.Connection, piece: pa.Table) -> None:
    """Have them among the verdicts."""
    written = BytesIO()
    csv.write_csv(piece, written, csv.WriteOptions(include_header=False))
    with conn.transaction(), conn.cursor() as cursor:
        cursor.execute(_STAGE)
        with cursor.copy("COPY bench_payment FROM STDIN (FORMAT csv)") as copy:
            copy.write(written.getvalue())
        cursor.execute(_STORE)


def payments() -> Iterator[pa.Table]:
    """Payments of all users, each at another time; most are at a user's own place."""
    rng = np.random.default_rng(42)
    cities = np.array(["London", "Paris", "Tokyo", "Porto", "Lagos"])
    step = _DAYS * 86_400_000_000 // (USERS * PAYMENTS)
    for start in range(0, 1 << 40, PIECE):
        numbers = np.arange(start, start + PIECE)
        users = rng.integers(0, USERS, PIECE)
        places = np.where(rng.random(PIECE) < 0.95, users, rng.integers(0, len(cities), PIECE)) % len(cities)
        columns = [
            [f"T-bench-{number}" for number in numbers],
            [f"U{user}" for user in users],
            decimals(rng.integers(1, 3_000_000, PIECE).tolist()).cast(pa.decimal128(19, 4)),
            [f"M{merchant}" for merchant in rng.integers(0, _MERCHANTS, PIECE)],
            np.array(["Online", "POS", "ATM"])[rng.integers(0, 3, PIECE)].tolist(),
            cities[places].tolist(),
            pa.array(numbers * step + int(_START.timestamp()) * 1_000_000, pa.timestamp("us", "UTC")),
        ]
        arrays = [
            pa.array(one, field.type) if isinstance(one, list) else one
            for one, field in zip(columns, RECALLED, strict=True)
        ]
        yield pa.Table.from_arrays(arrays, schema=RECALLED)
