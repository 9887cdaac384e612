"""Routes of rules: those in use and what they did, who promoted them, and the lists that they ask."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import psycopg
from fastapi import APIRouter, HTTPException, Path, Query
from pydantic import BaseModel, ConfigDict

from include.desk import lists as desk_lists
from include.desk import rules as desk_rules
from include.desk.lists import Listed, ListFile
from include.desk.rules import Fired, InUse, Latency, Made, NewestHit, Rule, Version, Watched
from include.fraud.list_changes import ListError, change_list, find_list
from include.fraud.list_changes import version as lists_version
from include.fraud.lists import Verb
from include.fraud.promotion import promotions
from paylake_desk.access import Who, may_write
from paylake_desk.cases import Id, Words
from paylake_desk.period import Within, utc
from paylake_desk.warehouse import Warehouse

router = APIRouter(prefix="/api", tags=["rules"])

RuleId = Annotated[str, Path(max_length=200, pattern=r"^[a-z][a-z0-9_]*$")]
ListName = Annotated[str, Path(max_length=300, pattern=r"^[^\x00]+$")]
Few = Annotated[int, Query(ge=1, le=100)]


class RulesTold(BaseModel):
    """The rules in use, and what they did in a period."""

    version: str
    made: Made | None
    alert_at: int
    since: datetime
    until: datetime
    rules: list[Rule]
    fired: list[Fired]
    latency: Latency


class RulesFile(BaseModel):
    """The whole file in use."""

    version: str
    text: str


class Lists(BaseModel):
    """The lists and the snoozes that are on; ``version`` is that of all of them."""

    version: int
    lists: list[Listed]


class ListChange(BaseModel):
    """What to put on a list, or take off; what is put there may end."""

    model_config = ConfigDict(extra="forbid")

    change: Verb
    value: Id
    reason: Words
    until: datetime | None = None


@router.get("/rules")
def show_rules(conn: Warehouse, period: Within) -> RulesTold:
    """The rules in use, how often each fired, how right it was by the marks since, and how long verdicts took."""
    now = desk_rules.in_use(conn)
    return RulesTold(
        version=now.rules.version,
        made=now.made,
        alert_at=now.rules.alert_at,
        since=period.since,
        until=period.until,
        rules=now.told(),
        fired=desk_rules.figures(conn, now.ids, period.since, period.until),
        latency=desk_rules.latency(conn),
    )


@router.get("/rules/text")
def show_text(conn: Warehouse) -> RulesFile:
    """The file in use, as it was promoted."""
    now = desk_rules.in_use(conn)
    return RulesFile(version=now.rules.version, text=now.text)


@router.get("/rules/shadow")
def compare_shadow(conn: Warehouse, period: Within) -> list[Watched]:
    """What rules in use would have added in a period while they only watched, by version."""
    return desk_rules.shadow(conn, desk_rules.in_use(conn).ids, period.since, period.until)


@router.get("/rules/promotions")
def list_promotions(conn: Warehouse, limit: Few = 20) -> list[Made]:
    """Who promoted which rules when, the newest first: those are in use."""
    return [Made.of(one) for one in promotions(conn, limit)]


@router.get("/rules/promotions/{number}")
def show_promotion(conn: Warehouse, number: Annotated[int, Path(ge=1, le=2**63 - 1)]) -> Version:
    """A promotion with its file, and what is another in it than in the one before."""
    found = desk_rules.version(conn, number)
    if found is None:
        raise HTTPException(404, f"There is no promotion {number}.")
    return found


@router.get("/rules/{rule}/hits")
def list_hits(conn: Warehouse, rule: RuleId, limit: Few = 20) -> list[NewestHit]:
    """On what a rule fired without making it fraud, the newest first."""
    return desk_rules.newest_hits(conn, rule, limit)


@router.get("/lists")
def show_lists(conn: Warehouse) -> Lists:
    """The lists that the rules in use ask, and the snoozes that are on."""
    declared = desk_rules.in_use(conn).rules.all_lists
    return Lists(version=lists_version(conn), lists=desk_lists.overview(conn, declared))


@router.get("/lists/{name}")
def show_list(conn: Warehouse, name: ListName) -> ListFile:
    """What is on a list now, and what was changed, the newest first."""
    return desk_lists.list_file(conn, _with_list(conn, name).rules.all_lists, name)


@router.post("/lists/{name}", dependencies=may_write)
def change(conn: Warehouse, who: Who, name: ListName, wanted: ListChange) -> ListFile:
    """Put a value on a list, or take it off; it counts from the next batch on."""
    lists = _with_list(conn, name).rules.all_lists
    until = utc(wanted.until) if wanted.until else None
    if until is not None and wanted.change == "remove":
        raise HTTPException(400, "Only what is put on a list can end.")
    change_list(conn, lists, name, wanted.change, wanted.value, reason=wanted.reason, by=who, until=until)
    return desk_lists.list_file(conn, lists, name)


def _with_list(conn: psycopg.Connection, name: str) -> InUse:
    """The rules in use, which have such a list."""
    now = desk_rules.in_use(conn)
    try:
        find_list(now.rules.all_lists, name)
    except ListError as error:
        raise HTTPException(404, str(error)) from error
    return now
