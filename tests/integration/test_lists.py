"""The lists of the fraud rules as data: changed by people, with history and a version, in step with the batches."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from include.casework.cases import app as cases
from include.casework.lists import app as lists
from include.fraud.list_changes import ListError, change_list, changes_of, entries_of, version
from include.fraud.lists import Change, ListDeclaration, ListKind, snooze_of
from include.postgres import connect
from include.settings import Settings
from tests.support.casework import run_app
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration

SNOOZE = snooze_of("huge_amount", "user")
LISTS = {
    "shops": ListDeclaration(ListKind.MERCHANTS, ("M0666",)),
    "towns": ListDeclaration(ListKind.CITIES, ("Sana'a, Yemen", "Porto")),
    SNOOZE: ListDeclaration(ListKind.USERS, is_snooze=True),
}
LATER = datetime(2999, 1, 1, tzinfo=UTC)
WHY: dict[str, Any] = {"reason": "because", "by": "ana"}


def values(conn: psycopg.Connection, name: str) -> list[str]:
    return [entry.value for entry in entries_of(conn, LISTS, name)]


def history(conn: psycopg.Connection, name: str) -> list[Change]:
    return changes_of(conn, {name: LISTS[name]})


def test_a_list_begins_as_the_file_says_and_goes_on_as_people_say(conn: psycopg.Connection) -> None:
    assert (values(conn, "shops"), version(conn)) == (["M0666"], 0)
    added = change_list(conn, LISTS, "shops", "add", "M1", until=LATER, **WHY)
    assert (added.version, added.kind, added.until) == (1, "entry", LATER)
    change_list(conn, LISTS, "shops", "remove", "M0666", **WHY)
    assert values(conn, "shops") == ["M1"]
    change_list(conn, LISTS, "shops", "remove", "M1", **WHY)
    change_list(conn, LISTS, "shops", "add", "M0666", reason="again", by="ben")
    (entry,) = entries_of(conn, LISTS, "shops")
    assert entry.added is not None
    assert (entry.value, entry.added.by, entry.added.reason, version(conn)) == ("M0666", "ben", "again", 4)
    told = [(one.version, one.change, one.value) for one in history(conn, "shops")]
    assert told == [(1, "add", "M1"), (2, "remove", "M0666"), (3, "remove", "M1"), (4, "add", "M0666")]
    assert values(conn, "towns") == ["Sana'a, Yemen", "Porto"]


def test_what_has_ended_counts_no_more_but_is_in_the_history(conn: psycopg.Connection) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=1)
    change_list(conn, LISTS, "shops", "add", "M1", **WHY)
    for shop in ("M0666", "M1", "M2"):
        change_list(conn, LISTS, "shops", "add", shop, until=soon, **WHY)
    assert values(conn, "shops") == ["M0666", "M1", "M2"]
    change_list(conn, LISTS, SNOOZE, "add", "U1", until=soon, **WHY)
    assert values(conn, SNOOZE) == ["U1"]
    wait_until(lambda: values(conn, SNOOZE) == [], "the end of the snooze")
    assert [one.kind for one in history(conn, SNOOZE)] == ["snooze"]
    assert [(entry.value, entry.added and entry.added.version) for entry in entries_of(conn, LISTS, "shops")] == [
        ("M0666", None),
        ("M1", 1),
    ]
    with pytest.raises(ListError, match="U1 is not on the list"):
        change_list(conn, LISTS, SNOOZE, "remove", "U1", **WHY)


def test_a_city_is_found_in_another_spelling(conn: psycopg.Connection) -> None:
    assert change_list(conn, LISTS, "towns", "remove", "SANAA, yemen", **WHY).value == "Sana'a, Yemen"
    assert values(conn, "towns") == ["Porto"]
    assert change_list(conn, LISTS, "towns", "add", "  Tehran,  Iran ", **WHY).value == "Tehran, Iran"
    assert change_list(conn, LISTS, "towns", "add", "tehran; IRAN", until=LATER, **WHY).value == "Tehran, Iran"
    with pytest.raises(ListError, match="Porto, Brazil is not on the list towns"):
        change_list(conn, LISTS, "towns", "remove", "Porto, Brazil", **WHY)


@pytest.mark.parametrize(
    ("name", "verb", "value", "until", "message"),
    [
        ("shop", "add", "M1", None, "there is no list 'shop'; there are shops, towns"),
        ("snooze:hugo:user", "add", "U1", LATER, "there is no rule 'hugo'; there are huge_amount"),
        ("shops", "add", "U1", None, "the merchant_id 'U1' does not match"),
        ("shops", "add", " ", None, "the merchant_id is required but blank"),
        (SNOOZE, "add", "M1", LATER, "the user_id 'M1' does not match"),
        (SNOOZE, "add", "U1", None, "until some date"),
        ("towns", "add", ", Yemen", None, "names no city"),
        ("towns", "add", "Porto, Nowhere", None, "must be one country"),
        ("shops", "add", "M1", datetime(2026, 1, 1, tzinfo=UTC), "2026-01-01 00:00:00 UTC is past"),
        ("shops", "remove", "M1", None, "M1 is not on the list shops"),
    ],
)
def test_what_is_refused_changes_nothing(
    conn: psycopg.Connection, name: str, verb: Any, value: str, until: datetime | None, message: str
) -> None:
    with pytest.raises(ListError) as refused:
        change_list(conn, LISTS, name, verb, value, until=until, **WHY)
    assert message in str(refused.value)
    assert version(conn) == 0
    assert conn.execute("SELECT count(*) FROM ops.list_change").fetchone() == (0,)


def test_a_change_waits_for_the_batch_that_is_scored(own: Settings, conn: psycopg.Connection) -> None:
    waiting = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"
    with connect(own.warehouse_dsn) as stream, connect(own.warehouse_dsn) as person, ThreadPoolExecutor(1) as pool:
        with stream.transaction():
            stream.execute("UPDATE ops.scoring SET moment = clock_timestamp()")
            change = pool.submit(change_list, person, LISTS, "shops", "add", "M1", **WHY)
            wait_until(lambda: conn.execute(waiting).fetchone() == (True,), "the change that waits for the batch")
            assert version(stream) == 0
            ended = conn.execute("SELECT clock_timestamp()").fetchone()
        changed = change.result(60)
    assert ended is not None
    assert changed.version == 1
    assert changed.changed_at > ended[0]


def test_the_commands_change_and_show_lists(own: Settings, conn: psycopg.Connection) -> None:
    def run(*arguments: str) -> str:
        code, output, errors = run_app(lists, own, *arguments)
        assert (code, errors) == (0, "")
        return output

    assert "M4711 added by ana until 2999-01-01 00:00:00Z: reported" in run(
        "add", "suspicious_merchants", "M4711", "--reason", "reported", "--until", "2999-01-01"
    )
    run("remove", "risky_cities", "tehran, iran", "--reason", "calm", "--by", "ben")
    assert "the rules file" in (shown := run("show", "suspicious_merchants"))
    assert "M0666" in shown
    assert "M4711" in shown
    assert "Tehran" not in run("show", "risky_cities")
    assert "version 2" in run("show", "risky_cities", "--history")
    assert "Tehran, Iran removed by ben: calm" in run("show", "risky_cities", "--history")
    assert "Nobody has changed it." in run("show", "snooze:huge_amount:user", "--history")

    arguments = ["huge_amount", "--user", "U0001", "--until", "2999-12-31", "--reason", "buys a house"]
    code, output, errors = run_app(cases, own, "snooze", *arguments)
    assert (code, errors) == (0, "")
    assert "huge_amount sleeps for the user U0001: version 3" in output
    found = json.loads(run("list", "--json"))
    assert found["version"] == 3
    assert found["lists"]["suspicious_merchants"] == {"of": "merchants", "entries": 3}
    assert found["lists"]["snooze:huge_amount:user"] == {"of": "users", "entries": 1}
    assert "snooze:huge_amount:merchant" not in found["lists"]
    (entry,) = json.loads(run("show", "snooze:huge_amount:user", "--json"))["entries"]
    assert (entry["value"], entry["added"]["until"]) == ("U0001", "2999-12-31T00:00:00+00:00")
    run("remove", "snooze:huge_amount:user", "U0001", "--reason", "bought it")
    changes = json.loads(run("show", "snooze:huge_amount:user", "--history", "--json"))["changes"]
    assert [(one["change"], one["kind"], one["by"]) for one in changes] == [
        ("add", "snooze", "ana"),
        ("remove", "snooze", "ana"),
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["show", "shops"], "there is no list 'shops'; there are suspicious_merchants, risky_cities"),
        (["add", "risky_cities", "Rome", "--reason", "x", "--until", "2001-01-01"], "is past"),
        (["remove", "suspicious_merchants", "M1", "--reason", "x"], "M1 is not on the list"),
        (["add", "snooze:huge_amount:user", "U1", "--reason", "x"], "until some date"),
    ],
)
def test_a_refusal_is_one_sentence_and_exit_code_1(own: Settings, arguments: list[str], words: str) -> None:
    code, output, errors = run_app(lists, own, *arguments)
    assert (code, output) == (1, "")
    assert errors.startswith("error: ")
    assert len(errors.splitlines()) == 1
    assert words in errors
