"""The alarm about too many rejected records: raised once, shown, accepted by a command, and not by chance."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest

from include.domains import MERCHANTS, PROFILES
from include.quality.limit import RejectedLimit
from include.quarantine import alarms
from include.quarantine.alarms import open_alarms
from include.quarantine.rows import QuarantineRow, store
from include.settings import Settings
from include.status.warehouse import problems
from tests.support.quarantine import run_quarantine

pytestmark = pytest.mark.integration

HALF = RejectedLimit(0.5)
MERCHANT = MERCHANTS.name
PROFILE = PROFILES.name


def reject(conn: psycopg.Connection, domain: str, offsets: range, good: int = 0, code: str = "not_json") -> None:
    """What a silver run does that rejects the records of these offsets and takes so many good ones."""
    reasons = [{"field": None, "code": code, "message": "no"}]
    rows = [QuarantineRow(domain, "topic", domain, 0, offset, -1, 0, b"\0", reasons, "1.0.0") for offset in offsets]
    with conn.transaction():
        new = store(conn, rows)
        alarms.count(conn, domain, good + new, new, HALF)


def raised(conn: psycopg.Connection, domain: str | None = None) -> list[tuple[str, int, int, dict[str, int]]]:
    return [(one.domain, one.records, one.rejected, one.reasons) for one in open_alarms(conn, domain)]


def test_it_is_raised_when_enough_records_came_and_too_many_of_them_are_rejected(conn: psycopg.Connection) -> None:
    reject(conn, MERCHANT, range(49), good=51)
    reject(conn, PROFILE, range(99))
    assert raised(conn) == []
    reject(conn, PROFILE, range(99, 101), good=4, code="not_utf8")
    assert raised(conn) == [(PROFILE, 105, 101, {"not_json": 99, "not_utf8": 2})]
    reject(conn, MERCHANT, range(49, 109), good=40)
    assert [one[:3] for one in raised(conn, MERCHANT)] == [(MERCHANT, 100, 60)]


def test_what_was_counted_before_is_not_counted_again(conn: psycopg.Connection) -> None:
    reject(conn, MERCHANT, range(1000), good=2000)
    reject(conn, MERCHANT, range(60), good=39)
    reject(conn, MERCHANT, range(1000, 1060))
    assert raised(conn) == []
    reject(conn, MERCHANT, range(1060, 1100))
    assert [one[1:3] for one in raised(conn)] == [(139, 100)]


def test_an_open_alarm_grows_and_after_it_was_accepted_there_is_a_new_one(conn: psycopg.Connection) -> None:
    reject(conn, MERCHANT, range(100))
    (first,) = open_alarms(conn)
    reject(conn, MERCHANT, range(100, 200), good=300)
    assert open_alarms(conn) == [first], "these are within the limit"
    reject(conn, MERCHANT, range(200, 400), code="not_utf8")
    (grown,) = open_alarms(conn)
    assert (grown.raised_at, grown.since) == (first.raised_at, first.since)
    assert (grown.records, grown.rejected, grown.reasons) == (300, 300, {"not_json": 200, "not_utf8": 200})
    assert alarms.accept(conn, [first]) == [first], "nobody has seen how large it is now"
    assert alarms.accept(conn, [grown]) == []
    assert alarms.accept(conn, [grown]) == [grown]
    reject(conn, MERCHANT, range(400, 500))
    (new,) = open_alarms(conn)
    assert (new.records, new.rejected, new.reasons) == (100, 100, {"not_json": 100})


def test_nothing_is_counted_by_a_run_whose_transaction_fails(conn: psycopg.Connection) -> None:
    with conn.transaction(force_rollback=True):
        reject(conn, MERCHANT, range(100))
        assert len(raised(conn)) == 1
    reject(conn, MERCHANT, range(100, 101))
    assert raised(conn) == []


def test_the_commands_show_and_accept_it(own: Settings, conn: psycopg.Connection, tmp_path: Path) -> None:
    reject(conn, MERCHANT, range(300), good=20)
    reject(conn, PROFILE, range(200))

    code, output, _ = run_quarantine(own, tmp_path, "list")
    assert code == 0
    assert "ALARM merchants: 300 of 320 records since" in output.decode()
    assert "(not_json: 300), more than the share of 0.5 that PAYLAKE_MAX_REJECTED_SHARE allows" in output.decode()
    code, output, _ = run_quarantine(own, tmp_path, "list", "--json", "--domain", MERCHANT)
    assert [(one["domain"], one["rejected"]) for one in json.loads(output)["alarms"]] == [(MERCHANT, 300)]

    code, output, errors = run_quarantine(own, tmp_path, "accept", "--domain", MERCHANT)
    assert (code, len(raised(conn))) == (1, 2), "there was nobody to say yes"
    assert "ALARM merchants: 300 of 320" in output.decode()
    assert "Accept this?" in errors
    assert run_quarantine(own, tmp_path, "accept", "--json")[0] == 2
    assert run_quarantine(own, tmp_path, "accept", "--yes", "--domain", "shops")[0] == 2
    assert len(raised(conn)) == 2

    code, output, errors = run_quarantine(own, tmp_path, "accept", "--yes", "--domain", MERCHANT)
    assert (code, errors) == (0, "")
    assert output.decode().endswith("accepted: merchants\n")
    assert [one[0] for one in raised(conn)] == [PROFILE]
    code, output, _ = run_quarantine(own, tmp_path, "accept", "--yes", "--json")
    answer = json.loads(output)
    assert (code, [one["domain"] for one in answer["accepted"]], answer["left"]) == (0, [PROFILE], [])
    code, output, _ = run_quarantine(own, tmp_path, "accept", "--yes")
    assert (code, output.decode(), raised(conn)) == (0, "There is no alarm to accept.\n", [])
    assert conn.execute("SELECT count(*) FROM ops.quarantine").fetchone() == (500,)


def test_status_names_an_alarm_until_it_is_accepted(conn: psycopg.Connection) -> None:
    assert problems(conn) == []
    reject(conn, MERCHANT, range(300), good=20)
    (found,) = problems(conn)
    assert (found.check, found.subject) == ("rejected", "silver merchants")
    assert "300 of 320 records" in found.message
    assert "quarantine accept --domain merchants" in found.message
    alarms.accept(conn, open_alarms(conn))
    assert problems(conn) == []
