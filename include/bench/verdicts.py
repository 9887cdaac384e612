"""A backlog of transactions: judged, beside the same query without a sink, and verified."""

from __future__ import annotations

import time

from psycopg import Connection

from include.bench.figures import Figure, Peer, by_turns
from include.bench.stream import CHECKPOINT, begin_anew, forget_checkpoint
from include.bench.submit import JOBS, OWN_JOBS, SECONDS, SPARKS_OWN_JVM, BenchError, rate_of, running
from include.bench.traffic import RECORDS, produce, take_in
from include.domains import TRANSACTIONS
from include.postgres import connect
from include.settings import Settings
from include.verify import verify as verify_books

_DONE = """
    SELECT coalesce(sum(records), 0)::bigint, coalesce(sum(records) FILTER (WHERE batch_id > 0), 0)::bigint,
        coalesce(extract(epoch FROM max(committed_at) - min(committed_at)), 0)::float
    FROM ops.stream_batch
"""
_LOOK_SECONDS = 0.2


def verdicts(settings: Settings, rounds: int) -> list[Figure]:
    """Verdicts a second, from the commit of the first micro-batch to that of the last."""
    records = backlog(settings)
    measured = by_turns(
        rounds,
        {
            "judged": lambda: judge_backlog(settings, records),
            "no sink": lambda: _without_sink(settings),
            "jdbc": lambda: rate_of(OWN_JOBS / "jdbc_append.py", options=SPARKS_OWN_JVM),
        },
    )
    peers = (
        Peer("the same query with a sink that does nothing", measured["no sink"], least_ratio=0.6),
        Peer("Spark's JDBC append of the rows alone", measured["jdbc"]),
    )
    return [Figure("verdicts from a backlog", "1/s", measured["judged"], 30_000, peers=peers)]


def verify(settings: Settings, rounds: int) -> list[Figure]:
    """Records a second for which it is proven, from all stores, that each is in one place."""
    records = backlog(settings)
    judge_backlog(settings, records)

    def measure() -> float:
        began = time.monotonic()
        report = verify_books(settings, domains=[TRANSACTIONS], wait_seconds=0)
        if not report.balanced:
            raise BenchError(report.problems())
        return report.records / (time.monotonic() - began)

    return [Figure("records verified", "1/s", by_turns(rounds, {"verified": measure})["verified"], 200_000)]


def backlog(settings: Settings) -> int:
    """Have transactions in bronze that nobody has judged; how many."""
    produce(settings, RECORDS)
    return take_in(settings, TRANSACTIONS).records


def judge_backlog(settings: Settings, records: int) -> float:
    """Have the stream judge all that is in bronze, as if it never had."""
    with connect(settings.warehouse_dsn, "paylake bench") as conn:
        begin_anew(settings, conn)
        with running(JOBS / "fraud_stream.py", "--checkpoint", CHECKPOINT) as job:
            deadline = time.monotonic() + SECONDS
            while (done := _done(conn))[0] < records and job.poll() is None:
                if time.monotonic() > deadline:
                    raise BenchError(f"after {SECONDS:.0f} s {done[0]} of {records} transactions had a place")
                time.sleep(_LOOK_SECONDS)
    if not done[2]:
        raise BenchError("all came in one micro-batch, so there is no time between two")
    return done[1] / done[2]


def _done(conn: Connection) -> tuple[int, int, float]:
    """Records that have their place, those of them that came after the first batch, and the seconds these took."""
    (row,) = conn.execute(_DONE).fetchall()
    return row


def _without_sink(settings: Settings) -> float:
    forget_checkpoint(settings)
    return rate_of(OWN_JOBS / "no_sink.py", "--checkpoint", CHECKPOINT, "--look-seconds", "0")
