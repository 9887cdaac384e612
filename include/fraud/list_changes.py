"""Changes of the lists that rules ask, in the warehouse.

Each change gives all lists a new version, and waits for the batch that is being scored; the next one uses it. A snooze
is a list, too.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TypeAlias

import psycopg
from psycopg.rows import class_row

from include.domains import TRANSACTIONS
from include.fraud.lists import SNOOZES, Change, Entry, ListDeclaration, ListKind, Verb
from include.quality.values import InvalidValueError, check_for
from include.sql import load_sql

Declared: TypeAlias = Mapping[str, ListDeclaration]
"""Lists by name, see ``Rules.all_lists``."""

_CHECKS = {
    kind: check_for(next(field for field in TRANSACTIONS.contract.record if field.name == kind.column))
    for kind in ListKind
}

log = logging.getLogger(__name__)


class ListError(ValueError):
    """There is no such list, or it can not be changed so; the message is one sentence."""


def find_list(lists: Declared, name: str) -> ListDeclaration:
    """What is declared of a list.

    Raises:
        ListError: there is none of this name.
    """
    if name in lists:
        return lists[name]
    parts = name.split(":")
    if parts[0] == "snooze" and len(parts) == 3 and parts[2] in SNOOZES:
        rules = ", ".join(one.split(":")[1] for one in lists if one.endswith(f":{parts[2]}"))
        raise ListError(f"there is no rule {parts[1]!r}; there are {rules}")
    known = ", ".join(one for one, declared in lists.items() if not declared.is_snooze)
    raise ListError(f"there is no list {name!r}; there are {known}")


def changes_of(conn: psycopg.Connection, lists: Declared) -> list[Change]:
    """Every change of these lists, oldest first, but those of what such a list cannot hold (any more)."""
    fitting = []
    with conn.cursor(row_factory=class_row(Change)) as cursor:
        for change in cursor.execute(load_sql("lists/changes"), {"lists": list(lists)}):
            try:
                lists[change.list].kind.identity(change.value)
            except ValueError as error:
                log.warning("list %s: version %d is left out: %s", change.list, change.version, error)
            else:
                fitting.append(change)
    return fitting


def entries_of(conn: psycopg.Connection, lists: Declared, name: str) -> tuple[Entry, ...]:
    """What is on a list now.

    Raises:
        ListError: there is no such list.
    """
    return all_entries(conn, {name: find_list(lists, name)})[name]


def all_entries(conn: psycopg.Connection, lists: Declared) -> dict[str, tuple[Entry, ...]]:
    """What is on each list now."""
    now, changes = datetime.now(UTC), changes_of(conn, lists)
    newest = max((one.version for one in changes), default=0)
    return {
        name: declared.at((one for one in changes if one.list == name), newest, now).entries
        for name, declared in lists.items()
    }


def version(conn: psycopg.Connection) -> int:
    """The version of all lists: how often they were changed."""
    return _version(conn.execute("SELECT lists_version FROM ops.scoring").fetchone())


def change_list(
    conn: psycopg.Connection,
    lists: Declared,
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


def _spelling(conn: psycopg.Connection, name: str, declared: ListDeclaration, value: str) -> str:
    """``value`` as the list has it, or had it once."""
    known = [*declared.entries, *(one.value for one in changes_of(conn, {name: declared}))]
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
