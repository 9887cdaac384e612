"""The part of a verification that is alike for every domain: Kafka against bronze, bronze against its places."""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from functools import partial
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np

from include.domains import Domain
from include.ingest.stuck import stuck_partitions
from include.kafka.clients import admin_client
from include.kafka.topics import UnknownTopicError, topic_id
from include.kafka.waiting import open_transactions
from include.lake.bronze_log import BrokenChainError, BronzeLog, ObjectContent
from include.lake.catalog import ForeignSnapshotError, SilverState, silver_state
from include.lake.objects import CorruptObjectError
from include.lake.positions import Positions
from include.settings import Settings
from include.status.times import duration
from include.status.waiting import waiting_behind
from include.verify.bronze_objects import (
    BronzePartition,
    Folder,
    foreign_objects,
    hiding_objects,
    list_folder,
    read_partition,
)
from include.verify.kafka_log import FixedTopic, KafkaPartition, TopicChangedError, fix_end, read_topic
from include.verify.offsets import (
    Offsets,
    Partition,
    below,
    contained,
    missing_from,
    ranges,
    ranges_text,
)
from include.verify.places import Placed, Places
from include.verify.report import SHOWN, Books, DomainReport, Finding, kept, listed

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

log = logging.getLogger(__name__)

NO_END = 1 << 62
"""Above every offset."""

_POLL_SECONDS = 0.5
_ANSWER_SECONDS = 30.0

T = TypeVar("T")

Look: TypeAlias = Callable[[Partition, Placed, ObjectContent], None]
"""What is done with each object of bronze, given its partition and the places of that partition's records."""

Stores: TypeAlias = tuple[Future[Folder], Future[dict[Partition, KafkaPartition]]]
"""The names in bronze at one moment, and what Kafka holds from then on."""


class DomainCheck(ABC):
    """The verification of one domain, up to the end of its topic at the moment it was made."""

    def __init__(
        self, settings: Settings, domain: Domain, s3: S3Client, kafka: Mapping[str, Any], topic: FixedTopic | None
    ) -> None:
        self.settings = settings
        self.domain = domain
        self.s3 = s3
        self.kafka = kafka
        self.topic = topic
        self.bronze = BronzeLog(s3, domain)
        self.report = DomainReport(domain.name)
        self._stuck: dict[int, int] = {}

    def fix_again(self) -> None:
        """Take a new end, after the topic was made anew."""
        self.topic = fix_end(self.kafka, self.domain)

    def await_caught_up(self, deadline: float) -> None:
        """Wait until all layers have got to the fixed end, or until ``deadline``; what lags then becomes a finding.

        A partition that the ingestion says is stuck is not waited for.

        Raises:
            TopicChangedError: the topic was deleted or made anew meanwhile.
        """
        admin = admin_client(self.kafka)
        self._stuck = {one.partition: one.offset for one in stuck_partitions(self.kafka, self.domain, _ANSWER_SECONDS)}
        try:
            while not self.caught_up() and time.monotonic() < deadline:
                if topic_id(admin, self.domain.topic) != (self.topic.topic_id if self.topic else None):
                    raise TopicChangedError(f"topic {self.domain.topic} was deleted or made anew")
                time.sleep(_POLL_SECONDS)
        except (BrokenChainError, CorruptObjectError, ForeignSnapshotError) as error:
            # Nothing will get beyond it; the check itself will name it.
            log.warning("%s: not waiting for the layers to catch up: %s", self.domain.name, error)

    @abstractmethod
    def caught_up(self) -> bool:
        """Whether all layers have taken in what is before the fixed end, as far as they themselves tell."""

    @abstractmethod
    def moved(self) -> bool:
        """Whether a layer has moved on during the check, so that its findings may be none."""

    def silver_moved(self, before: SilverState | None) -> bool:
        """Whether silver was published anew since its state was ``before``."""
        try:
            state = silver_state(self.settings, self.domain)
        except ForeignSnapshotError:
            return False  # found already, and nothing that passes
        return (state.snapshot_id if state else None) != (before.snapshot_id if before else None)

    def run(self) -> DomainReport:
        """Check everything.

        Raises:
            TopicChangedError: the topic was deleted or made anew meanwhile.
            FileNotFoundError: silver was rewritten meanwhile.
        """
        with ExitStack() as stack:
            return self._check(stack)

    @abstractmethod
    def _check(self, stack: ExitStack) -> DomainReport:
        """What ``run`` does; ``stack`` is for ``reading``, which goes on until everything is checked."""

    def _look_for_open_transactions(self) -> None:
        """Note what waits behind an open Kafka transaction; a transaction that is open for long is wrong.

        Records behind it were acknowledged to their producers, and are in no layer.

        Raises:
            TopicChangedError: the topic was deleted or made anew meanwhile.
        """
        if self.topic is None:
            return
        try:
            found = open_transactions(admin_client(self.kafka), self.kafka, self.domain.topic)
        except UnknownTopicError as error:
            raise TopicChangedError(f"topic {self.domain.topic} was deleted meanwhile") from error
        self.report.waiting = [waiting_behind(one, self.domain) for one in found]
        for one, waiting in zip(found, self.report.waiting, strict=True):
            if waiting.too_long:
                held = (one.offset, one.offset + one.records - 1)
                what = f"behind a transaction that is open for {duration(waiting.seconds)}, and so in no layer"
                self.find_ranges(waiting.reason, (self.topic.topic_id, one.partition), [held], what)

    def bronze_caught_up(self, reached: Positions) -> bool:
        """Whether bronze, which goes up to ``reached``, has got to the fixed end, or to where it is stuck."""
        if self.topic is None:
            return True
        ends = reached.get(self.topic.topic_id, {})
        return all(
            ends.get(partition, 0) >= min(end, self._stuck.get(partition, end))
            for partition, end in self.topic.ends.items()
        )

    def fixed_end(self, partition: Partition) -> int:
        """The fixed end of a partition of the topic; ``NO_END`` for one of a topic that is no more."""
        if self.topic is None or partition[0] != self.topic.topic_id:
            return NO_END
        return self.topic.ends.get(partition[1], 0)

    @contextmanager
    def reading(self) -> Iterator[Stores]:
        """List bronze, then read Kafka, while the block asks the other stores.

        A block that fails, or is interrupted, does not wait for either: they may take as long as their servers.
        """
        unwanted = Event()
        folder: Future[Folder] = Future()
        kafka: Future[dict[Partition, KafkaPartition]] = Future()

        def read() -> None:
            # One after the other: what is in bronze when it is listed can be read from Kafka after that.
            _fulfil(folder, partial(list_folder, self.s3, self.domain, unwanted))
            _fulfil(kafka, partial(self._read_topic, unwanted))

        # No executor: the interpreter waits for the threads of one before it ends.
        Thread(target=read, name="kafka-scan", daemon=True).start()
        try:
            yield folder, kafka
        finally:
            unwanted.set()

    def check_bronze(
        self, stores: Stores, places: Places, end_of: Callable[[Partition], int], taken: Positions, look: Look
    ) -> Iterator[tuple[Books, BronzePartition, Placed]]:
        """Read bronze, and compare it partition by partition with Kafka and with the places of its records.

        ``end_of`` says up to which offset a partition's records must have their place. ``taken`` is what the next layer
        has read of bronze, so it must be there. ``look`` is shown each object with the places of its partition.

        Raises:
            TopicChangedError: the topic was deleted or made anew meanwhile.
        """
        folder, kafka = stores[0].result(), stores[1]
        produced = {(self.topic.topic_id, number) for number in self.topic.ends} if self.topic else set()
        hiding = hiding_objects(self.s3, self.domain, {*folder.starts, *produced})
        folder.foreign += [name for name in hiding if name not in folder.foreign]
        read_before = {(topic, number): end for topic, ends in taken.items() for number, end in ends.items()}
        found: dict[Partition, tuple[Placed, BronzePartition]] = {}
        for partition in sorted({*folder.starts, *places.partitions(), *produced, *read_before}):
            end = end_of(partition)
            placed = places.of(partition).below(end)
            starts, cut = folder.starts.get(partition, []), max(end, self.fixed_end(partition))
            seen = partial(look, partition, placed)
            found[partition] = placed, read_partition(self.s3, self.domain, partition, starts, cut, seen)
        live = kafka.result()
        self._look_for_open_transactions()
        self.report.findings += foreign_objects(self.domain, folder)
        for partition, (placed, read) in found.items():
            end, fixed = end_of(partition), self.fixed_end(partition)
            self.report.findings += read.findings
            # What came after the fixed end was not looked at.
            if read.covered < (known := min(read_before.get(partition, 0), max(end, fixed))):
                lost = [(read.covered, known - 1)]
                self.find_ranges("bronze_lost", partition, lost, "read from bronze before, and gone from there")
            books = Books(self.domain.name, *partition, min(end, read.covered), objects=read.objects)
            if partition in live:
                self._compare(partition, live[partition], fixed, read)
                books.produced = live[partition].offsets.size
            offsets, nulls = below(read.offsets, end), below(read.nulls, end)
            books.bronze, books.tombstones = offsets.size, nulls.size
            self._check_places(partition, offsets, nulls, placed)
            self.report.books.append(books)
            yield books, read, placed

    def _read_topic(self, unwanted: Event) -> dict[Partition, KafkaPartition]:
        if self.topic is None:
            if fix_end(self.kafka, self.domain) is not None:
                raise TopicChangedError(f"topic {self.domain.topic} was made meanwhile")
            return {}
        found = read_topic(self.kafka, self.domain, self.topic, unwanted)
        return {(self.topic.topic_id, number): partition for number, partition in found.items()}

    def find(self, check: str, partition: Partition, offsets: Offsets, what: str) -> None:
        """Note what is wrong with these offsets, if there are any."""
        self.find_ranges(check, partition, ranges(offsets), what)

    def find_ranges(self, check: str, partition: Partition, wrong: list[tuple[int, int]], what: str) -> None:
        """The same for ranges of offsets, given as pairs of first and last."""
        if not wrong:
            return
        self.report.findings.append(
            Finding(
                check=check,
                domain=self.domain.name,
                message=f"{self.domain.name} {partition[0]}/{partition[1]}, {ranges_text(wrong)}: {what}",
                count=sum(last - first + 1 for first, last in wrong),
                topic_id=partition[0],
                partition=partition[1],
                ranges=tuple(wrong[:SHOWN]),
            )
        )

    def find_ids(self, check: str, ids: Sequence[str], what: str) -> None:
        """Note what is wrong with these ids, if there are any."""
        if ids:
            text = f"{self.domain.name} {listed(ids)}: {what}"
            self.report.findings.append(Finding(check, self.domain.name, text, len(ids), ids=kept(ids)))

    def _compare(self, partition: Partition, live: KafkaPartition, fixed: int, read: BronzePartition) -> None:
        """Kafka against bronze, up to the fixed end and as far back as Kafka still goes."""
        reached = min(read.covered, fixed)
        if 0 < reached < live.start:
            lost = [(reached, live.start - 1)]
            self.find_ranges("lost_in_kafka", partition, lost, "gone from Kafka, and never in bronze")
        waiting = live.offsets[live.offsets >= reached]
        self.find("bronze_behind", partition, missing_from(waiting, read.offsets), "not in bronze yet")
        legible = self._check_unreadable(partition, live, fixed, read)
        known = below(live.offsets, reached)
        self.find("not_in_bronze", partition, missing_from(known, read.offsets), "in Kafka but not in bronze")
        theirs = legible[(legible >= live.start) & (legible < fixed)]
        self.find("not_in_kafka", partition, missing_from(theirs, live.offsets), "in bronze but not in Kafka")
        both = contained(live.offsets, read.offsets)
        ours = read.checksums[np.searchsorted(read.offsets, live.offsets[both])]
        differing = live.offsets[both][ours != live.checksums[both]]
        self.find("other_bytes", partition, differing, "other bytes in bronze than in Kafka")

    def _check_unreadable(
        self, partition: Partition, live: KafkaPartition, fixed: int, read: BronzePartition
    ) -> Offsets:
        """Name what Kafka has and cannot be read, unless bronze has it; returns the other offsets of bronze.

        Bronze has it where it was read once, or where somebody went over it, of which a note is left.
        """
        others = read.offsets
        for found in live.unreadable:
            last = fixed - 1 if found.last is None else min(found.last, fixed - 1)
            inside = (others >= found.first) & (others <= last)
            if last >= read.covered or not inside.any():
                what = f"cannot be read from Kafka: {found.error}"
                self.find_ranges("unreadable_in_kafka", partition, [(found.first, last)], what)
            others = others[~inside]
        return others

    def _check_places(self, partition: Partition, offsets: Offsets, nulls: Offsets, placed: Placed) -> None:
        doubled = placed.doubled()
        names = sorted({name for offset in doubled[:SHOWN].tolist() for name in placed.names_of(offset)})
        self.find("two_places", partition, doubled, f"in more than one place ({', '.join(names)})")
        every = placed.distinct()
        self.find("only_in_a_table", partition, missing_from(every, offsets), "in a table but not in bronze")
        self.find("tombstone_placed", partition, every[contained(every, nulls)], "a null value, and yet in a table")


def _fulfil(future: Future[T], ask: Callable[[], T]) -> None:
    """Give the future the answer, or the error."""
    try:
        future.set_result(ask())
    except BaseException as error:  # noqa: BLE001 - whoever waits for the answer raises it
        future.set_exception(error)
