"""The rules in use: what they say, and what they did."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

import psycopg
from psycopg.rows import class_row

from include.fraud.promotion import Promotion, promotions
from include.fraud.rulebook import parse_rules, rules_path, rules_text
from include.fraud.rulefile import Mode, RuleShape
from include.fraud.rules import Rules, plain
from include.marked_yaml import MarkedYaml
from include.sql import load_sql

RECENT = 200
"""Of each partition so many of the newest records tell the stream's latency."""
NEWEST = 2_000
"""Of the alerts of a period, and of each rule's hits, so many of the newest are looked at one by one."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as its file says it; values of parameters as text."""

    id: str
    mode: Mode
    says: str
    when: str
    parameters: dict[str, str]
    weight: int


@dataclass(frozen=True, slots=True)
class Made:
    """A promotion without its file, see `Promotion`."""

    number: int
    version: str
    promoted_at: datetime
    promoted_by: str
    approved_in: str | None
    approved_at: datetime | None
    note: str | None

    @classmethod
    def of(cls, one: Promotion) -> Made:
        """Leave the file away."""
        return cls(
            one.number, one.version, one.promoted_at, one.promoted_by, one.approved_in, one.approved_at, one.note
        )


@dataclass(frozen=True, slots=True)
class InUse:
    """The rules in use: the file, what it says, and its promotion; None as long as none was put in."""

    text: str
    rules: Rules
    made: Made | None

    @property
    def ids(self) -> list[str]:
        """Its rules, in order."""
        return [rule.id for rule in self.rules.rules]

    def told(self) -> list[Rule]:
        """Its rules as the file says them."""
        shapes = [RuleShape.model_validate(raw) for raw in MarkedYaml(self.text).content["rules"]]
        return [
            Rule(
                one.id,
                one.mode,
                one.says,
                one.when,
                {name: plain(value) for name, value in one.parameters.items()},
                one.weight,
            )
            for one in shapes
        ]


@dataclass(frozen=True, slots=True)
class Fired:
    """How often a rule fired in a period: ``counted`` where it is a reason of a fraud, or why it did not count.

    All but ``fired`` is of the `NEWEST` of them. ``precision`` is the share of confirmed among the marked, None where
    none is marked. The seconds are those from a payment's own time to its verdict, known of frauds.
    """

    rule: str
    mode: str
    fired: int
    confirmed: int
    false_alarms: int
    precision: float | None
    p50_seconds: float | None
    p95_seconds: float | None


@dataclass(frozen=True, slots=True)
class Latency:
    """From a payment's own time to its verdict, over the newest `RECENT` records of each partition; None without any.

    A payment that is sent late, or whose batch waits, takes longer.
    """

    verdicts: int
    p50_seconds: float | None
    p95_seconds: float | None


@dataclass(frozen=True, slots=True)
class Watched:
    """A rule that only watches, beside the verdicts of the others, by its `NEWEST` hits.

    ``on_genuine`` are alerts that it would add.
    """

    rule: str
    rules_version: str
    hits: int
    on_fraud: int
    on_genuine: int
    confirmed: int
    false_alarms: int
    first_hit_at: datetime
    last_hit_at: datetime


@dataclass(frozen=True, slots=True)
class NewestHit:
    """A transaction on which a rule fired without making it fraud, and the verdict it has all the same."""

    txn_id: str
    scored_at: datetime
    mode: str
    rules_version: str
    message: str
    verdict: str | None


@dataclass(frozen=True, slots=True)
class Version:
    """A promotion with its file, and what is another in it than in the one before, as a unified diff."""

    made: Made
    content: str
    difference: str


def in_use(conn: psycopg.Connection) -> InUse:
    """The rules that are in use now.

    Raises:
        RulesError: this version of Paylake does not understand them, or none were promoted and the file cannot be read.
    """
    newest = promotions(conn, 1)
    if not newest:
        text = rules_text(rules_path())
        return InUse(text, _parsed(text, str(rules_path())), None)
    (one,) = newest
    return InUse(one.content, _parsed(one.content, f"rules {one.version} in the warehouse"), Made.of(one))


@lru_cache(maxsize=4)
def _parsed(text: str, where: str) -> Rules:
    # To compile a file takes many times as long as all that is asked of the warehouse.
    return parse_rules(text, where)


def figures(conn: psycopg.Connection, rules: Collection[str], since: datetime, until: datetime) -> list[Fired]:
    """What these rules did with the verdicts given from ``since`` until before ``until``."""
    with conn.cursor(row_factory=class_row(Fired)) as cursor:
        asked = {"rules": list(rules), "since": since, "until": until, "newest": NEWEST}
        return cursor.execute(load_sql("desk/rule_figures"), asked).fetchall()


def latency(conn: psycopg.Connection) -> Latency:
    """How long the stream takes now."""
    with conn.cursor(row_factory=class_row(Latency)) as cursor:
        found = cursor.execute(load_sql("desk/stream_latency"), {"of_partition": RECENT}).fetchone()
    assert found is not None  # noqa: S101 - sums have a row
    return found


def shadow(conn: psycopg.Connection, rules: Collection[str], since: datetime, until: datetime) -> list[Watched]:
    """What these rules would have added while they only watched, by the version of the rules, the newest first."""
    with conn.cursor(row_factory=class_row(Watched)) as cursor:
        asked = {"rules": list(rules), "since": since, "until": until, "newest": NEWEST}
        return cursor.execute(load_sql("desk/shadow"), asked).fetchall()


def newest_hits(conn: psycopg.Connection, rule: str, limit: int) -> list[NewestHit]:
    """On what a rule fired without making it fraud, the newest first."""
    with conn.cursor(row_factory=class_row(NewestHit)) as cursor:
        return cursor.execute(load_sql("desk/newest_hits"), {"rule": rule, "limit": limit}).fetchall()


def version(conn: psycopg.Connection, number: int) -> Version | None:
    """The promotion of this number; None if there is none."""
    with conn.cursor(row_factory=class_row(Promotion)) as cursor:
        found = cursor.execute(load_sql("desk/promotion"), {"number": number}).fetchall()
    if not found or found[0].number != number:
        return None
    one, *before = found
    names = before[0].version if before else "nothing", one.version
    lines = difflib.unified_diff(
        before[0].content.splitlines() if before else [], one.content.splitlines(), *names, lineterm=""
    )
    return Version(Made.of(one), one.content, "\n".join(lines))
