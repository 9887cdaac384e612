"""Which rules are in use: those that the warehouse was given last, with who promoted them and when.

A promotion waits for the batch that is being scored; the next one, whoever scores it, uses the new rules. Until the
first one the rules file counts, which the fraud stream puts in when it starts.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psycopg
from psycopg.rows import class_row

from include.fraud.console import time_of
from include.fraud.rulebook import RulesError, load_rules, parse_rules, rules_path, rules_text
from include.fraud.rules import Rules
from include.marked_yaml import MarkedYaml
from include.sql import load_sql

SELF = "paylake"
"""Who promotes what the stream is started with."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Approval:
    """Somebody's yes: who, in which run of Airflow's DAG, and when."""

    by: str
    run: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Promotion:
    """A row of ``ops.rules_promotion``. ``approved_in`` and ``approved_at`` are None where nobody was asked."""

    number: int
    version: str
    content: str
    promoted_at: datetime
    promoted_by: str
    approved_in: str | None
    approved_at: datetime | None
    note: str | None

    def rules(self) -> Rules:
        """The rules that it put into use.

        Raises:
            RulesError: this version of Paylake does not understand them.
        """
        return parse_rules(self.content, f"rules {self.version} in the warehouse")


def promotions(conn: psycopg.Connection, most: int | None = None) -> list[Promotion]:
    """Every promotion, or so many; newest first: the first one is in use."""
    with conn.cursor(row_factory=class_row(Promotion)) as cursor:
        return cursor.execute(load_sql("rules/promotions"), {"most": most}).fetchall()


def rules_in_use(conn: psycopg.Connection) -> Rules:
    """The rules that are in use now; those of the file, as long as none were promoted.

    Raises:
        RulesError: this version of Paylake does not understand them, or the file cannot be read.
    """
    made = promotions(conn, 1)
    return made[0].rules() if made else load_rules()


def text_in_use(conn: psycopg.Connection) -> str:
    """The file that is in use now.

    Raises:
        RulesError: none was promoted, and the rules file cannot be read.
    """
    made = promotions(conn, 1)
    return made[0].content if made else rules_text(rules_path())


def says_the_same(one: str, other: str) -> bool:
    """Whether two rules files, each of them YAML, differ in comments and layout at most."""
    return bool(MarkedYaml(one).content == MarkedYaml(other).content)


def check_new(made: Sequence[Promotion], content: str, where: str) -> Rules:
    """Check a file that is to be promoted after ``made``; errors call it ``where``.

    Raises:
        RulesError: it makes no sense, or its version was promoted with other content. Comments and layout are none.
    """
    rules = parse_rules(content, where)
    for one in made:
        if one.version == rules.version and not says_the_same(one.content, content):
            raise RulesError(
                f"{where}: there is a version {one.version} with other content, promoted by {one.promoted_by} at"
                f" {time_of(one.promoted_at)}: give this one a version of its own"
            )
    return rules


def promote(
    conn: psycopg.Connection, content: str, approval: Approval, *, after: int, note: str | None = None
) -> Promotion:
    """Put rules into use that somebody approved when promotion number ``after`` (0: none) was in use.

    Those that are in use already are left as they are: to do it again changes nothing.

    Raises:
        RulesError: see ``check_new``; or others were promoted since, so that something else was approved.
    """
    with conn.transaction():
        made = _locked(conn)
        rules = check_new(made, content, "the rules to promote")
        if made and says_the_same(made[0].content, content):
            return made[0]
        if made and made[0].number != after:
            raise RulesError(
                f"{made[0].version} was promoted by {made[0].promoted_by} at {time_of(made[0].promoted_at)}, after"
                f" the approval of {rules.version} was asked for: ask for it again"
            )
        return _append(conn, rules.version, content, approval, note)


def put_in(conn: psycopg.Connection, path: Path) -> Promotion:
    """Put the rules file into use with which the stream starts, unless rules were approved; return what is in use.

    Raises:
        RulesError: see ``check_new``; or the file cannot be read.
    """
    content = rules_text(path)
    with conn.transaction():
        made = _locked(conn)
        if made and made[0].content == content:
            return made[0]
        if made and made[0].approved_at is not None:
            log.warning(
                "rules %s stay in use, which %s approved at %s; the file %s says something else: to use it,"
                " ./paylake rules promote %s",
                made[0].version,
                made[0].promoted_by,
                time_of(made[0].approved_at),
                path,
                path,
            )
            return made[0]
        return _append(conn, check_new(made, content, str(path)).version, content, None, None)


def _locked(conn: psycopg.Connection) -> list[Promotion]:
    """Every promotion, newest first; there is no other until the transaction ends, and no batch is scored."""
    conn.execute("SELECT FROM ops.scoring FOR UPDATE")
    return promotions(conn)


def _append(
    conn: psycopg.Connection, version: str, content: str, approval: Approval | None, note: str | None
) -> Promotion:
    values = {
        "version": version,
        "content": content,
        "by": approval.by if approval else SELF,
        "approved_in": approval.run if approval else None,
        "approved_at": approval.at if approval else None,
        "note": note,
    }
    with conn.cursor(row_factory=class_row(Promotion)) as cursor:
        stored = cursor.execute(load_sql("rules/append"), values).fetchone()
    assert stored is not None  # noqa: S101 - the statement returns the row that it wrote
    return stored
