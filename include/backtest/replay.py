"""Rules asked again of what was scored, in the order of scoring."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import NamedTuple

import psycopg
import pyarrow as pa

from include.backtest.knowledge import Knowledge
from include.backtest.scored import Chunk, chunks
from include.fraud.features import Member
from include.fraud.history import History
from include.fraud.marked import Marked
from include.fraud.marks import micros_of, read_marks
from include.fraud.recall import recall
from include.fraud.rules import Rules
from include.fraud.verdicts import Verdicts, judge, merchant_columns


class Judged(NamedTuple):
    """A chunk of what was scored, the features of its transactions by name, and what the rules say of each."""

    chunk: Chunk
    features: dict[str, pa.Array]
    verdicts: Verdicts


class Replay:
    """A replay of the verdicts of a period, over two sessions of the warehouse's: one reads, the other remembers.

    ``reader`` is the process that reads bronze.
    """

    def __init__(self, reader: Executor, reading: psycopg.Connection, conn: psycopg.Connection, rules: Rules) -> None:
        self._reader = reader
        self._reading = reading
        self._conn = conn
        self._rules = rules
        self._history = History(rules.features, self._recall)
        self._marked = Marked(rules.features, partial(read_marks, conn))
        self._before = datetime.now(UTC)

    def judged(self, since: datetime, until: datetime) -> Iterator[Judged]:
        """What the rules say of each transaction that got its verdict from ``since`` until before ``until``."""
        for chunk in chunks(self._reading, self._reader, since, until):
            self._before = chunk.began
            yield self._judge(chunk)

    @cached_property
    def _knowledge(self) -> Knowledge:
        """Read after the verdicts, while others score: it may know of later changes, but of none too few."""
        return Knowledge(self._conn, self._rules)

    def _recall(self, member: Member, sinces: Mapping[str, int]) -> Iterator[pa.Table]:
        return recall(self._conn, self._before, member, sinces)

    def _judge(self, chunk: Chunk) -> Judged:
        transactions = chunk.transactions
        ids = transactions["merchant_id"].to_pylist()
        known = map(self._knowledge.merchant, ids, (one.scored_at for one in chunk.stored))
        passed = self._history.pass_by(chunk.remembered)
        features = {name: values.filter(chunk.is_read) for name, values in passed.items()}
        features |= self._marked.told(transactions, [micros_of(one.scored_at) for one in chunk.stored])
        columns = {name: transactions[name] for name in transactions.column_names} | merchant_columns(known) | features
        parts = [
            judge(
                self._rules, {name: one.slice(start, end - start) for name, one in columns.items()}, end - start, lists
            )
            for start, end, lists in self._knowledge.stretches(chunk.stored)
        ]
        return Judged(chunk, features, _together(parts))


def _together(parts: list[Verdicts]) -> Verdicts:
    whole = Verdicts([], [], [], [])
    for part in parts:
        rows = len(whole.scores)
        whole.not_counted.extend(one._replace(row=one.row + rows) for one in part.not_counted)
        whole.fraud.extend(part.fraud)
        whole.scores.extend(part.scores)
        whole.evidence.extend(part.evidence)
    return whole
