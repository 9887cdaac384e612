"""The lake at the page: what it says beside what the stores have, and quarantine down to a record's bytes."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx
import psycopg
import pytest

from include.assets.registry import ASSETS
from include.domains import MERCHANTS, TRANSACTIONS
from include.postgres import connect
from include.quarantine import rows as quarantine
from include.quarantine.rows import QuarantineRow
from include.settings import Settings
from include.status.flow import flow
from tests.support.airflow_server import AirflowServer
from tests.support.records import ARRIVED_MS, encoded, merchant, payment
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration

HOSTILE = '{"merchant_id": "M1", "merchant_name": "<script>alert(1)</script>\u202egnp.exe", "a": "\\ud800", "n": 1e400}'
VALUES: dict[int, bytes | None] = {
    0: HOSTILE.encode(),
    1: b"\xff\xfe<script>alert(1)</script>\x00",
    2: None,
    3: b"",
    4: ("\u00e4" * 100_000).encode(),
}
NOT_JSON = ((None, "not_json"),)
PATTERN = (("merchant_name", "pattern"), ("country", "pattern"))


def refused(
    offset: int, raw: bytes | None, reasons: Sequence[tuple[str | None, str]], domain: str = MERCHANTS.name
) -> QuarantineRow:
    told = [{"field": field, "code": code, "message": f"<b>{code}</b>"} for field, code in reasons]
    return QuarantineRow(domain, domain, f"desk-{domain}", 0, offset, ARRIVED_MS, ARRIVED_MS, raw, told, "1.0.0")


@pytest.fixture(scope="module")
def conn(desk_warehouse: str) -> Iterator[psycopg.Connection]:
    """The page's warehouse, with records in quarantine, some of which keep today's contract."""
    rows = [
        *(refused(offset, raw, NOT_JSON) for offset, raw in VALUES.items()),
        *(refused(offset, encoded(merchant(offset)), PATTERN) for offset in range(10, 13)),
        refused(20, encoded(payment("TQ1", user_id="U77")), (("amount", "range"),), TRANSACTIONS.name),
        *(refused(offset, b"x", NOT_JSON, "accounts") for offset in range(1_001)),
    ]
    with connect(desk_warehouse) as conn:
        quarantine.store(conn, rows)
        yield conn


def records(ana: httpx.Client, **chosen: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ana.get("api/quarantine/records", params=chosen).raise_for_status().json()
    return found


def show(ana: httpx.Client, offset: int, topic_id: str = "desk-merchants") -> dict[str, Any]:
    place: dict[str, Any] = {"topic_id": topic_id, "partition": 0, "offset": offset}
    found: dict[str, Any] = ana.get("api/quarantine/record", params=place).raise_for_status().json()
    return found


def awaited(ask: Callable[[], dict[str, Any] | None], what: str) -> dict[str, Any]:
    """The first answer that is one."""
    answers: list[dict[str, Any] | None] = [None]

    def answered() -> bool:
        answers.append(ask())
        return answers[-1] is not None

    wait_until(answered, what, 60)
    assert answers[-1] is not None
    return answers[-1]


def test_the_lake_is_what_status_says(
    ana: httpx.Client, settings: Settings, desk_warehouse: str, conn: psycopg.Connection
) -> None:
    since = datetime.now(UTC)

    def seen() -> dict[str, Any] | None:
        found: dict[str, Any] | None = ana.get("api/lake").raise_for_status().json()["lake"]
        # Another test may have had the lake looked at before the records of this one came.
        return found if found and datetime.fromisoformat(found["at"]) > since else None

    lake = awaited(seen, "a look at the lake")
    told = flow(replace(settings, warehouse_dsn=desk_warehouse))
    assert {(one["layer"], one["name"]): one["rows"] for one in lake["layers"]} == {
        (one.layer, one.name): one.rows for one in told.layers if one.domain
    }
    assert {(one["layer"], one["domain"]): one["behind_records"] for one in lake["layers"] if one["before"]} == {
        (one.layer, one.domain): one.records
        for one in told.lags
        # The rollup by day has a delay, and no rows in status.
        if (one.layer, one.domain) in {(part.layer, part.domain) for part in told.layers}
    }
    assert {one["layer"]: one["quarantined"] for one in lake["layers"] if one["domain"] == "merchants"} == {
        "bronze": None,
        "silver": 8,
        "gold": None,
    }
    assert [one["name"] for one in lake["assets"]] == [one.name for one in told.assets] == list(ASSETS)
    assert lake["newest_verdict"] is not None
    problems = {(one["check"], one["subject"]) for one in lake["problems"]}
    # No DAG was read into this Airflow, and that is told as well.
    assert {check for check, _ in problems - {(one.check, one.subject) for one in told.problems}} == {"missing_dag"}
    assert ("missing_dag", "silver_merchants") in problems


def test_an_asset_shows_what_the_registry_says_of_it_and_where_its_columns_go(ana: httpx.Client) -> None:
    spec = ASSETS["silver/processed-merchants"]
    shown = ana.get("api/assets/silver/processed-merchants").raise_for_status().json()["asset"]
    assert (shown["description"], shown["owners"]) == (spec.description, list(spec.owners))
    assert (shown["code_version"], shown["contract_version"]) == (spec.code_version, spec.contract_version)
    assert (shown["inputs"], shown["feeds"]) == (["bronze/merchant-folder"], ["gold/MERCHANTS"])
    columns = {one["column"]["name"]: one for one in shown["columns"]}
    assert list(columns) == [column.name for column in spec.columns]
    risk = columns["risk_level"]
    assert "Low, Medium, High" in risk["column"]["rule"]
    assert risk["column"]["sources"] == [{"asset": "bronze/merchant-folder", "column": "risk_level"}]
    assert risk["feeds"] == [{"asset": "gold/MERCHANTS", "column": "risk_level"}]
    assert ana.get("api/assets/silver/nothing").status_code == 404


def test_reasons_are_counted_as_the_warehouse_counts_them(ana: httpx.Client, conn: psycopg.Connection) -> None:
    found = awaited(lambda: _counted(ana), "the count")
    rows = conn.execute(
        "SELECT domain, r ->> 'field', r ->> 'code', count(*)"
        " FROM ops.quarantine, jsonb_array_elements(reasons) AS r WHERE redriven_at IS NULL GROUP BY 1, 2, 3"
    )
    assert {(one["domain"], one["field"], one["code"], one["records"]) for one in found["reasons"]} == set(rows)
    assert found["records"] == 5 + 3 + 1 + 1_001


def _counted(ana: httpx.Client) -> dict[str, Any] | None:
    found: dict[str, Any] = ana.get("api/quarantine").raise_for_status().json()
    # Another test may have had it counted before these records came.
    return found if found["records"] and found["records"] > 1_001 else None


def test_pages_of_a_reason_follow_each_other_without_gap(ana: httpx.Client, conn: psycopg.Connection) -> None:
    seen: list[int] = []
    further: dict[str, Any] = {}
    while page := records(ana, domain="accounts", code="not_json", limit=200, **further):
        seen += [one["offset"] for one in page]
        last = page[-1]
        further = {"before_at": last["quarantined_at"]} | {
            name: last[name] for name in ("topic_id", "partition", "offset")
        }
    assert seen == list(range(1_000, -1, -1))
    assert [one["offset"] for one in records(ana, domain="merchants", field="country")] == [12, 11, 10]
    assert records(ana, domain="merchants", field="country", code="not_json") == []
    assert ana.get("api/quarantine/records", params={"domain": "accounts", "offset": 1}).status_code == 400


def test_whatever_bytes_a_record_holds_they_come_whole_and_as_text(ana: httpx.Client, conn: psycopg.Connection) -> None:
    listed = {one["offset"]: one for one in records(ana, domain="merchants", code="not_json")}
    for offset, raw in VALUES.items():
        shown = show(ana, offset)
        assert shown["record"] == listed[offset] | {"beginning": shown["record"]["beginning"]}
        assert shown["record"]["size"] == (None if raw is None else len(raw))
        if raw is None:
            assert (shown["base64"], shown["text"]) == (None, None)
        else:
            assert base64.b64decode(shown["base64"]) == raw[: shown["shown_bytes"]]
            assert shown["shown_bytes"] == min(len(raw), 64 * 1024)
    hostile = show(ana, 0)
    assert (hostile["text"], hostile["utf8"]) == (HOSTILE, True)
    assert {one["name"]: one["value"] for one in hostile["fields"]} == {
        "merchant_id": "M1",
        "merchant_name": "<script>alert(1)</script>\u202egnp.exe",
        "a": "\\ud800",
        "n": "1e400",
    }
    binary = show(ana, 1)
    assert (binary["text"], binary["utf8"]) == ("\\xff\\xfe<script>alert(1)</script>\x00", False)
    # Cut, between two characters.
    assert show(ana, 4)["text"] == "\u00e4" * (32 * 1024)
    assert listed[4]["beginning"] == "\u00e4" * 100
    place: dict[str, Any] = {"topic_id": "desk-merchants", "partition": 0, "offset": 999}
    assert ana.get("api/quarantine/record", params=place).status_code == 404


def redrive(client: httpx.Client, **wanted: Any) -> httpx.Response:
    return client.post("api/quarantine/redrive", json=wanted, timeout=120)


def logged(ana: httpx.Client, desk_server: AirflowServer) -> dict[str, Any]:
    """How many redrives Airflow's audit log has, and the newest of them."""
    log = httpx.URL(desk_server.url).join("/api/v2/eventLogs")
    asked: dict[str, Any] = {"event": "paylake_redrive", "order_by": "-id", "limit": 1}
    found: dict[str, Any] = ana.get(log, params=asked).raise_for_status().json()
    return found


def requested(conn: psycopg.Connection) -> list[int]:
    asked = "SELECT record_offset FROM ops.quarantine WHERE redrive_requested_at IS NOT NULL ORDER BY 1"
    return [offset for (offset,) in conn.execute(asked)]


def test_records_that_keep_their_contract_now_are_driven_through_again_after_a_dry_run(
    ana: httpx.Client, vera: httpx.Client, desk_server: AirflowServer, conn: psycopg.Connection
) -> None:
    before = logged(ana, desk_server)["total_entries"]
    assert redrive(vera, dry_run=True, domain="merchants").status_code == 403
    would = redrive(ana, dry_run=True, domain="merchants").raise_for_status().json()
    assert (would["chosen"], would["valid"], would["rejected"]) == (8, {"merchants": 3}, 5)
    assert Counter(one["code"] for one in would["reasons"])["not_utf8"] == 1
    assert requested(conn) == []

    did = redrive(ana, dry_run=False, domain="merchants").raise_for_status().json()
    # No DAG of silver is there to be started.
    assert (did["requested"], did["rejected"], did["woken"]) == ({"merchants": 3}, 5, [])
    assert requested(conn) == [10, 11, 12]

    place = {"topic_id": "desk-transactions", "partition": 0, "offset": 20}
    landed = redrive(ana, dry_run=False, record=place).raise_for_status().json()
    assert (landed["landed"], landed["genuine"]) == ({"transactions": 1}, 1)
    assert conn.execute("SELECT user_id FROM genuinetransaction WHERE txn_id = 'TQ1'").fetchall() == [("U77",)]
    assert [one["offset"] for one in records(ana, domain="transactions", done=True)] == [20]

    newest = logged(ana, desk_server)
    assert newest["total_entries"] == before + 3
    assert [(one["owner"], "transactions" in one["extra"]) for one in newest["event_logs"]] == [("ana", True)]


def test_a_redrive_that_makes_no_sense_is_refused_with_the_reason(ana: httpx.Client, conn: psycopg.Connection) -> None:
    many = redrive(ana, dry_run=True, domain="accounts")
    assert (many.status_code, "More than 1,000 records" in many.json()["detail"]) == (409, True)
    assert redrive(ana, dry_run=True, domain="nothing").status_code == 409
    assert redrive(ana, dry_run=True).status_code == 400
    place = {"topic_id": "desk-merchants", "partition": 0, "offset": 999}
    assert redrive(ana, dry_run=True, record=place).status_code == 404
    assert redrive(ana, dry_run=True, record=place, domain="merchants").status_code == 400
