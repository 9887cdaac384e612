"""What people do with cases: find one, take it, note something, say what it was. Each change is in the audit trail."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, TypeAlias, get_args

import psycopg
from psycopg.rows import class_row

from include.sql import load_sql

Mark: TypeAlias = Literal["confirmed", "false_alarm"]
State: TypeAlias = Literal["open", "taken", "confirmed", "false_alarm"]
LIVE: tuple[State, ...] = ("open", "taken")
"""The states in which a case waits for somebody, and takes alerts in."""
MARKS: tuple[Mark, ...] = get_args(Mark)


class CaseError(ValueError):
    """There is no such case, or it is in no state for what was asked; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Case:
    """A case with its user, whose fields are None where he is not known, and the rules of its alerts.

    ``first_timestamp`` and ``last_timestamp`` are of its transactions, ``opened_at`` and ``last_alert_at`` of their
    scoring; ``amount`` is their sum, in the book currency.
    """

    case_id: int
    state: State
    assignee: str | None
    user_id: str
    user_name: str | None
    user_country_code: str | None
    user_status: str | None
    alerts: int
    amount: Decimal
    first_timestamp: datetime
    last_timestamp: datetime
    rules: list[str]
    opened_at: datetime
    last_alert_at: datetime
    marked_by: str | None
    marked_at: datetime | None


@dataclass(frozen=True, slots=True)
class Alert:
    """A transaction of a case; None is what a verdict said whose row is gone, and the evidence of what was no alert."""

    txn_id: str
    alerted_at: datetime
    timestamp: datetime | None
    amount: Decimal | None
    merchant_id: str | None
    merchant_name: str | None
    channel: str | None
    location: str | None
    evidence: list[dict[str, Any]] | None


@dataclass(frozen=True, slots=True)
class Event:
    """A line of a case's audit trail; ``what`` is opened, taken, marked or noted."""

    at: datetime
    who: str
    what: str
    from_state: State | None
    to_state: State
    note: str | None


def find_cases(
    conn: psycopg.Connection,
    *,
    case_id: int | None = None,
    states: Collection[State] | None = None,
    user_id: str | None = None,
    limit: int | None = None,
) -> list[Case]:
    """The cases of these states and this user (None: of any), newest alert first, at most ``limit``."""
    chosen = {
        "case_id": case_id,
        "states": None if states is None else list(states),
        "user_id": user_id,
        "limit": limit,
    }
    with conn.cursor(row_factory=class_row(Case)) as cursor:
        return cursor.execute(load_sql("cases/list_cases"), chosen).fetchall()


def find_case(conn: psycopg.Connection, case_id: int) -> Case:
    """One case.

    Raises:
        CaseError: there is none of this number.
    """
    found = find_cases(conn, case_id=case_id)
    if not found:
        raise _unknown(case_id)
    return found[0]


def alerts_of(conn: psycopg.Connection, case_id: int) -> list[Alert]:
    """The transactions of a case, by their own time."""
    with conn.cursor(row_factory=class_row(Alert)) as cursor:
        return cursor.execute(load_sql("cases/list_alerts"), {"case_id": case_id}).fetchall()


def history_of(conn: psycopg.Connection, case_id: int) -> list[Event]:
    """The audit trail of a case, oldest first."""
    with conn.cursor(row_factory=class_row(Event)) as cursor:
        return cursor.execute(load_sql("cases/list_events"), {"case_id": case_id}).fetchall()


def take(conn: psycopg.Connection, case_id: int, who: str) -> None:
    """Say that somebody works on a case, from now on he and not who took it before.

    Raises:
        CaseError: there is no such case, it is marked, or it is his already.
    """
    with conn.transaction():
        state, assignee = _lock(conn, case_id)
        if state not in LIVE:
            raise CaseError(f"case {case_id} is marked as {state} and can not be taken any more")
        if state == "taken" and assignee == who:
            raise CaseError(f"case {case_id} is taken by {who} already")
        _change_state(conn, case_id, "taken", who, "taken", None)


def mark(conn: psycopg.Connection, case_id: int, what: Mark, who: str, note: str | None = None) -> None:
    """Say what a case was, which closes it; a mark that was wrong is replaced by the other one.

    Raises:
        CaseError: there is no such case, or it has this mark already.
    """
    with conn.transaction():
        # Before the case is locked: who scores locks in this order, too.
        known_at = next_moment(conn)
        state, _ = _lock(conn, case_id)
        if state == what:
            raise CaseError(f"case {case_id} is marked as {what} already")
        close(conn, case_id, what, who, note, known_at)


def next_moment(conn: psycopg.Connection) -> datetime:
    """A moment among those of scoring, at which a mark becomes known; nobody scores until the transaction ends."""
    row = conn.execute(load_sql("cases/next_moment")).fetchone()
    assert row is not None  # noqa: S101 - the schema has put the row there
    moment: datetime = row[0]
    return moment


def close(conn: psycopg.Connection, case_id: int, what: Mark, who: str, note: str | None, known_at: datetime) -> None:
    """Give a case its mark, which scoring knows from ``known_at`` on, see `next_moment`."""
    _change_state(conn, case_id, what, who, "marked", note)
    conn.execute(load_sql("cases/note_marks"), {"case_id": case_id, "mark": what, "known_at": known_at})


def add_note(conn: psycopg.Connection, case_id: int, who: str, note: str) -> None:
    """Write something into the audit trail of a case, whatever state it is in.

    Raises:
        CaseError: there is no such case.
    """
    with conn.transaction():
        state, _ = _lock(conn, case_id)
        conn.execute(
            "INSERT INTO ops.case_event (case_id, who, what, from_state, to_state, note)"
            " VALUES (%s, %s, 'noted', %s, %s, %s)",
            (case_id, who, state, state, note),
        )


def _lock(conn: psycopg.Connection, case_id: int) -> tuple[State, str | None]:
    row = conn.execute(
        "SELECT state, assignee FROM public.cases WHERE case_id = %s FOR NO KEY UPDATE", (case_id,)
    ).fetchone()
    if row is None:
        raise _unknown(case_id)
    return row[0], row[1]


def _change_state(conn: psycopg.Connection, case_id: int, state: State, who: str, what: str, note: str | None) -> None:
    values = {"case_id": case_id, "state": state, "who": who, "what": what, "note": note}
    conn.execute(load_sql("cases/change_state"), values)


def _unknown(case_id: int) -> CaseError:
    return CaseError(f"there is no case {case_id}; ./paylake cases list --all shows them")
