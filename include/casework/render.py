"""What ``./paylake cases``, ``lists`` and ``rules`` show people, and what they give scripts as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from include.cases.work import Alert, Case, Event
from include.fraud.console import money, printable, time_of
from include.fraud.lists import Change, Entry, ListDeclaration
from include.fraud.promotion import Promotion


def as_json(one: Case | Alert | Event | Change | Promotion) -> dict[str, Any]:
    """It as plain values: times in ISO 8601, UTC, and amounts as text."""

    def plain(value: object) -> object:
        if isinstance(value, datetime):
            return value.astimezone(UTC).isoformat()
        return f"{value:f}" if isinstance(value, Decimal) else value

    return {name: plain(value) for name, value in asdict(one).items()}


def print_cases(found: Sequence[Case], console: Console) -> None:
    """A line for each case."""
    if not found:
        console.print("There is no such case.")
        return
    table = _table("case", "state", "user", "last payment", "rules")
    table.add_column("alerts", justify="right")
    table.add_column("amount", justify="right")
    for case in found:
        state = f"{case.state} ({case.assignee})" if case.state == "taken" else case.state
        cells = (f"{case.case_id}", state, case.user_id, time_of(case.last_timestamp), ", ".join(case.rules))
        table.add_row(*map(_cell, cells), f"{case.alerts:,}", money(case.amount))
    console.print(table)


def print_case(case: Case, alerts: Sequence[Alert], history: Sequence[Event], console: Console) -> None:
    """A case with its user, each alert with all that made rules fire, and the audit trail."""

    def line(text: str) -> None:
        console.print(Text(printable(text)), soft_wrap=True)

    user = ", ".join(filter(None, (case.user_name, case.user_country_code, case.user_status))) or "not known"
    line(f"case {case.case_id}  {case.state}" + (f", taken by {case.assignee}" if case.assignee else ""))
    line(f"  user      {case.user_id} ({user})")
    line(f"  payments  {case.alerts:,}, {money(case.amount)} in all")
    line(f"  from      {time_of(case.first_timestamp)} to {time_of(case.last_timestamp)}")
    line("alerts")
    for alert in alerts:
        if alert.timestamp is None or alert.amount is None:
            line(f"  {alert.txn_id}  has no verdict any more")
            continue
        merchant = f"{alert.merchant_id} ({alert.merchant_name or 'not known'})"
        line(
            f"  {time_of(alert.timestamp)}  {alert.txn_id}  {money(alert.amount)} to {merchant} by {alert.channel}"
            f" in {alert.location}"
        )
        for fired in alert.evidence or ():
            line(f"    {fired['rule']}: {fired['message']}")
    line("history")
    for event in history:
        state = f" as {event.to_state}" if event.what == "marked" else ""
        line(f"  {time_of(event.at)}  {event.what}{state} by {event.who}" + (f": {event.note}" if event.note else ""))


def print_lists(counts: Mapping[str, tuple[ListDeclaration, int]], version: int, console: Console) -> None:
    """A line for each list: what it is of, and how many entries it has now."""
    table = _table("list", "of")
    table.add_column("entries", justify="right")
    for name, (declared, count) in counts.items():
        table.add_row(_cell(name), declared.kind, f"{count:,}")
    console.print(table)
    console.print(f"version {version}")


def print_entries(name: str, entries: Sequence[Entry], console: Console) -> None:
    """What is on a list now, and who put it there."""
    if not entries:
        console.print(Text(printable(f"Nothing is on the list {name}.")))
        return
    table = _table("value", "until", "by", "since", "reason")
    for entry in entries:
        added = entry.added
        cells = ("", "the rules file", "", "") if added is None else (*_end_and_who(added), added.reason)
        table.add_row(*map(_cell, (entry.value, *cells)))
    console.print(table)


def print_changes(changes: Sequence[Change], console: Console) -> None:
    """Every change of a list, a line each, oldest first."""
    for one in changes:
        console.print(Text(printable(change_line(one))), soft_wrap=True)
    if not changes:
        console.print("Nobody has changed it.")


def print_promotions(made: Sequence[Promotion], console: Console) -> None:
    """A line for each promotion, newest first; that one is in use."""
    if not made:
        console.print("None were put in yet: the fraud stream does that with its rules file when it starts.")
        return
    table = _table("", "version", "since", "by", "approved in", "note")
    for one in made:
        in_use = "in use" if one is made[0] else ""
        cells = (one.version, time_of(one.promoted_at), one.promoted_by, one.approved_in or "", one.note or "")
        table.add_row(in_use, *map(_cell, cells))
    console.print(table)


def change_line(one: Change) -> str:
    """A change in words."""
    done = "added" if one.change == "add" else "removed"
    until = f" until {time_of(one.until)}" if one.until else ""
    return f"version {one.version}  {time_of(one.changed_at)}  {one.value} {done} by {one.by}{until}: {one.reason}"


def _end_and_who(added: Change) -> tuple[str, str, str]:
    return time_of(added.until) if added.until else "", added.by, time_of(added.changed_at)


def _table(*columns: str) -> Table:
    return Table(*columns, box=SIMPLE_HEAD, pad_edge=False)


def _cell(text: str) -> Text:
    return Text(printable(text))
