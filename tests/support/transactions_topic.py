"""The topic of transactions, and what a test produced to it."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from include.domains import TRANSACTIONS
from include.kafka.topics import TOPICS, end_offsets, topic_id
from include.lake.bronze_log import BronzeLog
from include.lake.s3 import s3_client
from include.settings import Settings
from tests.support.books import assert_balanced, begin_anew, judge_all
from tests.support.bronze import values_by_partition
from tests.support.kafka import Kafka
from tests.support.records import transactions


class TransactionsTopic:
    """The topic of transactions on servers of faults, empty at first, and what was produced to it."""

    def __init__(self, settings: Settings) -> None:
        begin_anew(settings, TRANSACTIONS)
        self.settings = settings
        self.kafka = Kafka(settings)
        self.s3 = s3_client(settings)
        self.log = BronzeLog(self.s3, TRANSACTIONS)
        self.produced: dict[str, dict[int, list[bytes | None]]] = {}
        """By topic id and partition, in order."""

    @property
    def id(self) -> str:
        """The topic's id now."""
        found = topic_id(self.kafka.admin, TRANSACTIONS.topic)
        assert found is not None
        return found

    def produce(self, count: int, padding: int = 0) -> None:
        """So many records to each partition, with times of an hour, so that a large flush makes several objects."""
        ours = self.produced.setdefault(self.id, defaultdict(list))
        for partition in range(TOPICS[TRANSACTIONS.topic].partitions):
            values = transactions(count, padding)
            self.kafka.produce(TRANSACTIONS.topic, values, partition, spread_ms=3_600_000)
            ours[partition] += values

    def in_bronze(self) -> bool:
        """Whether bronze ends where Kafka does."""
        return self.log.end_positions().get(self.id) == end_offsets(self.kafka.admin, TRANSACTIONS.topic)

    def assert_each_record_is_in_bronze_once(self) -> None:
        """To the byte, in order, without a gap; and the fraud stream and ``verify`` are content with it."""
        assert {topic_id: values_by_partition(self.log, topic_id) for topic_id in self.produced} == self.produced
        judge_all(self.settings)
        assert_balanced(self.settings, TRANSACTIONS)


@contextmanager
def steadily(send: Callable[[bytes], None], per_second: int, padding: int = 0) -> Iterator[list[bytes]]:
    """Send so many transactions each second, from a thread, while the block runs; yields what was sent so far."""
    sent: list[bytes] = []
    stop = threading.Event()

    def send_on() -> None:
        while not stop.wait(0.05):  # the pace
            for value in transactions(per_second // 20, padding):
                sent.append(value)
                send(value)

    with ThreadPoolExecutor(1) as pool:
        end = pool.submit(send_on)
        try:
            yield sent
        finally:
            stop.set()
        end.result()
