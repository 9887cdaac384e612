"""Quarantine on real servers: what was refused is found, and shown byte by byte."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from include.domains import MERCHANTS, PROFILES, Domain
from include.lake.coordinates import Coordinates
from include.quality.limit import RejectedLimit
from include.quarantine import alarms, landing
from include.quarantine import rows as quarantine
from include.quarantine.rows import QuarantineRow
from include.settings import Settings
from include.status.warehouse import problems
from include.warehouse.summary import layer_rows
from tests.support.fraud_sink import judge
from tests.support.quarantine import redrive, run_quarantine
from tests.support.records import ARRIVED_MS, TOPIC_ID, in_bronze

pytestmark = pytest.mark.integration

WILD = b'{"txn_id": "T1",\n\x00\xff\x1b[2J\xe2\x80\xae "[bold]": 1}\r\n'


def kept(domain: Domain, offset: int, *reasons: tuple[str | None, str], raw: bytes = b"x") -> QuarantineRow:
    listed = [{"field": field, "code": code, "message": f"{code}!"} for field, code in reasons]
    return QuarantineRow(domain.name, domain.topic, TOPIC_ID, 0, offset, ARRIVED_MS, ARRIVED_MS, raw, listed, "1.0.0")


def test_records_are_found_by_domain_reason_field_time_and_state(
    own: Settings, conn: psycopg.Connection, tmp_path: Path
) -> None:
    rows = [
        kept(PROFILES, 0, ("user_id", "pattern"), ("status", "missing")),
        kept(PROFILES, 1, ("status", "pattern")),
        kept(MERCHANTS, 2, ("country", "missing")),
        kept(MERCHANTS, 3, (None, "not_json")),
    ]
    quarantine.store(conn, rows)
    for row in rows:
        conn.execute(
            "UPDATE ops.quarantine SET quarantined_at = make_timestamptz(2026, 1, %s, 12, 0, 0, 'UTC')"
            " WHERE record_offset = %s",
            (10 + row.offset, row.offset),
        )
    conn.execute("UPDATE ops.quarantine SET redriven_at = now() WHERE record_offset = 2")

    def found(*options: str) -> list[int]:
        code, output, errors = run_quarantine(own, tmp_path, "list", "--json", *options)
        assert code == 0, errors
        report = json.loads(output)
        assert report["records"] == len(report["newest"])
        return [int(one["coordinates"].rsplit("/", 1)[1]) for one in report["newest"]]

    assert found() == [3, 1, 0]
    assert found("--done") == [2]
    assert found("--all", "--domain", "merchants") == [3, 2]
    assert found("--reason", "pattern") == [1, 0]
    assert found("--reason", "pattern", "--field", "status") == [1]
    assert found("--all", "--since", "2026-01-11T12:00:00", "--until", "2026-01-13") == [2, 1]

    code, output, _ = run_quarantine(own, tmp_path, "list", "--json", "--limit", "1")
    report = json.loads(output)
    assert (code, report["records"], len(report["newest"])) == (0, 3, 1)
    assert {"domain": "profiles", "field": "status", "code": "pattern", "records": 1} in report["reasons"]
    assert report["newest"][0]["reasons"] == [{"field": None, "code": "not_json", "message": "not_json!"}]
    assert f"{TOPIC_ID}/0/1" in run_quarantine(own, tmp_path, "list")[1].decode()
    # Done is done everywhere.
    assert quarantine.counts(conn, "merchants") == {"not_json": 1}
    assert next(layer.rows for layer in layer_rows(conn) if layer.name == "quarantine") == 3


def test_the_original_bytes_come_out_exactly_and_are_harmless_on_a_terminal(
    own: Settings, conn: psycopg.Connection, tmp_path: Path
) -> None:
    judge(own.warehouse_dsn, in_bronze(7, WILD))
    place = f"{TOPIC_ID}/0/7"
    assert run_quarantine(own, tmp_path, "show", place, "--raw")[:2] == (0, WILD)
    code, output, _ = run_quarantine(own, tmp_path, "show", place)
    text = output.decode()
    assert code == 0
    assert "not_utf8" in text
    assert "not UTF-8" in text
    assert '"[bold]": 1' in text
    assert all(char.isprintable() or char == "\n" for char in text)
    code, output, _ = run_quarantine(own, tmp_path, "show", place, "--json")
    assert (code, json.loads(output)["size"]) == (0, len(WILD))


@pytest.mark.parametrize("topic_id", ["-q1Sh9dSRuadFX8l3XkQAA", "--yes-9dSRuadFX8l3XkQA"])
def test_a_topic_id_that_begins_like_an_option_is_one_all_the_same(
    own: Settings, conn: psycopg.Connection, tmp_path: Path, topic_id: str
) -> None:
    quarantine.store(conn, [replace(kept(MERCHANTS, 3, ("country", "missing"), raw=b"{}"), topic_id=topic_id)])
    assert run_quarantine(own, tmp_path, "show", "--raw", f"{topic_id}/0/3")[:2] == (0, b"{}")
    assert redrive(own, tmp_path, f"{topic_id}/0/3")[1]["rejected"] == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", "nonsense"],
        ["show", f"{TOPIC_ID}/0/99"],
        ["redrive", "--yes", f"{TOPIC_ID}/0/99"],
        ["redrive", "--yes", "--domain", "merchants", f"{TOPIC_ID}/0/0"],
        ["redrive", "--json"],
        ["redrive", "--yes", "--dryrun"],
        ["list", "--done", "--waiting"],
    ],
    ids=" ".join,
)
def test_what_makes_no_sense_is_refused(own: Settings, tmp_path: Path, arguments: list[str]) -> None:
    code, output, errors = run_quarantine(own, tmp_path, *arguments)
    assert (code, output) == (2, b"")
    assert "Traceback" not in errors


def test_records_of_a_domain_that_left_the_registry_stay_and_are_named(
    own: Settings, conn: psycopg.Connection, tmp_path: Path
) -> None:
    left = replace(MERCHANTS, name="card_disputes")
    quarantine.store(conn, [kept(left, 0, ("country", "missing"), raw=WILD), kept(PROFILES, 1, (None, "not_json"))])
    # Somebody had asked for it while it had its domain, and no run will ever look at that.
    conn.execute("UPDATE ops.quarantine SET redrive_requested_at = now() - interval '1 hour' WHERE record_offset = 0")
    (told,) = problems(conn)
    assert "no such domain" in told.message
    rows = "SELECT domain, raw FROM ops.quarantine WHERE redriven_at IS NULL ORDER BY record_offset"

    code, output, errors = run_quarantine(own, tmp_path, "list", "--domain", "card_disputes", "--json")
    assert (code, json.loads(output)["records"]) == (0, 1), errors
    assert run_quarantine(own, tmp_path, "show", "--raw", f"{TOPIC_ID}/0/0")[:2] == (0, WILD)
    code, output, errors = run_quarantine(own, tmp_path, "show", f"{TOPIC_ID}/0/0")
    assert (code, b"no domain card_disputes any more" in output) == (0, True), errors
    assert run_quarantine(own, tmp_path, "redrive", "--dry-run")[0] == 1
    assert len(list(problems(conn))) == 1

    code, report = redrive(own, tmp_path)
    assert (code, report["chosen"], report["rejected"], report["landed"]) == (1, 2, 2, {})
    assert report["reasons"] == [
        {"domain": "card_disputes", "field": None, "code": "unknown_domain", "records": 1},
        {"domain": "profiles", "field": None, "code": "not_json", "records": 1},
    ]
    assert conn.execute(rows).fetchall() == [("card_disputes", WILD), ("profiles", b"x")]
    assert problems(conn) == []
    code, output, errors = run_quarantine(own, tmp_path, "redrive", "--yes", f"{TOPIC_ID}/0/0")
    assert (code, b"no domain card_disputes any more" in output) == (1, True), errors
    assert run_quarantine(own, tmp_path, "list", "--domain", "cards")[:2] == (2, b"")


def test_an_alarm_of_a_domain_that_left_the_registry_can_be_accepted(
    own: Settings, conn: psycopg.Connection, tmp_path: Path
) -> None:
    alarms.count(conn, "card_disputes", 1000, 900, RejectedLimit(0.5))
    code, output, errors = run_quarantine(own, tmp_path, "accept", "--domain", "card_disputes", "--yes")
    assert (code, b"accepted: card_disputes" in output) == (0, True), errors
    assert alarms.open_alarms(conn) == []


def test_records_go_to_the_domain_that_reads_their_topic_now(conn: psycopg.Connection) -> None:
    old, new = replace(MERCHANTS, name="shops"), MERCHANTS
    quarantine.store(conn, [kept(old, offset, ("country", "missing")) for offset in (0, 1)])
    # Under its new name silver reads bronze from the beginning: it refuses the one and takes in the other.
    assert quarantine.store(conn, [kept(new, 0, ("country", "pattern"))]) == 1
    landing.enter(conn, new, "run", [Coordinates(TOPIC_ID, 0, 1)], [])
    assert landing.land(conn, new, "run") == 1
    found = "SELECT domain, reasons -> 0 ->> 'code', redriven_at IS NOT NULL FROM ops.quarantine ORDER BY record_offset"
    assert conn.execute(found).fetchall() == [("merchants", "pattern", False), ("merchants", "missing", True)]
