"""From the moment a transaction is made until a reader of the warehouse sees its verdict."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TypeAlias

from confluent_kafka.admin import AdminClient
from psycopg import Connection

from include.bench.apart import apart, follow, generate_at
from include.bench.figures import Figure
from include.bench.stream import CHECKPOINT, Watch, begin_anew
from include.bench.submit import JOBS, BenchError, running
from include.domains import TRANSACTIONS
from include.fraud.ledger import reached
from include.generators.traffic import new_run_id
from include.kafka.topics import end_offsets, topic_id
from include.postgres import connect
from include.settings import Settings

SECONDS = 300.0
WARM_UP_SECONDS = 30.0
"""Counted from the first verdict at a rate; until then a JVM starts, or backlog is made up for."""
Wanted: TypeAlias = Mapping[str, float | None]
"""Percentiles, such as p99, and how many seconds they may be."""
WANTED: Mapping[int, Wanted] = {1_000: {"p50": 0.6, "p99": 1.0}, 10_000: {"p50": None, "p99": 2.0}}
"""Seconds at most, by transactions a second."""
_LEAST_SHARE = 0.95
"""Of the transactions that a rate asks for so many have to be made, or the rate was another one."""

# When a transaction was made is the newest time among those made up to it: a cash machine tells whole seconds, and the
# earlier ones of a case of fraud are older than the moment at which they are sent. So none seems younger than it is.
_LATENCIES = """
    WITH reached AS (
        SELECT topic_id, partition::integer, array_agg(reached::bigint ORDER BY batch_id) AS ends,
            array_agg(moment ORDER BY batch_id) AS moments
        FROM ops.stream_batch
        JOIN unnest(%(batches)s::bigint[], %(seen)s::float[]) AS seen (batch_id, moment) USING (batch_id)
        CROSS JOIN jsonb_each(end_positions) AS topics (topic_id, partitions)
        CROSS JOIN jsonb_each_text(partitions) AS places (partition, reached)
        GROUP BY topic_id, partition
    ),
    judged AS (
        SELECT txn_id, "timestamp", bronze_topic_id, bronze_partition, bronze_offset FROM genuinetransaction
        UNION ALL
        SELECT txn_id, "timestamp", bronze_topic_id, bronze_partition, bronze_offset FROM fraudtransaction
    ),
    made AS (
        SELECT *, extract(epoch FROM max("timestamp") OVER (ORDER BY txn_id))::float AS made
        FROM judged
        WHERE starts_with(txn_id, %(run)s)
    )
    SELECT count(*),
        percentile_disc(%(shares)s::float[]) WITHIN GROUP (
            ORDER BY moments[width_bucket(bronze_offset, ends) + 1] - made
        )
    FROM made
    JOIN reached ON (topic_id, partition) = (bronze_topic_id, bronze_partition)
    WHERE made >= %(began)s AND made < %(ended)s
"""


def latency(settings: Settings, _rounds: int) -> list[Figure]:
    """Seconds until a verdict is committed and visible, at two rates; one round of five minutes at each of them."""
    return [figure for of_rate in waited(settings, WANTED, SECONDS) for figure in of_rate]


def waited(settings: Settings, wanted: Mapping[int, Wanted], seconds: float) -> list[list[Figure]]:
    """The figures of each rate, at which so many seconds are measured; ``wanted`` has its percentiles and limits."""
    with connect(settings.warehouse_dsn, "paylake bench") as conn, apart(follow, settings):
        begin_anew(settings, conn)
        with running(JOBS / "fraud_stream.py", "--checkpoint", CHECKPOINT) as job:
            watch = Watch(conn, job)
            return [_at(rate, limits, seconds, settings, conn, watch) for rate, limits in wanted.items()]


def _at(rate: int, wanted: Wanted, seconds: float, settings: Settings, conn: Connection, watch: Watch) -> list[Figure]:
    run_id, before = new_run_id(), len(watch.seen)
    with apart(generate_at, settings, rate, run_id):
        watch.until(lambda: len(watch.seen) > before, "a first verdict")
        began = time.time() + WARM_UP_SECONDS
        ended = began + seconds
        watch.until(lambda: time.time() > ended, "the end of the measurement")
    admin = AdminClient(settings.kafka_config)
    ends, current = end_offsets(admin, TRANSACTIONS.topic), topic_id(admin, TRANSACTIONS.topic)

    def all_judged() -> bool:
        done = reached(conn).positions.get(current or "", {})
        return all(done.get(partition, 0) >= end for partition, end in ends.items())

    watch.until(all_judged, f"verdicts on all that was made at {rate:,}/s")
    shares = [int(name.removeprefix("p")) / 100 for name in wanted]
    batches = {"batches": list(watch.seen), "seen": list(watch.seen.values()), "shares": shares}
    moments = {"run": f"T{run_id}-", "began": began, "ended": ended}
    ((count, percentiles),) = conn.execute(_LATENCIES, batches | moments).fetchall()
    if not count:
        raise BenchError(f"nothing was made at {rate:,}/s")
    made = Figure(f"transactions made and judged at {rate:,}/s", "1/s", (count / seconds,), _LEAST_SHARE * rate)
    latencies = [
        Figure(f"made → verdict visible, {rate:,}/s, {name}", "s", (latency,), limit, lower_is_better=True)
        for (name, limit), latency in zip(wanted.items(), percentiles, strict=True)
    ]
    return [*latencies, made]
