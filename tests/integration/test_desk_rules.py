"""The page's API of rules, lists and back-tests, behind a real Airflow API server."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest

from include.backtest.picture import keep
from include.backtest.report import Alerts, BackTest
from include.cases import work
from include.lake.records import BronzeRecord
from include.lake.s3 import s3_client
from include.postgres import connect
from include.settings import Settings
from tests.support.airflow_server import AirflowServer, airflow_server
from tests.support.fraud_sink import judge, use_rules
from tests.support.records import encoded, payment
from tests.support.warehouse import warehouse_copy

pytestmark = pytest.mark.integration

NOW = datetime.now(UTC)
FIRST = """\
version: "one"
alert_at: 100
lists: {shops: {of: merchants, entries: [M0666]}}
rules:
  - {id: dear, says: "{amount} is above {limit}", when: amount > limit, weight: 100, mode: alert,
     parameters: {limit: "100"}}
"""
SECOND = """\
version: "two"
alert_at: 100
lists: {shops: {of: merchants, entries: [M0666]}}
rules:
  - {id: dear, says: "{amount} is above {limit}", when: amount > limit, weight: 100, mode: alert,
     parameters: {limit: "100"}}
  - {id: hinting, says: "{amount} is odd", when: amount > 40, weight: 10, mode: alert}
  - {id: watching, says: "{amount}", when: amount > 60, weight: 100, mode: shadow}
  - {id: idle, says: "{amount}", when: amount > 1, weight: 100, mode: 'off'}
"""
BROKEN = SECOND.replace("amount > 60", "moon(amount) > 60").replace('"two"', '"three"')


@pytest.fixture(scope="module")
def own_settings(template: str, settings: Settings) -> Iterator[Settings]:
    """A warehouse with payments judged by rules that were promoted twice; two cases are marked."""
    with warehouse_copy(template) as dsn, connect(dsn) as conn:
        use_rules(conn, FIRST)
        use_rules(conn, SECOND, by="bob", note="<b>watch</b> more")
        amounts = {"1A": "150", "1B": "200", "2A": "300", "3A": "70", "3B": "45", "3C": "5"}
        came = int(NOW.timestamp() * 1000)
        records = [
            encoded(
                payment(
                    f"T{name}",
                    user_id=f"U{name[0]}",
                    amount=amount,
                    timestamp=(NOW - timedelta(seconds=10 * number)).isoformat(),
                )
            )
            for number, (name, amount) in enumerate(amounts.items())
        ]
        judge(dsn, *(BronzeRecord("t", 0, n, came, came, value) for n, value in enumerate(records)))
        cases = {case.user_id: case.case_id for case in work.find_cases(conn)}
        work.mark(conn, cases["U1"], "confirmed", "ana")
        work.mark(conn, cases["U2"], "false_alarm", "ana")
        yield replace(settings, warehouse_dsn=dsn)


@pytest.fixture
def conn(own_settings: Settings) -> Iterator[psycopg.Connection]:
    with connect(own_settings.warehouse_dsn) as conn:
        yield conn


@pytest.fixture(scope="module")
def server(own_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirflowServer]:
    """Beside the warehouse it knows the lake, for pictures, and the DAGs of rules."""
    place = psycopg.conninfo.conninfo_to_dict(own_settings.warehouse_dsn)
    login = f"{place['user']}:{place['password']}@{place['host']}:{place['port']}"
    lake = {
        "conn_type": "aws",
        "login": own_settings.s3_access_key_id,
        "password": own_settings.s3_secret_access_key,
        "extra": {"endpoint_url": own_settings.s3_endpoint_url, "region_name": own_settings.s3_region},
    }
    kafka = {"conn_type": "kafka", "extra": {"bootstrap.servers": own_settings.kafka_bootstrap_servers}}
    connections = {
        "warehouse": f"postgres://{login}/{place['dbname']}",
        "lake_s3": json.dumps(lake),
        "kafka_default": json.dumps(kafka),
    }
    with airflow_server(tmp_path_factory.mktemp("airflow"), connections, dags=("rules.py",)) as server:
        yield server


@pytest.fixture(scope="module")
def ana(server: AirflowServer) -> Iterator[httpx.Client]:
    with server.client("ana") as client:
        client.headers["X-Requested-With"] = "paylake"
        yield client


@pytest.fixture(scope="module")
def vera(server: AirflowServer) -> Iterator[httpx.Client]:
    with server.client("vera") as client:
        client.headers["X-Requested-With"] = "paylake"
        yield client


def asked(client: httpx.Client, path: str, **parameters: Any) -> Any:
    return client.get(f"api/{path}", params=parameters).raise_for_status().json()


def test_rules_are_told_as_their_file_says_them_with_who_promoted_them(ana: httpx.Client) -> None:
    told = asked(ana, "rules")
    assert (told["version"], told["alert_at"]) == ("two", 100)
    assert (told["made"]["number"], told["made"]["promoted_by"], told["made"]["note"]) == (
        2,
        "bob",
        "<b>watch</b> more",
    )
    assert [(rule["id"], rule["mode"], rule["weight"]) for rule in told["rules"]] == [
        ("dear", "alert", 100),
        ("hinting", "alert", 10),
        ("watching", "shadow", 100),
        ("idle", "off", 100),
    ]
    dear = told["rules"][0]
    assert (dear["says"], dear["when"], dear["parameters"]) == (
        "{amount} is above {limit}",
        "amount > limit",
        {"limit": "100"},
    )
    assert asked(ana, "rules/text") == {"version": "two", "text": SECOND}


def test_figures_are_those_of_the_warehouse(ana: httpx.Client, conn: psycopg.Connection) -> None:
    told = asked(ana, "rules")
    fired = {(one["rule"], one["mode"]): one for one in told["fired"]}
    counted = conn.execute("SELECT rule, 'counted', count(*) FROM fraudtransaction, unnest(reasons) AS rule GROUP BY 1")
    hits = conn.execute("SELECT rule, mode, count(*) FROM ops.rule_hit GROUP BY 1, 2")
    assert {key: one["fired"] for key, one in fired.items()} == {
        (rule, mode): count for rule, mode, count in [*counted, *hits]
    }
    dear = fired["dear", "counted"]
    # Two payments of a confirmed case, one of a false alarm.
    assert (dear["fired"], dear["confirmed"], dear["false_alarms"], dear["precision"]) == (
        3,
        2,
        1,
        pytest.approx(2 / 3),
    )
    assert fired["hinting", "alert"]["precision"] is None
    latencies = conn.execute(
        "SELECT percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY extract(epoch FROM scored_at - timestamp))"
        " FROM fraudtransaction UNION ALL"
        " SELECT percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY extract(epoch FROM scored_at - timestamp))"
        " FROM transactions"
    ).fetchall()
    assert [[one["p50_seconds"], one["p95_seconds"]] for one in (dear, told["latency"])] == [
        pytest.approx(both) for (both,) in latencies
    ]
    assert told["latency"]["verdicts"] == 6
    before = {"until": (NOW - timedelta(days=1)).isoformat()}
    assert asked(ana, "rules", **before)["fired"] == asked(ana, "rules/shadow", **before) == []
    assert ana.get("api/rules", params={"since": (NOW - timedelta(days=40)).isoformat()}).status_code == 400


def test_shadow_beside_live_is_what_the_view_says(ana: httpx.Client, conn: psycopg.Connection) -> None:
    told = asked(ana, "rules/shadow")
    view = conn.execute("SELECT rule, rules_version, hits, on_fraud, on_genuine FROM shadow_comparison").fetchall()
    assert [
        (one["rule"], one["rules_version"], one["hits"], one["on_fraud"], one["on_genuine"]) for one in told
    ] == view
    assert view == [("watching", "two", 4, 3, 1)]
    assert (told[0]["confirmed"], told[0]["false_alarms"]) == (2, 1)
    hits = asked(ana, "rules/watching/hits")
    assert {one["txn_id"]: one["verdict"] for one in hits} == {
        "T1A": "fraud",
        "T1B": "fraud",
        "T2A": "fraud",
        "T3A": "genuine",
    }
    assert asked(ana, "rules/none/hits") == []


def test_versions_are_told_with_what_each_changed(ana: httpx.Client) -> None:
    assert [(one["number"], one["version"], one["promoted_by"]) for one in asked(ana, "rules/promotions")] == [
        (2, "two", "bob"),
        (1, "one", "ana"),
    ]
    second = asked(ana, "rules/promotions/2")
    assert second["content"] == SECOND
    lines = second["difference"].splitlines()
    assert lines[:2] == ["--- one", "+++ two"]
    assert [line for line in lines if "version" in line] == ['-version: "one"', '+version: "two"']
    assert len([line for line in lines if line.startswith("+  - {id")]) == 3
    assert ana.get("api/rules/promotions/3").status_code == 404


def test_a_list_is_changed_under_the_name_of_who_is_logged_in(
    ana: httpx.Client, vera: httpx.Client, conn: psycopg.Connection
) -> None:
    assert asked(ana, "lists") == {
        "version": 0,
        "lists": [{"name": "shops", "kind": "merchants", "is_snooze": False, "entries": 1}],
    }
    addition = {"change": "add", "value": "M7", "reason": "told by\tthe police", "until": "2999-01-01T00:00:00+01:00"}
    assert vera.post("api/lists/shops", json=addition).status_code == 403
    added = ana.post("api/lists/shops", json=addition).raise_for_status().json()
    assert [one["value"] for one in added["entries"]] == ["M0666", "M7"]
    ana.post("api/lists/shops", json={"change": "remove", "value": "M0666", "reason": "was wrong"}).raise_for_status()
    told = asked(vera, "lists/shops")
    assert [one["value"] for one in told["entries"]] == ["M7"]
    assert [(one["change"], one["value"], one["by"], one["reason"], one["until"]) for one in told["history"]] == [
        ("remove", "M0666", "ana", "was wrong", None),
        ("add", "M7", "ana", "told by the police", "2998-12-31T23:00:00Z"),
    ]
    assert conn.execute("SELECT count(*) FROM ops.list_change").fetchone() == (2,)
    snoozed = {"change": "add", "value": "U1", "reason": "x", "until": "2999-01-01T00:00:00Z"}
    ana.post("api/lists/snooze:dear:user", json=snoozed).raise_for_status()
    assert [one["name"] for one in asked(ana, "lists")["lists"]] == ["shops", "snooze:dear:user"]


@pytest.mark.parametrize(
    ("name", "changes", "status"),
    [
        ("none", {}, 404),
        ("snooze:none:user", {}, 404),
        ("shops", {"value": "shop\u0000"}, 422),
        ("shops", {"value": "x" * 201}, 422),
        ("shops", {"value": "no merchant's"}, 409),
        ("shops", {"change": "remove", "value": "M8"}, 409),
        ("shops", {"until": "2020-01-01T00:00:00Z"}, 409),
        ("shops", {"until": "0001-01-01T00:00:00+05:00"}, 400),
        ("shops", {"change": "remove", "until": "2999-01-01T00:00:00Z"}, 400),
        ("snooze:dear:user", {}, 409),
        ("shops", {"reason": " "}, 422),
        ("shops", {"change": "empty"}, 422),
    ],
)
def test_what_cannot_be_is_refused_in_words(
    ana: httpx.Client, conn: psycopg.Connection, name: str, changes: dict[str, str], status: int
) -> None:
    before = conn.execute("SELECT lists_version FROM ops.scoring").fetchone()
    answer = ana.post(f"api/lists/{name}", json={"change": "add", "value": "M9", "reason": "x"} | changes)
    assert (answer.status_code, bool(answer.json()["detail"])) == (status, True)
    assert conn.execute("SELECT lists_version FROM ops.scoring").fetchone() == before


def airflow_runs(server: AirflowServer, client: httpx.Client, dag_id: str) -> list[dict[str, Any]]:
    """What Airflow itself says of a DAG's runs."""
    answer = httpx.get(f"{server.url}/api/v2/dags/{dag_id}/dagRuns", headers=client.headers, timeout=30)
    found: list[dict[str, Any]] = answer.raise_for_status().json()["dag_runs"]
    return found


def test_a_back_test_is_started_in_airflow_and_shown_with_its_picture(
    server: AirflowServer, own_settings: Settings, ana: httpx.Client, vera: httpx.Client
) -> None:
    wanted = {"rules": SECOND, "since": "2026-01-01T00:00:00", "until": "2026-02-01T01:00:00+01:00"}
    assert vera.post("api/backtests", json=wanted).status_code == 403
    assert asked(vera, "backtests")["runs"] == []
    started = ana.post("api/backtests", json=wanted).raise_for_status().json()
    (run,) = airflow_runs(server, ana, "rules_backtest")
    assert (run["dag_run_id"], run["state"], run["triggering_user_name"]) == (started["run_id"], "queued", "ana")
    assert run["conf"] == {
        "rules": SECOND,
        "since": "2026-01-01T00:00:00+00:00",
        "until": "2026-02-01T00:00:00+00:00",
    }
    path = f"backtests/{started['run_id']}"
    told = asked(vera, path)
    assert (told["run"]["state"], told["run"]["started_by"], told["rules"], told["result"]) == (
        "queued",
        "ana",
        SECOND,
        None,
    )
    assert vera.get(f"api/{path}/picture").status_code == 404

    result = BackTest("two", NOW - timedelta(days=31), NOW, transactions=6, frauds=2, caught=1)
    result.alerts = Alerts(fired=3, stored=2, new=1, on_fraud=1, on_genuine=1)
    result.rules["dear"] = result.alerts
    result.days[date(2026, 1, 1)] = (2, 3)
    s3 = s3_client(own_settings)
    returned = result.as_json() | {"picture": keep(s3, result, f"rules_backtest-{started['run_id']}")}
    push = "import json, sys; from airflow.models.xcom import XComModel; XComModel.set(**json.load(sys.stdin))"
    entry = {"dag_id": "rules_backtest", "task_id": "back_test", "key": "return_value", "run_id": started["run_id"]}
    subprocess.run(
        [sys.executable, "-c", push],
        input=json.dumps(entry | {"value": returned}),
        env=dict(server.environment),
        text=True,
        check=True,
    )
    told = asked(vera, path)
    assert (told["result"]["transactions"], told["result"]["recall"], told["result"]["days"]) == (
        6,
        0.5,
        {"2026-01-01": [2, 3]},
    )
    assert told["result"]["rules"]["dear"] == told["result"]["alerts"]
    assert asked(vera, "backtests")["runs"][0]["result"]["alerts"]["precision"] == 0.5
    picture = vera.get(f"api/{path}/picture").raise_for_status()
    assert (picture.headers["content-type"], picture.content[:8]) == ("image/png", b"\x89PNG\r\n\x1a\n")
    bucket, key = returned["picture"].removeprefix("s3://").split("/", 1)
    s3.delete_object(Bucket=bucket, Key=key)
    assert vera.get(f"api/{path}/picture").status_code == 404

    ana.post("api/backtests", json={"rules": " \n"}).raise_for_status()
    newest = asked(ana, "backtests")["runs"][0]
    assert (newest["of_rules_in_use"], newest["since"], newest["until"]) == (True, None, None)
    assert ana.get("api/backtests/none").status_code == 404


def test_rules_that_make_no_sense_are_refused_with_line_and_reason(server: AirflowServer, ana: httpx.Client) -> None:
    before = len(airflow_runs(server, ana, "rules_backtest"))
    for path in ("backtests", "promotions"):
        answer = ana.post(f"api/{path}", json={"rules": BROKEN})
        assert answer.status_code == 400
        assert answer.json()["detail"].startswith("rules:8: rule watching: ")
        assert "moon" in answer.json()["detail"]
        assert ana.post(f"api/{path}", json={"rules": "a: [\x00"}).status_code == 400
    assert (
        ana.post("api/backtests", json={"since": "2026-02-01T00:00:00", "until": "2026-01-01T00:00:00"}).status_code
        == 400
    )
    assert len(airflow_runs(server, ana, "rules_backtest")) == before
    # A version has one content.
    answer = ana.post("api/promotions", json={"rules": SECOND.replace('"100"', '"90"')})
    assert (answer.status_code, "there is a version two with other content" in answer.json()["detail"]) == (400, True)
    assert airflow_runs(server, ana, "rules_promotion") == []


def test_a_promotion_is_asked_for_in_airflow(
    server: AirflowServer, ana: httpx.Client, vera: httpx.Client, conn: psycopg.Connection
) -> None:
    third = SECOND.replace('"two"', '"three"').replace("'off'", "shadow")
    wanted = {"rules": third, "note": "let it\nwatch"}
    assert vera.post("api/promotions", json=wanted).status_code == 403
    started = ana.post("api/promotions", json=wanted).raise_for_status().json()
    (run,) = airflow_runs(server, ana, "rules_promotion")
    assert (run["dag_run_id"], run["triggering_user_name"]) == (started["run_id"], "ana")
    assert run["conf"] == {"rules": third, "note": "let it watch", "since": None, "until": None}
    assert conn.execute("SELECT count(*) FROM ops.rules_promotion").fetchone() == (2,), "nobody has approved it"
