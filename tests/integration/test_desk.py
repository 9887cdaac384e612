"""The page's API behind a real Airflow API server: who gets in, and what it says beside what the warehouse has."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import psycopg
import pytest
import schemathesis
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import positive_data_acceptance

from include.postgres import connect
from tests.support.airflow_server import AirflowServer
from tests.support.desk import FORMULA, NOW

pytestmark = pytest.mark.integration

WRITES = {
    "cases/{case_id}/take": None,
    "cases/{case_id}/mark": {"what": "confirmed"},
    "cases/{case_id}/notes": {"note": "hm"},
    "reports": {"txn_ids": ["TG1"]},
    "lists/{name}": {"change": "add", "value": "M77", "reason": "x"},
    "backtests": {},
    "promotions": {"rules": "version: 1"},
    "quarantine/redrive": {"dry_run": True, "domain": "merchants"},
    "snoozes": {"rule": "huge_amount", "entity": "user", "value": "U1", "until": "2999-01-01T00:00:00Z", "reason": "x"},
}


@pytest.fixture
def conn(desk_warehouse: str) -> Iterator[psycopg.Connection]:
    with connect(desk_warehouse) as conn:
        yield conn


def routes() -> list[tuple[str, str]]:
    """Every route that the application has, with its parameters filled in, and each of its methods."""
    from paylake_desk.app import app

    found = []
    for route in app.routes:
        path = re.sub(r"\{\w+(:path)?\}", "1", route.path)  # type: ignore[attr-defined]
        found += [(method, path) for method in route.methods]  # type: ignore[attr-defined]
    return found


def test_nobody_gets_in_who_is_not_logged_in(desk_server: AirflowServer) -> None:
    with desk_server.client(None) as anybody:
        asked = routes()
        assert len(asked) > 15
        for method, path in asked:
            answer = anybody.request(method, path.lstrip("/"))
            assert answer.status_code in (401, 403), (method, path, answer.status_code)
        assert anybody.get("api/frauds", headers={"Authorization": "Bearer nonsense"}).status_code in (401, 403)


def test_whoever_may_only_look_changes_nothing(vera: httpx.Client, ana: httpx.Client, conn: psycopg.Connection) -> None:
    assert vera.get("api/cases").status_code == 200
    (case_id,) = conn.execute("SELECT min(case_id) FROM cases").fetchone() or (0,)
    written = {path for method, path in routes() if method not in ("GET", "HEAD")}
    assert {f"/api/{re.sub('{.*}', '1', path)}" for path in WRITES} == written
    for path, body in WRITES.items():
        path = f"api/{path.format(case_id=case_id, name='suspicious_merchants')}"
        assert vera.post(path, json=body).status_code == 403, path
        # Another site could have a browser send the login, but not this header.
        assert ana.post(path, json=body, headers={"X-Requested-With": "other"}).status_code == 403, path
    assert conn.execute("SELECT count(*) FROM ops.case_event WHERE who <> 'paylake'").fetchone() == (0,)


def test_frauds_and_sums_are_those_of_the_warehouse(ana: httpx.Client, conn: psycopg.Connection) -> None:
    stored = conn.execute("SELECT txn_id FROM fraudtransaction ORDER BY scored_at DESC, txn_id DESC").fetchall()
    feed = ana.get("api/frauds").raise_for_status().json()
    assert [one["txn_id"] for one in feed] == [txn_id for (txn_id,) in stored] == ["TF5", "TF4", "TF3", "TF2", "TF1"]
    assert (feed[1]["amount"], feed[1]["merchant_name"], feed[1]["country_code"]) == (
        "150000.0000",
        "Lucky Wheel",
        "DE",
    )
    assert feed[3]["location"].startswith("<script>")
    sums = ana.get("api/frauds/summary").raise_for_status().json()
    for by, column in (("channels", "channel"), ("merchants", "merchant_id")):
        rows = conn.execute(f"SELECT {column}, count(*), sum(amount) FROM fraudtransaction GROUP BY 1")  # noqa: S608
        told = {one["value"]: (one["frauds"], Decimal(one["amount"])) for one in sums[by]}
        assert told == {value: (count, amount) for value, count, amount in rows}
    rules: dict[str, int] = dict(conn.execute("SELECT rule, frauds FROM fraud_share_by_rule").fetchall())
    assert {one["value"]: one["frauds"] for one in sums["rules"]} == rules
    assert sum(one["frauds"] for one in sums["times"]) == 5


@pytest.mark.parametrize(
    ("chosen", "found"),
    [
        ({"user_id": "U1"}, ["TF2", "TF1"]),
        ({"merchant_id": "M2"}, ["TF4", "TF3"]),
        ({"country": "DE"}, ["TF4", "TF3"]),
        ({"channel": "Online"}, ["TF2"]),
        ({"rule": "suspicious_merchant"}, ["TF5"]),
        ({"rule": "suspicious_merchant", "user_id": "U1"}, []),
        ({"until": (NOW - timedelta(days=1)).isoformat()}, []),
    ],
)
def test_filters_choose_among_them(ana: httpx.Client, chosen: dict[str, str], found: list[str]) -> None:
    assert [one["txn_id"] for one in ana.get("api/frauds", params=chosen).raise_for_status().json()] == found
    sums = ana.get("api/frauds/summary", params=chosen).raise_for_status().json()
    assert sum(one["frauds"] for one in sums["times"]) == len(found)


def test_pages_follow_each_other_without_gap(ana: httpx.Client) -> None:
    seen: list[str] = []
    further: dict[str, str] = {}
    while page := ana.get("api/frauds", params={"limit": "2"} | further).raise_for_status().json():
        seen += [one["txn_id"] for one in page]
        further = {"before_at": page[-1]["scored_at"], "before_id": page[-1]["txn_id"]}
    assert seen == ["TF5", "TF4", "TF3", "TF2", "TF1"]


def test_a_spreadsheet_runs_nothing_of_what_is_exported(ana: httpx.Client) -> None:
    answer = ana.get("api/frauds.csv").raise_for_status()
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["txn_id"] for row in rows] == ["TF5", "TF4", "TF3", "TF2", "TF1"]
    assert rows[2]["location"] == f"'{FORMULA}"
    assert rows[0]["why"].startswith("merchant M9999 is listed")


def test_a_transaction_shows_what_is_around_it(ana: httpx.Client) -> None:
    found = ana.get("api/transactions/TF1").raise_for_status().json()
    assert (found["verdict"]["is_fraud"], found["verdict"]["reasons"]) == (True, ["huge_amount"])
    assert [one["txn_id"] for one in found["history"]] == ["TG0", "TG1", "TG2", "TG3", "TF1", "TF2"]
    assert [one["txn_id"] for one in found["alerts_of_user"]] == ["TF2"]
    genuine = ana.get("api/transactions/TG1").raise_for_status().json()
    assert (genuine["verdict"]["is_fraud"], genuine["verdict"]["evidence"]) == (False, [])
    features = ana.get("api/transactions/TF2/features").raise_for_status().json()
    assert features.keys() >= {"user_count_30d", "merchant_confirmed_7d"}
    assert ana.get("api/transactions/nothing").status_code == 404
    assert ana.get("api/transactions/nothing/features").status_code == 404


def test_a_case_is_worked_on_under_the_name_of_who_is_logged_in(ana: httpx.Client, conn: psycopg.Connection) -> None:
    case = next(one for one in ana.get("api/cases").raise_for_status().json() if one["user_id"] == "U1")
    path = f"api/cases/{case['case_id']}"
    assert ana.post(f"{path}/take").raise_for_status().json()["case"]["assignee"] == "ana"
    assert ana.post(f"{path}/take").status_code == 409
    ana.post(f"{path}/notes", json={"note": "called him"}).raise_for_status()
    assert ana.post(f"{path}/notes", json={"note": " \u200b "}).status_code == 422
    marked = ana.post(f"{path}/mark", json={"what": "confirmed", "note": "his card"}).raise_for_status().json()
    assert [(one["what"], one["who"], one["note"]) for one in marked["history"]] == [
        ("opened", "paylake", None),
        ("taken", "ana", None),
        ("noted", "ana", "called him"),
        ("marked", "ana", "his card"),
    ]
    stored = conn.execute("SELECT state, marked_by FROM cases WHERE case_id = %s", (case["case_id"],)).fetchone()
    assert stored == ("confirmed", "ana")
    reported = ana.post("api/reports", json={"txn_ids": ["TG2"]}).raise_for_status().json()
    assert conn.execute("SELECT mark FROM transaction_marks WHERE txn_id = 'TG2'").fetchall() == [("confirmed",)]
    assert list(reported) == ["U1"]
    assert ana.post("api/reports", json={"txn_ids": ["TG2"]}).status_code == 409
    wanted = WRITES["snoozes"]
    ana.post("api/snoozes", json=wanted).raise_for_status()
    assert conn.execute("SELECT list, value, by FROM ops.list_change").fetchall() == [
        ("snooze:huge_amount:user", "U1", "ana")
    ]
    assert ana.post("api/snoozes", json={**wanted, "rule": "none"}).status_code == 409  # type: ignore[dict-item]
    assert ana.get("api/cases/4711").status_code == 404


def test_what_a_browser_gets_can_run_nothing_of_anybody_else(ana: httpx.Client) -> None:
    for path in ("", "web/main.js", "api/frauds", "plotly.js", "openapi.json"):
        answer = ana.get(path)
        assert answer.status_code == 200, path
        assert "script-src" not in answer.headers["Content-Security-Policy"]
        assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert ana.get("web/../app.py").status_code == 404
    assert ana.get("web/%2e%2e/app.py").status_code == 404


def test_whatever_is_asked_the_answer_is_one_that_the_schema_knows(ana: httpx.Client) -> None:
    from paylake_desk.app import app

    schema = schemathesis.openapi.from_dict(app.openapi())
    asked = set()

    @hypothesis_settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def fuzz(operation: Any, data: st.DataObject) -> None:
        case = data.draw(operation.as_strategy())
        case.headers = {**(case.headers or {}), **ana.headers}
        # That a period begins before it ends is in no schema.
        case.call_and_validate(base_url=str(ana.base_url).rstrip("/"), excluded_checks=[positive_data_acceptance])

    for result in schema.get_all_operations():
        operation = result.ok()  # type: ignore[union-attr]
        asked.add(operation.path)
        fuzz(operation)
    assert len(asked) > 10
