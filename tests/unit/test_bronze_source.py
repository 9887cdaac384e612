"""The data source's parts that need neither Spark nor S3."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from include.spark.bronze_batches import BatchPlanner
from include.spark.bronze_source import BronzeOptionError, BronzeStreamReader, OffsetRange, _slices, offset_ranges
from include.spark.session import jdbc_url


def test_only_partitions_that_moved_are_read() -> None:
    start = {"a": {0: 5, 1: 7}}
    end = {"a": {0: 5, 1: 9}, "b": {0: 3}}
    assert offset_ranges(start, end) == [OffsetRange("a", 1, 7, 9), OffsetRange("b", 0, 0, 3)]


def test_a_range_backwards_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot read from 5 back to 4"):
        offset_ranges({"a": {0: 5}}, {"a": {0: 4}})


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"domain": "nothing"},
        {"domain": "profiles", "maxrecordsperbatch": "0"},
        {"domain": "profiles", "maxbytesperbatch": "-1"},
    ],
)
def test_wrong_options_are_named(options: dict[str, str]) -> None:
    with pytest.raises(BronzeOptionError, match="option "):
        BronzeStreamReader(options)


def test_arrow_batches_are_bounded_in_rows_and_bytes() -> None:
    assert list(_slices([])) == []
    assert list(_slices([b"x"] * 12_000)) == [(0, 5_000), (5_000, 10_000), (10_000, 12_000)]
    mebibyte = b"x" * 2**20
    assert list(_slices([mebibyte] * 20)) == [(0, 16), (16, 20)]
    assert list(_slices([None, mebibyte * 40, b""])) == [(0, 1), (1, 2), (2, 3)]


@pytest.mark.parametrize(
    ("dsn", "url", "credentials"),
    [
        (
            "postgresql://me:p%40ss@db:5433/house",
            "jdbc:postgresql://db:5433/house?currentSchema=s",
            {"user": "me", "password": "p@ss"},
        ),
        ("host=::1 dbname=w sslmode=require", "jdbc:postgresql://[::1]:5432/w?currentSchema=s&sslmode=require", {}),
    ],
)
def test_libpq_addresses_become_jdbc_addresses(dsn: str, url: str, credentials: dict[str, str]) -> None:
    assert jdbc_url(dsn, "s") == (url, credentials)


@pytest.mark.parametrize("dsn", ["postgresql:///house", "host=/tmp dbname=house", "host=db"])
def test_addresses_that_jdbc_cannot_reach_are_refused(dsn: str) -> None:
    with pytest.raises(ValueError, match="TCP host"):
        jdbc_url(dsn, "s")


RECORD_BYTES = 10


class CountingLog:
    """Stands for many topics, each with one partition that ends where ``ends`` says; counts what is asked."""

    def __init__(self, ends: dict[str, int]) -> None:
        self.ends = ends
        self.asked: list[str] = []

    def topic_ids(self) -> list[str]:
        return sorted(self.ends)

    def partitions(self, topic_id: str) -> list[int]:
        self.asked.append(topic_id)
        return [0]

    def aligned(self, topic_id: str, partition: int, offset: int) -> int:
        return offset

    def step(self, topic_id: str, partition: int, start: int, limit: int, max_bytes: int) -> int:
        return max(start, min(limit, start + max_bytes // RECORD_BYTES, self.ends[topic_id]))

    follow = step


def planner(log: Any, max_records: int = 100, max_bytes: int = 10**9) -> BatchPlanner:
    return BatchPlanner(log, {}, max_records, max_bytes)


def test_topics_without_news_take_turns_and_nothing_of_them_is_missed() -> None:
    log = CountingLog({f"old{number}": 0 for number in range(10)} | {"new": 0})
    plan = planner(log)
    for _ in range(40):
        log.ends["new"] += 1
        plan.next_end()
    log.asked.clear()
    for _ in range(10):
        log.ends["new"] += 1
        plan.next_end()
    assert log.asked.count("new") == 10
    assert sorted(set(log.asked) - {"new"}) == sorted(f"old{number}" for number in range(10))
    assert len(log.asked) == 20
    log.ends["old3"] = 7
    assert any(plan.next_end()["old3"].get(0) == 7 for _ in range(10))


def test_steps_are_bounded_and_never_go_back() -> None:
    log = CountingLog({"a": 250, "b": 30})
    plan = planner(log)
    steps = [plan.next_end() for _ in range(6)]
    assert steps[0] == {"a": {0: 50}, "b": {0: 30}}
    assert steps[-1] == {"a": {0: 250}, "b": {0: 30}}
    for earlier, later in pairwise(steps):
        assert all(later[topic_id][0] >= earlier[topic_id][0] for topic_id in earlier)


def test_steps_are_bounded_in_bytes_too() -> None:
    plan = planner(CountingLog({"a": 250, "b": 30}), max_records=10**6, max_bytes=8 * RECORD_BYTES)
    assert plan.next_end() == {"a": {0: 4}, "b": {0: 4}}
    assert plan.next_end() == {"a": {0: 8}, "b": {0: 8}}


def test_looks_follow_the_load() -> None:
    """A busy topic is looked at ten times a second, a quiet one each second; what is asked between costs nothing."""
    log: Any = CountingLog({"a": 0})
    now = 0.0
    plan = BatchPlanner(log, {}, 10**6, 10**9, look_seconds=1.0, clock=lambda: now)

    def looks(seconds: int, per_second: int) -> int:
        nonlocal now
        log.asked.clear()
        for _ in range(seconds * 100):
            now += 0.01
            log.ends["a"] += per_second // 100
            plan.next_end()
        return len(log.asked)

    looks(3, 0)
    assert 9 <= looks(10, 0) <= 11
    looks(1, 1_000)
    assert 90 <= looks(10, 1_000) <= 110
    looks(3, 0)
    assert plan.next_end() == {"a": {0: log.ends["a"]}}
    assert 9 <= looks(10, 0) <= 11
