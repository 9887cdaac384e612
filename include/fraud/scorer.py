"""Scoring in the warehouse: serial, in an order that the verdicts tell, with what was known at that moment.

Each part of a batch takes the row of ``ops.scoring`` and with it the next moment, which is the ``scored_at`` of its
verdicts. So whoever scores, the stream or a redrive, sees every verdict that was given before, and no other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import psycopg
import pyarrow as pa
import pyarrow.compute as pc

from include.fraud.features import Member
from include.fraud.history import History
from include.fraud.list_changes import changes_of
from include.fraud.lists import Lists
from include.fraud.marked import Mark, Marked
from include.fraud.marks import micros_of, read_marks
from include.fraud.promotion import rules_in_use
from include.fraud.recall import recall
from include.fraud.rules import Rules
from include.fraud.verdicts import Merchant, Verdicts, judge, merchant_columns
from include.sql import load_sql


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment of scoring, and the version of the lists that counts then."""

    at: datetime
    lists_version: int


@dataclass(frozen=True, slots=True)
class _Known:
    """What lists hold from a version on, until a change of them ends (None: none does)."""

    version: int
    until: datetime | None
    lists: Lists

    def at(self, moment: Moment) -> bool:
        """Whether that is what they hold at a moment; moments only grow."""
        return self.version == moment.lists_version and (self.until is None or moment.at < self.until)


class Scorer:
    """Scores by the rules in use; whether these, and what it remembers, still hold is checked at each moment.

    One for each process, and used by one thread at a time.
    """

    def __init__(self) -> None:
        self.recalled = 0
        """How many transactions were read again to be remembered: by that a long recall shows that it moves."""
        self._conn: psycopg.Connection | None = None
        self._moment: Moment | None = None
        self._transaction = self._before = ""
        self._scored: list[pa.Table] = []
        self._promotion: int | None = None
        self._rules: Rules | None = None
        self._history = History((), self._recall)
        self._marked = Marked((), self._read_marks)
        self._lists_known: _Known | None = None

    @property
    def rules(self) -> Rules:
        """Those of the moment that was begun last."""
        if self._rules is None:
            raise RuntimeError("there are no rules before a moment was begun")
        return self._rules

    def undo(self) -> None:
        """Drop what is remembered of whom was scored last: the part of the caller's transaction does not come about."""
        if self._scored:
            self._history.forget(self._scored[-1])

    def lock(self, conn: psycopg.Connection) -> None:
        """Let nobody else score, or change a list, until the caller's transaction ends."""
        conn.execute("SELECT FROM ops.scoring FOR UPDATE")

    def next_moment(self, conn: psycopg.Connection) -> Moment:
        """Begin a part of a batch within the caller's transaction; nobody else scores until that ends.

        Raises:
            RulesError: this version of Paylake does not understand the rules that are in use.
        """
        row = conn.execute(load_sql("fraud/next_moment")).fetchone()
        assert row is not None  # noqa: S101 - the schema has put the row there
        at, lists_version, promotion, last, transaction = row
        if last == self._before:
            # The transaction in which this one scored was rolled back, and nobody else has scored since.
            for transactions in self._scored:
                self._history.forget(transactions)
        elif last != self._transaction:
            self._history.forget()
        if last != transaction:
            self._before, self._scored = last, []
        self._transaction = transaction
        if promotion != self._promotion:
            self._rules = rules_in_use(conn)
            self._promotion = promotion
            self._history = History(self._rules.features, self._recall)
            self._marked = Marked(self._rules.features, self._read_marks)
            self._lists_known = None
        self._conn, self._moment = conn, Moment(at, lists_version)
        return self._moment

    def score(self, transactions: pa.Table) -> Verdicts:
        """The verdicts on transactions that have none, in the order of scoring, at the moment that was begun last."""
        conn, moment = self._begun()
        merchants = _merchants_now(conn, moment, pc.unique(transactions["merchant_id"]).to_pylist())
        columns = {name: transactions[name] for name in transactions.column_names}
        columns |= merchant_columns(merchants[one] for one in transactions["merchant_id"].to_pylist())
        self._scored.append(transactions.select(["user_id", "merchant_id"]))
        columns |= self._history.pass_by(transactions)
        columns |= self._marked.told(transactions, [micros_of(moment.at)] * transactions.num_rows)
        return judge(self.rules, columns, transactions.num_rows, self._lists(conn, moment))

    def _begun(self) -> tuple[psycopg.Connection, Moment]:
        if self._conn is None or self._moment is None:
            raise RuntimeError("nothing is scored before a moment was begun")
        return self._conn, self._moment

    def _recall(self, member: Member, sinces: Mapping[str, int]) -> Iterator[pa.Table]:
        conn, moment = self._begun()
        for table in recall(conn, moment.at, member, sinces):
            self.recalled += table.num_rows
            yield table

    def _read_marks(self, member: Member, ids: Collection[str], since: int) -> list[Mark]:
        return read_marks(self._begun()[0], member, ids, since)

    def _lists(self, conn: psycopg.Connection, moment: Moment) -> Lists:
        known = self._lists_known
        if known is None or not known.at(moment):
            changes = changes_of(conn, self.rules.all_lists)
            ends = (one.until for one in changes if one.until is not None and one.until > moment.at)
            lists = Lists.at(self.rules.all_lists, changes, moment.lists_version, moment.at)
            known = self._lists_known = _Known(moment.lists_version, min(ends, default=None), lists)
        return known.lists


def _merchants_now(conn: psycopg.Connection, moment: Moment, merchant_ids: Sequence[str]) -> dict[str, Merchant]:
    """What MERCHANTS says of merchants; noted where it says something else than when they were scored last."""
    found: dict[str, Merchant] = {}
    changed: list[str] = []
    for merchant_id, *row in conn.execute(load_sql("fraud/select_merchants"), {"ids": merchant_ids}):
        now, known, before = Merchant(*row[:3]), row[3], Merchant(*row[4:])
        found[merchant_id] = now
        if not known or now != before:
            changed.append(merchant_id)
    if changed:
        columns = zip(*(found[one] for one in changed), strict=True)
        values = dict(zip(("risk_levels", "categories", "country_codes"), map(list, columns), strict=True))
        conn.execute(load_sql("fraud/note_merchants"), {**values, "merchant_ids": changed, "moment": moment.at})
    return found
