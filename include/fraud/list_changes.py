"""The lists that rules ask, as data: what the rules file begins them with, and every change since, by people.

A snooze is a list, too: it says for which users, or which merchants, a rule sleeps. Each change gives all lists a new
version, and waits for the batch that is being scored; the next one uses it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TypeAlias, get_args

import psycopg
from psycopg.rows import class_row

from include.domains import TRANSACTIONS
from include.fraud.lists import ListKind
from include.fraud.rulebook import load_rules
from include.fraud.verdicts import snooze_of
from include.quality.values import InvalidValueError, check_for
from include.sql import load_sql

Entity: TypeAlias = Literal["user", "merchant"]
Verb: TypeAlias = Literal["add", "remove"]
KIND_OF_ENTITY: Mapping[Entity, ListKind] = {"user": ListKind.USERS, "merchant": ListKind.MERCHANTS}
_CHECKS = {
    kind: check_for(next(field for field in TRANSACTIONS.contract.record if field.name == kind.column))
    for kind in ListKind
}


class ListError(ValueError):
    """There is no such list, or it can not be changed so; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Declared:
    """What a list is of, and the entries that the rules file begins it with; a snooze begins with none."""

    kind: ListKind
    entries: tuple[str, ...] = ()
    is_snooze: bool = False


Lists: TypeAlias = Mapping[str, Declared]


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a list: ``version`` is that of all lists from then on; what was added counts until ``until``."""

    version: int
    list: str
    value: str
    change: Verb
    kind: str
    reason: str
    by: str
    until: datetime | None
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Entry:
    """A value that is on a list now, and the change that put it there; None where it stands in the rules file."""

    value: str
    added: Change | None


def declared_lists() -> Lists:
    """The lists of the rules file by name, and after them a snooze of each rule for users and for merchants.

    Raises:
        RulesError: the rules file cannot be read.
    """
    rules = load_rules()
    declared = {name: Declared(one.kind, one.entries) for name, one in rules.lists.items()}
    return declared | {
        snooze_of(rule.id, entity): Declared(kind, is_snooze=True)
        for rule in rules.rules
        for entity, kind in KIND_OF_ENTITY.items()
    }


def find_list(lists: Lists, name: str) -> Declared:
    """What is declared of a list.

    Raises:
        ListError: there is none of this name.
    """
    if name in lists:
        return lists[name]
    parts = name.split(":")
    if parts[0] == "snooze" and len(parts) == 3 and parts[2] in get_args(Entity):
        rules = ", ".join(one.split(":")[1] for one in lists if one.endswith(f":{parts[2]}"))
        raise ListError(f"there is no rule {parts[1]!r}; there are {rules}")
    known = ", ".join(one for one, declared in lists.items() if not declared.is_snooze)
    raise ListError(f"there is no list {name!r}; there are {known}")


def entries_of(conn: psycopg.Connection, lists: Lists, name: str) -> list[Entry]:
    """What is on a list now: first what the rules file says, then what was added, by value.

    Raises:
        ListError: there is no such list.
    """
    return all_entries(conn, {name: find_list(lists, name)})[name]


def all_entries(conn: psycopg.Connection, lists: Lists) -> dict[str, list[Entry]]:
    """What is on each list now, in the same order."""
    holding: dict[str, list[Change]] = {name: [] for name in lists}
    with conn.cursor(row_factory=class_row(Change)) as cursor:
        for change in cursor.execute(load_sql("lists/holding_changes"), {"lists": list(lists)}):
            holding[change.list].append(change)
    found = {}
    for name, declared in lists.items():
        changed = {one.value for one in holding[name]}
        of_file = [Entry(value, None) for value in declared.entries if value not in changed]
        found[name] = of_file + [Entry(one.value, one) for one in holding[name] if one.change == "add"]
    return found


def version(conn: psycopg.Connection) -> int:
    """The version of all lists: how often they were changed."""
    return _version(conn.execute("SELECT lists_version FROM ops.scoring").fetchone())


def history_of(conn: psycopg.Connection, name: str) -> list[Change]:
    """Every change of a list, oldest first."""
    with conn.cursor(row_factory=class_row(Change)) as cursor:
        return cursor.execute(load_sql("lists/history"), {"list": name}).fetchall()


def change_list(
    conn: psycopg.Connection,
    lists: Lists,
    name: str,
    verb: Verb,
    value: str,
    *,
    reason: str,
    by: str,
    until: datetime | None = None,
) -> Change:
    """Put a value on a list, or take it off.

    Of each value the newest change that has not ended decides, and where there is none, the rules file. A city is found
    in whatever spelling, and keeps the one that it has.

    Raises:
        ListError: there is no such list, the value is none of its kind or, to be removed, not on it; ``until`` is past,
            or a snooze has none.
    """
    declared = find_list(lists, name)
    value = _checked(declared.kind, value)
    if until is not None and until <= datetime.now(UTC):
        raise ListError(f"{until.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC is past: the end must lie ahead")
    if declared.is_snooze and verb == "add" and until is None:
        raise ListError("a rule is snoozed until some date: say which")
    with conn.transaction():
        # The lock on this row first: what is read and written then is of one version, and no batch is between.
        raised = conn.execute("UPDATE ops.scoring SET lists_version = lists_version + 1 RETURNING lists_version")
        changed = {
            "version": _version(raised.fetchone()),
            "list": name,
            "value": _spelling(conn, name, declared, value),
            "change": verb,
            "kind": "snooze" if declared.is_snooze else "entry",
            "reason": reason,
            "by": by,
            "until": until,
        }
        if verb == "remove" and changed["value"] not in {one.value for one in entries_of(conn, lists, name)}:
            raise ListError(f"{value} is not on the list {name}")
        with conn.cursor(row_factory=class_row(Change)) as cursor:
            stored = cursor.execute(load_sql("lists/append"), changed).fetchone()
    assert stored is not None  # noqa: S101 - the statement returns the row that it wrote
    return stored


def _spelling(conn: psycopg.Connection, name: str, declared: Declared, value: str) -> str:
    """``value`` as the list has it, or had it once."""
    changed = conn.execute("SELECT DISTINCT value FROM ops.list_change WHERE list = %s", (name,)).fetchall()
    known = [*declared.entries, *(one for (one,) in changed)]
    wanted = declared.kind.identity(value)
    return next((one for one in known if declared.kind.identity(one) == wanted), value)


def _checked(kind: ListKind, value: str) -> str:
    """The value as records write it."""
    try:
        text = str(_CHECKS[kind](value))
        kind.identity(text)
    except InvalidValueError as error:
        raise ListError(f"a list of {kind} can not have this: the {kind.column} {error}") from error
    except ValueError as error:
        raise ListError(str(error)) from error
    return text


def _version(row: tuple[int] | None) -> int:
    assert row is not None  # noqa: S101 - the schema has put it there
    return row[0]
