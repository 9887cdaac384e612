"""Routes of cases: what waits, what one holds, and what an analyst does with it; also reports and snoozes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import psycopg
from fastapi import APIRouter, HTTPException, Query
from fastapi import Path as InPath
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from include.cases import reporting, work
from include.cases.work import LIVE, Alert, Case, Event, Mark, State
from include.cleaning.text import composed, forbidden_character, tidy
from include.fraud.list_changes import change_list
from include.fraud.lists import Entity, snooze_of
from include.fraud.promotion import rules_in_use
from paylake_desk.access import Who, may_write
from paylake_desk.warehouse import Warehouse

router = APIRouter(prefix="/api", tags=["cases"])

LONGEST_TEXT = 2_000


def _words(text: str) -> str:
    words = composed(tidy(text))
    if not words:
        raise ValueError("says nothing")
    if forbidden := forbidden_character(words):
        raise ValueError(f"holds the character {forbidden}")
    return words


Words = Annotated[str, Field(max_length=LONGEST_TEXT), AfterValidator(_words)]
"""A person's words, on one line."""
Number = Annotated[int, InPath(ge=1, le=2**63 - 1)]
Id = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00]+$")]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Marking(_Body):
    """What a case was, and why."""

    what: Mark
    note: Words | None = None


class Note(_Body):
    """Something to remember of a case."""

    note: Words


class Snooze(_Body):
    """For whom a rule shall sleep, until when (UTC), and why."""

    rule: Id
    entity: Entity
    value: Id
    until: datetime
    reason: Words


class Report(_Body):
    """Transactions without an alert that were fraud, and how one knows."""

    txn_ids: Annotated[list[Id], Field(min_length=1, max_length=1_000)]
    note: Words | None = None


class CaseFile(BaseModel):
    """A case with its transactions and its audit trail."""

    case: Case
    alerts: list[Alert]
    history: list[Event]


@router.get("/cases")
def list_cases(
    conn: Warehouse,
    state: Annotated[list[State] | None, Query(description="By default open and taken.")] = None,
    user_id: Annotated[str | None, Query(min_length=1, max_length=200, pattern=r"^[^\x00]+$")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Sequence[Case]:
    """Cases, the newest alert first."""
    return work.find_cases(conn, states=state or LIVE, user_id=user_id, limit=limit)


@router.get("/cases/{case_id}")
def show_case(conn: Warehouse, case_id: Number) -> CaseFile:
    """A case with its transactions and who did what with it."""
    _exists(conn, case_id)
    return CaseFile(
        case=work.find_case(conn, case_id), alerts=work.alerts_of(conn, case_id), history=work.history_of(conn, case_id)
    )


@router.post("/cases/{case_id}/take", dependencies=may_write)
def take(conn: Warehouse, case_id: Number, who: Who) -> CaseFile:
    """Say that one works on a case."""
    _exists(conn, case_id)
    work.take(conn, case_id, who)
    return show_case(conn, case_id)


@router.post("/cases/{case_id}/mark", dependencies=may_write)
def mark(conn: Warehouse, case_id: Number, who: Who, marking: Marking) -> CaseFile:
    """Say what a case was."""
    _exists(conn, case_id)
    work.mark(conn, case_id, marking.what, who, marking.note)
    return show_case(conn, case_id)


@router.post("/cases/{case_id}/notes", dependencies=may_write)
def note(conn: Warehouse, case_id: Number, who: Who, words: Note) -> CaseFile:
    """Write something into a case's audit trail."""
    _exists(conn, case_id)
    work.add_note(conn, case_id, who, words.note)
    return show_case(conn, case_id)


@router.post("/reports", dependencies=may_write)
def report(conn: Warehouse, who: Who, told: Report) -> dict[str, int]:
    """Say that transactions without an alert were fraud; gives the new case of each user."""
    return reporting.report(conn, told.txn_ids, who, told.note)


@router.post("/snoozes", dependencies=may_write)
def snooze(conn: Warehouse, who: Who, wanted: Snooze) -> dict[str, int]:
    """Let a rule sleep for a user or a merchant; gives the version of all lists."""
    name = snooze_of(wanted.rule, wanted.entity)
    if wanted.until.tzinfo is None:
        raise HTTPException(400, "until needs a time zone.")
    lists = rules_in_use(conn).all_lists
    changed = change_list(conn, lists, name, "add", wanted.value, reason=wanted.reason, by=who, until=wanted.until)
    return {"version": changed.version}


def _exists(conn: psycopg.Connection, case_id: int) -> None:
    if conn.execute("SELECT FROM public.cases WHERE case_id = %s", (case_id,)).fetchone() is None:
        raise HTTPException(404, f"There is no case {case_id}.")
