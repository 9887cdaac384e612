"""What other rules would have said, beside what was said."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import psycopg

from include.backtest.replay import Judged
from include.fraud.rulefile import Mode
from include.fraud.rules import Rules
from include.sql import load_sql

BEGINNING = datetime(1, 1, 1, tzinfo=UTC)
"""Before everything that was scored."""
EXAMPLES = 3
"""So many examples of each kind of change are kept."""


@dataclass(slots=True)
class Alerts:
    """Alerts: how many, of those the stored verdicts have none for (``new``), and stored ones that are none any more.

    Of those that have a label, ``on_fraud`` and ``on_genuine`` are right and wrong. A rule's alerts are the frauds that
    name it; of one that only watches, what it fires on.
    """

    fired: int = 0
    stored: int = 0
    new: int = 0
    vanished: int = 0
    on_fraud: int = 0
    on_genuine: int = 0

    @property
    def precision(self) -> float | None:
        """The share of frauds among the alerts that have a label; None where none has."""
        labelled = self.on_fraud + self.on_genuine
        return self.on_fraud / labelled if labelled else None


@dataclass(frozen=True, slots=True)
class Example:
    """A transaction on which a rule fires now, or no more: ``change`` is new or vanished, ``message`` says why."""

    rule: str
    change: str
    txn_id: str
    message: str | None


@dataclass(slots=True)
class BackTest:
    """A back-test of rules over the verdicts given from ``since`` until before ``until``.

    ``different`` are verdicts given by this version of the rules that it does not give again: none, unless somebody
    changed a verdict, or the rules without giving them a new version. ``unread`` are verdicts whose record today's
    contract refuses. ``frauds`` are those known by labels, ``caught`` and ``caught_before`` those that get and got an
    alert.
    """

    rules_version: str
    since: datetime
    until: datetime
    transactions: int = 0
    same_version: int = 0
    different: int = 0
    unread: int = 0
    frauds: int = 0
    caught: int = 0
    caught_before: int = 0
    alerts: Alerts = field(default_factory=Alerts)
    rules: dict[str, Alerts] = field(default_factory=dict)
    days: dict[date, tuple[int, int]] = field(default_factory=dict)
    """Stored alerts and alerts now, by the day (UTC) of the transactions."""
    examples: list[Example] = field(default_factory=list)

    @property
    def alerts_a_day(self) -> float | None:
        """Alerts now, over the days that have transactions."""
        return self.alerts.fired / len(self.days) if self.days else None

    @property
    def recall(self) -> float | None:
        """The share of the known frauds that get an alert; None where none is known."""
        return self.caught / self.frauds if self.frauds else None

    def as_json(self) -> dict[str, Any]:
        """All of it as a JSON object; moments and days as text."""
        whole = asdict(self)
        whole |= {"since": self.since.isoformat(), "until": self.until.isoformat(), "recall": self.recall}
        whole["alerts"]["precision"] = self.alerts.precision
        for rule, alerts in self.rules.items():
            whole["rules"][rule]["precision"] = alerts.precision
        whole["days"] = {day.isoformat(): counts for day, counts in sorted(self.days.items())}
        return whole | {"alerts_a_day": self.alerts_a_day}


class Comparison:
    """Adds chunks up; `finished` looks at labels at the end, and has the whole."""

    def __init__(self, rules: Rules, since: datetime, until: datetime) -> None:
        self._report = BackTest(rules.version, since, until)
        self._report.rules = {rule.id: Alerts() for rule in rules.rules if rule.mode is not Mode.OFF}
        self._alerts: defaultdict[str | None, set[str]] = defaultdict(set)
        self._before: set[str] = set()
        self._kept: Counter[tuple[str, str]] = Counter()

    @property
    def transactions(self) -> int:
        """How many have been compared."""
        return self._report.transactions

    def add(self, judged: Judged) -> None:
        """Compare the verdicts of a chunk with the stored ones."""
        report, verdicts = self._report, judged.verdicts
        stored = judged.chunk.stored
        report.transactions += len(stored)
        report.unread += len(judged.chunk.unread)
        watched: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
        for hit in verdicts.not_counted:
            if hit.mode == Mode.SHADOW:
                watched[hit.row].append(hit.evidence)
        days = judged.chunk.transactions["date"].to_pylist()
        for row, one in enumerate(stored):
            fraud, evidence = verdicts.fraud[row], verdicts.evidence[row]
            before = one.reasons or []
            reasons = [fired["rule"] for fired in evidence]
            if one.rules_version == report.rules_version:
                report.same_version += 1
                report.different += (reasons, verdicts.scores[row]) != (before, one.score)
            was, day = bool(before), days[row]
            counts = report.days.get(day, (0, 0))
            report.days[day] = (counts[0] + was, counts[1] + fraud)
            if fraud or was or row in watched:
                self._count(one.txn_id, fraud, was, [*evidence, *watched[row]], before)

    def _count(
        self, txn_id: str, fraud: bool, was: bool, fired: Iterable[dict[str, Any]], before: Collection[str]
    ) -> None:
        alerts = self._report.alerts
        alerts.fired += fraud
        alerts.stored += was
        alerts.new += fraud and not was
        alerts.vanished += was and not fraud
        if fraud:
            self._alerts[None].add(txn_id)
        if was:
            self._before.add(txn_id)
        said = {one["rule"]: one["message"] for one in fired}
        for rule in dict.fromkeys([*said, *before]):
            of_rule = self._report.rules.setdefault(rule, Alerts())
            now, then = rule in said, rule in before
            of_rule.fired += now
            of_rule.stored += then
            of_rule.new += now and not then
            of_rule.vanished += then and not now
            if now:
                self._alerts[rule].add(txn_id)
            if now != then:
                self._keep(Example(rule, "new" if now else "vanished", txn_id, said.get(rule)))

    def _keep(self, example: Example) -> None:
        kind = example.rule, example.change
        if self._kept[kind] < EXAMPLES:
            self._kept[kind] += 1
            self._report.examples.append(example)

    def finished(self, conn: psycopg.Connection) -> BackTest:
        """The whole, with what the session's table ``label`` knows."""
        report = self._report
        everybody = list(self._before.union(*self._alerts.values()))
        known: dict[str, str | None] = dict(
            conn.execute(load_sql("backtest/known_labels"), {"txn_ids": everybody}).fetchall()
        )
        for rule, alerts in [(None, report.alerts), *report.rules.items()]:
            truths = [known[txn_id] is not None for txn_id in self._alerts[rule] if txn_id in known]
            alerts.on_fraud, alerts.on_genuine = sum(truths), len(truths) - sum(truths)
        period = {"since": report.since, "until": report.until}
        report.frauds = _frauds(conn, period)
        report.caught = report.alerts.on_fraud
        report.caught_before = sum(known.get(txn_id) is not None for txn_id in self._before)
        return report


def _frauds(conn: psycopg.Connection, period: dict[str, datetime]) -> int:
    row = conn.execute(load_sql("backtest/count_frauds"), period).fetchone()
    assert row is not None  # noqa: S101 - a count has a row
    count: int = row[0]
    return count
