"""What does not have to grow with what is there: steps that repeat for ever, with little and with much history."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

from confluent_kafka.admin import AdminClient

from include.bench.apart import apart, follow
from include.bench.figures import Figure, Peer
from include.bench.growth_silver import silver_increment
from include.bench.history import PARTITION, History
from include.bench.stream import CHECKPOINT, Watch, begin_anew
from include.bench.submit import JOBS, running
from include.domains import TRANSACTIONS
from include.fraud.ledger import reached
from include.ingest import Limits
from include.kafka.topics import end_offsets, topic_id
from include.postgres import connect
from include.settings import Settings

FEW, MANY = 100, 50_000
"""Objects of one partition when measuring begins; each step that is measured adds one."""
REPEATS = 20
"""A round is the median of so many steps of one kind."""
_MOST_RATIO = 1.3
_AT_ONCE = Limits(flush_records=1)
"""An ingestion that writes each record as soon as it has it, so that what is measured is not its waiting."""
_LOOK_SECONDS = 0.005


def growth(settings: Settings, rounds: int) -> list[Figure]:
    """Each step with much history beside the same one with little."""
    return [*_steps(settings, rounds), *silver_increment(settings, rounds)]


def _steps(settings: Settings, rounds: int) -> list[Figure]:
    """The steps of the stream, of the ingestion, and of those who look whether there is something to do."""
    with History(settings) as history, connect(settings.warehouse_dsn, "paylake bench") as conn:
        begin_anew(settings, conn)
        # Without a pause between micro-batches.
        with running(JOBS / "fraud_stream.py", "--checkpoint", CHECKPOINT, "--look-seconds", "0") as job:
            watch = Watch(conn, job, _LOOK_SECONDS)

            def await_judged() -> None:
                watch.until(lambda: _judged(history, reached(conn).positions) >= history.end, "verdicts on all")

            def micro_batch() -> float:
                (made,) = history.make(1)
                began = time.monotonic()
                history.write([made])
                await_judged()
                return time.monotonic() - began

            def measured() -> dict[str, tuple[float, ...]]:
                found = {"micro-batch": _rounds(rounds, micro_batch)}
                with apart(follow, settings, _AT_ONCE):
                    # Its first record waits for it to start.
                    _flush(history)
                    found["flush into bronze"] = _rounds(rounds, lambda: _flush(history))
                await_judged()
                found["look of a trigger at Kafka"] = _rounds(rounds, lambda: _look_at_kafka(history.admin))
                found["look at where bronze ends"] = _rounds(rounds, lambda: _look_at_bronze(history))
                return found

            # One by one: with the first ones the JVM compiles what it runs, which is not what is to be compared.
            for _ in range(FEW):
                micro_batch()
            few = measured()
            history.write(history.make(MANY - history.objects))
            await_judged()
            many = measured()
    return [_figure(step, many[step], few[step]) for step in few]


def _figure(step: str, many: tuple[float, ...], few: tuple[float, ...]) -> Figure:
    peer = Peer(f"with {FEW:,} objects", few, most_ratio=_MOST_RATIO)
    return Figure(f"one {step} with {MANY:,} objects", "s", many, lower_is_better=True, peers=(peer,))


def _rounds(rounds: int, step: Callable[[], float]) -> tuple[float, ...]:
    return tuple(statistics.median(step() for _ in range(REPEATS)) for _ in range(rounds))


def _judged(history: History, positions: Mapping[str, Mapping[int, int]]) -> int:
    return positions.get(history.topic_id, {}).get(PARTITION, 0)


def _flush(history: History) -> float:
    """Seconds from when Kafka has a record until bronze has the object with it."""
    start = history.end
    history.make(1)
    began = time.monotonic()
    while not history.has(start):
        time.sleep(_LOOK_SECONDS)
    history.end, history.objects = start + 1, history.objects + 1
    return time.monotonic() - began


def _look_at_kafka(admin: AdminClient) -> float:
    began = time.monotonic()
    topic_id(admin, TRANSACTIONS.topic)
    end_offsets(admin, TRANSACTIONS.topic)
    return time.monotonic() - began


def _look_at_bronze(history: History) -> float:
    """What a silver task asks before it starts Spark: is there more than silver has?"""
    began = time.monotonic()
    history.log.end_positions({history.topic_id: {PARTITION: history.end}})
    return time.monotonic() - began
