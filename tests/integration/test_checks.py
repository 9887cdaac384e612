"""``./paylake checks``, and the results that it shows."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

from include.alerts.freshness import follow
from include.checks.cli import checks_command
from include.checks.declared import CHECKS, Check
from include.checks.result import newest, row_result, store
from include.settings import Settings
from include.stack.cli import alone
from tests.support.quarantine import environment

pytestmark = pytest.mark.integration

USERS = "gold/USERS"
PAYMENTS = "silver/processed-transactions"


def check(asset: str, name: str) -> Check:
    return next(one for one in CHECKS[asset] if one.name == name)


def test_it_shows_the_newest_of_each_and_fails_when_one_that_blocks_has(
    conn: psycopg.Connection, own: Settings, tmp_path: Path
) -> None:
    def checks(*arguments: str) -> tuple[int, str]:
        told = CliRunner().invoke(
            alone(checks_command), arguments, env={**environment(own, tmp_path), "COLUMNS": "200"}
        )
        return told.exit_code, told.output

    assert checks() == (0, "No check has looked yet.\n")
    score, reference = check(USERS, "credit_score_range"), check(PAYMENTS, "user_id_reference")
    store(conn, "load_1", 1, [row_result(score, 10, 3, [{"user_id": "U\x00[b]"}])])
    days = [row_result(reference, 10, failing, day=date(2026, 1, day)) for day, failing in ((1, 0), (2, 9), (3, 8))]
    store(conn, "run_1", 2**62, days)
    code, text = checks()
    assert code == 1
    assert "3 of 10 rows, such as" in text
    assert "8 of 10 rows on 2026-01-03, and 1 more days" in text

    code, text = checks(PAYMENTS, "--json")
    assert code == 0, "what only warns is no failure"
    told = json.loads(text)["checks"]
    assert [(one["day"], one["passed"], one["snapshot_id"]) for one in told] == [
        ("2026-01-01", True, str(2**62)),
        ("2026-01-02", False, str(2**62)),
        ("2026-01-03", False, str(2**62)),
    ]

    store(conn, "load_2", 2, [row_result(score, 10, 0)])
    assert checks(USERS)[0] == 0
    assert [one.run for one in newest(conn, USERS)] == ["load_2"]
    assert checks("gold/NOTHING")[0] == 2


def test_an_overdue_asset_is_a_check_that_warns(conn: psycopg.Connection) -> None:
    follow(conn, {USERS: "newer data wait"}, [])
    (found,) = newest(conn, USERS)
    assert (found.check, found.kind, found.severity, found.passed) == ("freshness", "freshness", "warn", False)
    follow(conn, {USERS: "newer data wait"}, [])
    follow(conn, {}, [USERS])
    assert newest(conn, USERS)[0].passed
    assert conn.execute("SELECT count(*) FROM ops.check_result").fetchone() == (2,)
