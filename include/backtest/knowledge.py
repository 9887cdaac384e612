"""What was known at each moment of the past besides the transactions: of merchants, and on lists."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import groupby

import psycopg

from include.backtest.scored import Stored
from include.fraud.list_changes import changes_of
from include.fraud.lists import Lists
from include.fraud.rules import Rules
from include.fraud.verdicts import Merchant
from include.sql import load_sql


class Knowledge:
    """As it was, for rules that may be others than those of then."""

    def __init__(self, conn: psycopg.Connection, rules: Rules) -> None:
        self._lists = rules.all_lists
        self._since: defaultdict[str, list[datetime]] = defaultdict(list)
        self._known: defaultdict[str, list[Merchant]] = defaultdict(list)
        for merchant_id, since, *fields in conn.execute(load_sql("backtest/merchants")):
            self._since[merchant_id].append(since)
            self._known[merchant_id].append(Merchant(*fields))
        self._changes = changes_of(conn, rules.all_lists)
        self._ends = sorted(one.until for one in self._changes if one.until is not None)

    def merchant(self, merchant_id: str, moment: datetime) -> Merchant:
        """What the rules knew of a merchant then; of before anything was noted, the first that was."""
        known = self._known.get(merchant_id)
        if known is None:
            return Merchant()
        return known[max(0, bisect_right(self._since[merchant_id], moment) - 1)]

    def stretches(self, stored: Sequence[Stored]) -> Iterator[tuple[int, int, Lists]]:
        """Where verdicts, in the order of scoring, begin and end in which no list changed, and what these held."""
        known = [(one.lists_version, bisect_right(self._ends, one.scored_at)) for one in stored]
        start = 0
        for (version, _), alike in groupby(known):
            end = start + len(list(alike))
            yield start, end, Lists.at(self._lists, self._changes, version, stored[start].scored_at)
            start = end
