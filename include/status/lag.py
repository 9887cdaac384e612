"""How far each layer is behind the one before it: in records, and in seconds.

| layer | behind | positions compared | age of the oldest that waits |
| --- | --- | --- | --- |
| bronze | Kafka | where ``read_committed`` readers of the topic end, end of bronze | Kafka's time of the first record |
| silver | bronze | end of bronze, position of silver's newest snapshot | when its bronze object was written |
| gold | silver | silver's version, the watermark | when that silver was committed |
| gold, by day | silver | silver's versions of days, those of `ops.daily_fraud_day` | the same |
| verdicts | bronze | end of bronze, the fraud stream's ledger | when its bronze object was written |

Records in Kafka and bronze are counted by offsets, from the first record that waits to the end. That is exact, unless
producers use transactions (or a topic is compacted): then there are offsets without records among them, and the number
is the most that can wait. Where only such offsets wait, none does.

What is asked costs a few questions per partition, whatever the history. Each function asks the layer itself before the
one it is behind: what comes in between is counted as waiting, and nothing is missed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import islice

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

from include.assets.registry import limit_of
from include.domains import DOMAINS, GOLD_DOMAINS, TRANSACTIONS, Domain
from include.fraud.ledger import reached
from include.ingest.stuck import stuck_partitions
from include.kafka.peek import Seen, first_records
from include.kafka.topics import UnknownTopicError, end_offsets, start_offsets, topic_id
from include.lake.bronze_log import BronzeLog
from include.lake.catalog import changed_count, silver_state
from include.lake.positions import Positions
from include.status.problems import Problem
from include.status.stores import KAFKA_SECONDS, Stores
from include.status.times import age, duration, records
from include.warehouse.daily_fraud import SilverDays, lagging_days, last_rebuilt
from include.warehouse.gold import read_watermark

_OBJECTS = 100
"""Bronze objects without a single record that are passed over in search of the first one that waits."""

_TRIES = 3
"""A topic may be made anew under the look at it."""


@dataclass(frozen=True, slots=True)
class Lag:
    """A layer's delay in one domain.

    ``records`` of the layer ``before`` wait for this one. ``seconds``: how long the oldest of them has waited; None
    when none waits, or nobody knows. ``limit_seconds``: above that they are late.
    """

    layer: str
    before: str
    domain: str
    records: int
    seconds: float | None
    limit_seconds: float

    @property
    def late(self) -> bool:
        """Whether something waits that should have moved on."""
        return self.records > 0 and self.seconds is not None and self.seconds > self.limit_seconds

    @property
    def sentence(self) -> str:
        """How far it is behind, for people."""
        since = "" if self.seconds is None else f", the oldest for {duration(self.seconds)}"
        limit = f"late after {duration(self.limit_seconds)}"
        return f"has yet to take in {records(self.records)} from {self.before}{since} ({limit})"

    def numbers(self) -> dict[str, float | int | None]:
        """Records and seconds, as the events of assets have them."""
        return {"records": self.records, "seconds": self.seconds}


@dataclass(frozen=True, slots=True)
class Delay:
    """What was found of a layer: its lag, and what stands in its way."""

    lag: Lag
    problems: tuple[Problem, ...] = ()


def bronze(stores: Stores, domain: Domain) -> Delay:
    """Bronze behind Kafka.

    Raises:
        include.kafka.topics.UnknownTopicError: there is no such topic.
        Whatever a client raises when its store does not answer, or has what it should not have.
    """
    for _ in range(_TRIES):
        live = topic_id(stores.admin, domain.topic, KAFKA_SECONDS)
        if live is None:
            break
        log = BronzeLog(stores.s3, domain)
        partitions = log.partitions(live)
        reached_to = {partition: log.end_offset(live, partition) for partition in partitions}
        starts = start_offsets(stores.admin, domain.topic, KAFKA_SECONDS)
        ends = end_offsets(stores.admin, domain.topic, KAFKA_SECONDS)
        if topic_id(stores.admin, domain.topic, KAFKA_SECONDS) == live:
            return _behind_kafka(stores, domain, live, reached_to, starts, ends)
    raise UnknownTopicError(f"there is no topic {domain.topic}")


def silver(stores: Stores, domain: Domain) -> Delay:
    """Silver behind bronze.

    Raises:
        Whatever a client raises when its store does not answer, or has what it should not have.
    """
    state = silver_state(stores.settings, domain)
    waiting, since = _behind_bronze(stores, domain, state.position if state else {})
    return Delay(_lag("silver", "bronze", domain, waiting, since))


def gold(stores: Stores, domain: Domain) -> Delay:
    """Gold behind silver; exact.

    Iceberg keeps the time of the newest snapshot only. When several wait, the age is that of gold's last load, which is
    at least the age of the oldest.

    Raises:
        FileNotFoundError: silver's newest snapshot was replaced again and again while it was counted.
        Whatever a client raises when its store does not answer, or has what it should not have.
    """
    retrying = Retrying(retry=retry_if_exception_type(FileNotFoundError), stop=stop_after_attempt(_TRIES), reraise=True)
    return Delay(retrying(_behind_silver, stores, domain))


def daily_fraud(stores: Stores) -> Delay:
    """The daily rollup behind silver: all records of the days count that have to be made anew.

    Iceberg keeps the time of the newest snapshot only. When several wait, the age is that of the newest rebuild.

    Raises:
        Whatever a client raises when its store does not answer, or has what it should not have.
    """
    with stores.warehouse() as connection:
        silver = SilverDays.read(stores.settings)
        days, rebuilt = lagging_days(connection, silver), last_rebuilt(connection)
    waiting, since = sum(silver.days[day].rows for day in days), None
    if silver.state is not None:
        several = any(silver.days[day].version < silver.state.silver_version for day in days)
        since = (rebuilt if several and rebuilt else silver.state.committed_at).timestamp()
    return Delay(_lag("gold", "silver", TRANSACTIONS, waiting, since))


def verdicts(stores: Stores) -> Delay:
    """The fraud stream behind bronze.

    Raises:
        Whatever a client raises when its store does not answer, or has what it should not have.
    """
    with stores.warehouse() as connection:
        position = reached(connection).positions
    waiting, since = _behind_bronze(stores, TRANSACTIONS, position)
    return Delay(_lag("verdicts", "bronze", TRANSACTIONS, waiting, since))


def _questions() -> Iterator[tuple[tuple[str, str], Callable[[Stores], Delay]]]:
    for domain in DOMAINS.values():
        yield ("bronze", domain.name), partial(bronze, domain=domain)
        yield ("silver", domain.name), partial(silver, domain=domain)
    for domain in GOLD_DOMAINS.values():
        yield ("gold", domain.name), partial(gold, domain=domain)
    yield ("gold", TRANSACTIONS.name), daily_fraud
    yield ("verdicts", TRANSACTIONS.name), verdicts


QUESTIONS: Mapping[tuple[str, str], Callable[[Stores], Delay]] = dict(_questions())
"""How each layer's delay is asked for, by layer and domain."""


def _behind_kafka(
    stores: Stores,
    domain: Domain,
    live: str,
    reached_to: Mapping[int, int],
    starts: Mapping[int, int],
    ends: Mapping[int, int],
) -> Delay:
    subject = f"bronze {domain.name}"
    problems: list[Problem] = []
    waiting: dict[int, int] = {}
    for partition, end in ends.items():
        known, start = reached_to.get(partition, 0), starts.get(partition, 0)
        if known > end:
            text = f"bronze has {domain.topic}/{partition} up to offset {known}, Kafka up to {end}: it has lost records"
            problems.append(Problem("beyond_end", subject, f"{text} (topic id {live})"))
        elif 0 < known < start:
            text = f"offsets {known} to {start - 1} of {domain.topic}/{partition} are gone from Kafka, never ingested"
            problems.append(Problem("gap", subject, f"{text}; bronze waits there, the DAG reset_topics goes over it"))
        if (first := max(known, start)) < end:
            waiting[partition] = first
    readable = {partition: first for partition, first in waiting.items() if first == reached_to.get(partition, 0)}
    seen = first_records(stores.kafka, domain.topic, waiting)
    count, times = 0, []
    for partition, first in waiting.items():
        peek = seen.get(partition, Seen(first, None))
        if isinstance(peek, Seen):
            count += max(0, ends[partition] - peek.offset)
            times += [peek.timestamp_ms / 1000] if peek.timestamp_ms is not None else []
        elif peek is not None:
            count += ends[partition] - first
            text = f"{domain.topic}/{partition} cannot be read at offset {first}: {peek.str()}"
            problems.append(Problem("unreadable", subject, text))
            readable.pop(partition, None)
    if readable:
        # What this look can read and the ingestion does not: it says why.
        stuck = stuck_partitions(stores.kafka, domain, KAFKA_SECONDS)
        told = (one for one in stuck if readable.get(one.partition) == one.offset)
        problems += [Problem("stuck", subject, str(one)) for one in told]
    return Delay(_lag("bronze", "kafka", domain, count, min(times, default=None)), tuple(problems))


def _behind_silver(stores: Stores, domain: Domain) -> Lag:
    with stores.warehouse() as connection:
        watermark = read_watermark(connection, domain)
    state = silver_state(stores.settings, domain)
    if state is None or state.snapshot_id == watermark.snapshot_id:
        return _lag("gold", "silver", domain, 0, None)
    anew = watermark.table_uuid != state.table_uuid or state.silver_version < watermark.silver_version
    # A snapshot may hold no new row: all its records were older than what is there, or were refused.
    rows = state.rows if anew else changed_count(stores.settings, domain, watermark.silver_version)
    several = not anew and state.silver_version > watermark.silver_version + 1
    since = watermark.loaded_at if several and watermark.loaded_at else state.committed_at
    return _lag("gold", "silver", domain, rows, since.timestamp())


def _behind_bronze(stores: Stores, domain: Domain, position: Positions) -> tuple[int, float | None]:
    """How many records of bronze lie after ``position``, and when (Unix time) the first one's object was written."""
    log = BronzeLog(stores.s3, domain)
    count = 0
    times: list[float] = []
    for topic, partitions in log.end_positions().items():
        for partition, end in partitions.items():
            start = position.get(topic, {}).get(partition, 0)
            if start < end:
                first, written = _first_waiting(log, topic, partition, start, end)
                count += end - first
                times += [written.timestamp()] if written is not None else []
    return count, min(times, default=None)


def _first_waiting(log: BronzeLog, topic: str, partition: int, start: int, end: int) -> tuple[int, datetime | None]:
    """The first record in [start, end) and when its object was written; ``end`` and None when there are only gaps."""
    reached_to, written = start, None
    for listed in islice(log.objects_from(topic, partition, start), _OBJECTS):
        index = log.index(topic, partition, listed.start)
        found = next((offset for offset in index.offsets if offset >= start), None)
        if found is not None:
            return found, listed.last_modified
        reached_to, written = index.end, listed.last_modified
        if reached_to >= end:
            return end, None
    return max(start, reached_to), written


def _lag(layer: str, before: str, domain: Domain, count: int, since: float | None) -> Lag:
    """A lag of so many records, the oldest of which has waited since then (Unix time)."""
    waited = age(since) if since is not None and count else None
    return Lag(layer, before, domain.name, count, waited, limit_of(layer, domain))
