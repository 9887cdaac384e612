"""The lists that rules ask: what each has, and how that came."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg

from include.fraud.list_changes import all_entries, changes_of, find_list
from include.fraud.lists import Change, Entry, ListDeclaration, ListKind

MOST_ENTRIES = 1_000
MOST_CHANGES = 200


@dataclass(frozen=True, slots=True)
class Listed:
    """A list, or a snooze, and how many values are on it now."""

    name: str
    kind: ListKind
    is_snooze: bool
    entries: int


@dataclass(frozen=True, slots=True)
class ListFile:
    """A list with `MOST_ENTRIES` of its entries, and its newest `MOST_CHANGES` changes; ``changed`` counts all."""

    about: Listed
    entries: list[Entry]
    history: list[Change]
    changed: int


def overview(conn: psycopg.Connection, lists: Mapping[str, ListDeclaration]) -> list[Listed]:
    """Each list of the rules, and each snooze that is on."""
    entries = all_entries(conn, lists)
    return [
        Listed(name, declared.kind, declared.is_snooze, len(entries[name]))
        for name, declared in lists.items()
        if entries[name] or not declared.is_snooze
    ]


def list_file(conn: psycopg.Connection, lists: Mapping[str, ListDeclaration], name: str) -> ListFile:
    """What is on a list now, and what was changed.

    Raises:
        ListError: there is no such list.
    """
    declared = find_list(lists, name)
    changes = changes_of(conn, {name: declared})
    entries = declared.at(changes, changes[-1].version if changes else 0, datetime.now(UTC)).entries
    return ListFile(
        Listed(name, declared.kind, declared.is_snooze, len(entries)),
        list(entries[:MOST_ENTRIES]),
        changes[: -MOST_CHANGES - 1 : -1],
        len(changes),
    )
