"""What analysts see and say: nothing in a record can play with their terminal, and their words are kept whole."""

from __future__ import annotations

import io
import pwd
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
import typer
from rich.console import Console

from include.cases.work import Alert, Case, Event
from include.casework.options import LONGEST_TEXT, login, text
from include.casework.render import as_json, print_case, print_cases, print_changes, print_entries
from include.fraud.list_changes import ListError, find_list
from include.fraud.lists import Change, Entry
from include.fraud.rulebook import load_rules

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
WILD = "\x1b[2J[red]\u202e\n"
SHOWN = "\\x1b[2J[red]\\u202e\\n"
CASE = Case(7, "taken", WILD, "U1", WILD, "PT", "active", 2, Decimal("1E+3"), NOON, NOON, ["a"], NOON, NOON, None, None)
ALERT = Alert("T1", NOON, NOON, Decimal("0.5000"), "M1", WILD, "POS", WILD, [{"rule": "a", "message": WILD}])
CHANGE = Change(3, "shops", WILD, "add", "entry", WILD, WILD, NOON, NOON)


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=200, highlight=False, force_terminal=False)


def printed(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_case_is_shown_whole_and_harmless(console: Console) -> None:
    print_case(CASE, [ALERT], [Event(NOON, "ana", "noted", "open", "open", WILD)], console)
    assert printed(console).splitlines() == [
        f"case 7  taken, taken by {SHOWN}",
        f"  user      U1 ({SHOWN}, PT, active)",
        "  payments  2, 1,000.00 in all",
        "  from      2026-01-31 12:00:00Z to 2026-01-31 12:00:00Z",
        "alerts",
        f"  2026-01-31 12:00:00Z  T1  0.50 to M1 ({SHOWN}) by POS in {SHOWN}",
        f"    a: {SHOWN}",
        "history",
        f"  2026-01-31 12:00:00Z  noted by ana: {SHOWN}",
    ]


def test_a_verdict_that_is_gone_is_named(console: Console) -> None:
    print_case(CASE, [Alert("T1", NOON, None, None, None, None, None, None, None)], [], console)
    assert "  T1  has no verdict any more\n" in printed(console)


def test_tables_and_changes_are_harmless_too(console: Console) -> None:
    print_cases([CASE], console)
    print_entries("shops", [Entry(WILD, CHANGE), Entry("M1", None)], console)
    print_changes([CHANGE, replace(CHANGE, change="remove", until=None)], console)
    assert printed(console).count(SHOWN) == 1 + 3 + 6
    assert "the rules file" in printed(console)
    assert "\x1b" not in printed(console)
    assert "\u202e" not in printed(console)


def test_scripts_get_amounts_as_text_and_times_in_utc() -> None:
    found = as_json(CASE)
    assert (found["amount"], found["first_timestamp"]) == ("1000", "2026-01-31T12:00:00+00:00")


def test_words_are_tidied_or_refused() -> None:
    assert text("  he\tsaid\nso ") == "he said so"
    for refused in ("", " \u200b", "a\x00", "a\x1b[2J", "\udcff", "x" * (LONGEST_TEXT + 1)):
        with pytest.raises(typer.BadParameter):
            text(refused)


def test_who_is_nobody_to_the_system_is_asked_for_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "ana")
    assert login() == "ana"
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)

    def nobody(uid: int) -> pwd.struct_passwd:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    with pytest.raises(typer.BadParameter, match="say --by NAME"):
        login()


def test_each_rule_can_sleep_for_users_and_for_merchants() -> None:
    rules = load_rules()
    lists = rules.all_lists
    for rule in [one.id for one in rules.rules]:
        assert find_list(lists, f"snooze:{rule}:user").kind == "users"
        assert find_list(lists, f"snooze:{rule}:merchant").kind == "merchants"
    assert find_list(lists, "risky_cities").entries[0] == "Pyongyang, North Korea"
    for unknown in ("snooze", "snooze:huge_amount:city", "snooze:no_rule:user", "cities"):
        with pytest.raises(ListError):
            find_list(lists, unknown)
