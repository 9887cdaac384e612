"""Quarantine on real servers: what was refused is found, shown byte by byte, and lands once when it is driven again."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import psycopg
import pytest

from include.domains import MERCHANTS, PROFILES, TRANSACTIONS, Domain
from include.fraud.lease import acquire
from include.fraud.rules import RULES_FILE, load_rules
from include.fraud.settle import Counts, open_staging, settle_locked
from include.fraud.sink import Batch, Sink
from include.lake.records import BronzeRecord
from include.postgres import connect
from include.quality.limit import RejectedLimit
from include.quarantine import landing
from include.settings import Settings
from include.status.warehouse import problems
from include.warehouse import alarms, quarantine
from include.warehouse.quarantine import Coordinates, QuarantineRow
from include.warehouse.summary import layer_rows
from tests.support.fraud import judged, warehouse_copy, warehouse_template
from tests.support.quarantine import allow_amounts_up_to_1000, redrive, run_quarantine, start_quarantine, stricter
from tests.support.servers import wait_until

pytestmark = pytest.mark.integration

TOPIC_ID = "topic-one-------------"
ARRIVED_MS = 1_769_947_200_000
WILD = b'{"txn_id": "T1",\n\x00\xff\x1b[2J\xe2\x80\xae "[bold]": 1}\r\n'


@pytest.fixture(scope="module")
def template(settings: Settings) -> Iterator[str]:
    with warehouse_template(settings) as dsn:
        yield dsn


@pytest.fixture
def own(template: str, settings: Settings) -> Iterator[Settings]:
    """Settings with an empty warehouse of one's own."""
    with warehouse_copy(template) as dsn:
        yield replace(settings, warehouse_dsn=dsn)


@pytest.fixture
def conn(own: Settings) -> Iterator[psycopg.Connection]:
    with connect(own.warehouse_dsn) as conn:
        yield conn


@pytest.fixture
def old_contract(tmp_path: Path) -> Domain:
    """Transactions of more than 1000 were refused by it; today's contract takes them."""
    return stricter(TRANSACTIONS, tmp_path, allow_amounts_up_to_1000)


def body(txn_id: str, **changes: Any) -> dict[str, Any]:
    plain = {
        "txn_id": txn_id,
        "user_id": "U0001",
        "amount": 12.5,
        "merchant_id": "M0001",
        "channel": "POS",
        "location": "Berlin",
        "timestamp": "2026-01-31 13:45:00",
    }
    return plain | changes


def record(offset: int, value: dict[str, Any] | bytes) -> BronzeRecord:
    raw = json.dumps(value).encode() if isinstance(value, dict) else value
    return BronzeRecord(TOPIC_ID, 0, offset, ARRIVED_MS, ARRIVED_MS, raw)


def judge(settings: Settings, domain: Domain, *records: BronzeRecord, checkpoint: str = "first") -> Counts | None:
    """What the fraud stream does with a batch of records, under the contract of ``domain``."""
    with connect(settings.warehouse_dsn) as conn:
        lease = acquire(conn, "test")
    sink = Sink(settings.warehouse_dsn, lease, load_rules(RULES_FILE), lambda *_: False, Event(), patience=30)
    try:
        batch = Batch(checkpoint, 0, lambda: [judged(records, domain)])
        return sink.write(batch).counts
    finally:
        sink.close()


def verdicts(conn: psycopg.Connection) -> dict[str, list[tuple[str, int]]]:
    """Ids and offsets in each place that a transaction can have."""
    places = {
        "fraud": "SELECT txn_id, bronze_offset FROM fraudtransaction ORDER BY 2",
        "genuine": "SELECT txn_id, bronze_offset FROM genuinetransaction ORDER BY 2",
        "duplicate": "SELECT txn_id, record_offset FROM ops.transaction_duplicate ORDER BY 2",
        "waiting": "SELECT 'refused', record_offset FROM ops.quarantine WHERE redriven_at IS NULL ORDER BY 2",
        "done": "SELECT 'refused', record_offset FROM ops.quarantine WHERE redriven_at IS NOT NULL ORDER BY 2",
    }
    return {place: conn.execute(query).fetchall() for place, query in places.items()}


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
    judge(own, TRANSACTIONS, record(7, WILD))
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


def test_transactions_land_once_after_the_contract_was_mended_and_the_others_stay(
    own: Settings, conn: psycopg.Connection, tmp_path: Path, old_contract: Domain
) -> None:
    records = [
        record(0, body("T0", amount=5000)),
        record(1, body("T1", amount=200_000)),
        record(2, b"not json"),
        record(3, body("T3", amount=2000)),
        record(4, body("T3", amount=1)),
        record(5, body("T5", amount=3000)),
        record(6, body("T5", amount=3000)),
    ]
    judge(own, old_contract, *records)
    before = verdicts(conn)
    assert before["waiting"] == [("refused", offset) for offset in (0, 1, 2, 3, 5, 6)]

    code, output, errors = run_quarantine(own, tmp_path, "redrive", "--dry-run", "--json")
    assert (code, json.loads(output)["valid"]) == (1, {"transactions": 5}), errors
    assert run_quarantine(own, tmp_path, "redrive")[0] == 1  # nobody there to say yes
    assert verdicts(conn) == before

    code, report = redrive(own, tmp_path)
    assert code == 1
    assert (report["chosen"], report["landed"], report["rejected"]) == (6, {"transactions": 5}, 1)
    assert (report["fraud"], report["genuine"], report["duplicates"]) == (1, 2, 2)
    assert report["reasons"] == [{"domain": "transactions", "field": None, "code": "not_json", "records": 1}]
    landed = {
        "fraud": [("T1", 1)],
        "genuine": [("T0", 0), ("T3", 4), ("T5", 5)],
        "duplicate": [("T3", 3), ("T5", 6)],
        "waiting": [("refused", 2)],
        "done": [("refused", offset) for offset in (0, 1, 3, 5, 6)],
    }
    assert verdicts(conn) == landed

    assert redrive(own, tmp_path, f"{TOPIC_ID}/0/0")[1]["already_done"] == 1
    code, report = redrive(own, tmp_path, "--reason", "out_of_range")
    assert (code, report["chosen"]) == (0, 0)
    assert verdicts(conn) == landed


def test_a_fraud_that_lands_is_printed_as_the_stream_prints_it(
    own: Settings, tmp_path: Path, old_contract: Domain
) -> None:
    judge(own, old_contract, record(0, body("T1", amount=200_000)))
    code, output, _ = run_quarantine(own, tmp_path, "redrive", "--yes")
    (line,) = [line for line in output.decode().splitlines() if line.startswith("FRAUD")]
    assert code == 0
    assert "T1 user U0001 paid 200,000.00" in line


@contextmanager
def claimed_elsewhere(settings: Settings, txn_id: str) -> Iterator[None]:
    """Hold a claim back for the length of the block: who needs it stands still in the middle of its transaction."""
    with connect(settings.warehouse_dsn) as other, other.transaction(force_rollback=True):
        other.execute("INSERT INTO ops.transaction_seen VALUES (%s, 'fraud', '', 'other', 0, 0)", [txn_id])
        yield


def waiting_redrives(conn: psycopg.Connection) -> int:
    """How many redrives stand still."""
    return conn.execute(
        "SELECT FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name = 'paylake quarantine' AND wait_event_type = 'Lock'"
    ).rowcount


def test_two_redrives_at_once_land_each_record_once(
    own: Settings, conn: psycopg.Connection, tmp_path: Path, old_contract: Domain
) -> None:
    judge(own, old_contract, *(record(offset, body(f"T{offset % 500}", amount=5000)) for offset in range(600)))
    with ThreadPoolExecutor() as pool:
        with claimed_elsewhere(own, "T100"):
            redrives = [pool.submit(redrive, own, tmp_path) for _ in range(2)]
            wait_until(lambda: waiting_redrives(conn) == 2, "both in the middle of the same records")
        reports = [one.result(60) for one in redrives]
    assert [code for code, _ in reports] == [0, 0]
    assert sum(report["chosen"] for _, report in reports) == 600
    found = verdicts(conn)
    assert found["genuine"] == [(f"T{offset}", offset) for offset in range(500)]
    assert [offset for _, offset in found["duplicate"]] == list(range(500, 600))
    assert (len(found["done"]), found["waiting"]) == (600, [])


def test_kill_9_in_the_middle_of_a_redrive_leaves_each_record_in_one_place(
    own: Settings, conn: psycopg.Connection, tmp_path: Path, old_contract: Domain
) -> None:
    judge(own, old_contract, *(record(offset, body(f"T{offset}", amount=5000)) for offset in range(500)))
    with claimed_elsewhere(own, "T250"):
        process = start_quarantine(own, tmp_path, "redrive", "--yes")
        wait_until(lambda: waiting_redrives(conn) == 1, "a redrive in the middle of its second chunk")
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    gone = "SELECT FROM pg_stat_activity WHERE application_name = 'paylake quarantine'"
    wait_until(lambda: conn.execute(gone).fetchone() is None, "the end of its session")
    found = verdicts(conn)
    landed = [offset for _, offset in found["genuine"]]
    assert 0 < len(landed) < 500
    assert [offset for _, offset in found["done"]] == landed
    assert redrive(own, tmp_path)[0] == 0
    found = verdicts(conn)
    assert found["genuine"] == [(f"T{offset}", offset) for offset in range(500)]
    assert (found["fraud"], found["duplicate"], found["waiting"]) == ([], [], [])


def test_what_has_its_place_keeps_it_when_a_stricter_contract_reads_it_again(
    own: Settings, conn: psycopg.Connection, old_contract: Domain
) -> None:
    records = [
        record(0, body("T0", amount=200_000)),
        record(1, body("T1", amount=5000)),
        record(2, body("T1", amount=6000)),
        record(3, body("T3", amount=1)),
    ]
    first = judge(own, TRANSACTIONS, *records)
    before = verdicts(conn)
    assert first == Counts(records=4, fraud=1, genuine=2, duplicates=1, quarantined=0, tombstones=0)
    assert judge(own, old_contract, *records, checkpoint="another, for the first was lost") == first
    assert verdicts(conn) == before


@pytest.mark.parametrize("all_of_them", [True, False], ids=["all ids", "some ids"])
def test_a_record_keeps_its_place_when_a_mended_contract_reads_another_id(
    own: Settings, conn: psycopg.Connection, all_of_them: bool
) -> None:
    """What a contract makes of a record's id is told here by a body that has the other one already."""
    first = [
        record(0, body("T0", amount=200_000)),
        record(1, body("T1")),
        record(2, body("T1", amount=6000)),
        record(3, body("T3" if all_of_them else "T9")),
    ]
    counts = judge(own, TRANSACTIONS, *first)
    before = verdicts(conn)
    assert counts == Counts(records=4, fraud=1, genuine=2, duplicates=1, quarantined=0, tombstones=0)
    again = [
        record(0, body("T-0", amount=200_000)),
        record(1, body("T-1")),
        record(2, body("T-1", amount=6000)),
        record(3, body("T-3" if all_of_them else "T9")),
    ]
    assert judge(own, TRANSACTIONS, *again, checkpoint="another, for the first was lost") == counts
    assert verdicts(conn) == before
    # The other ids are nobody's, so a record that really has one of them gets it.
    assert judge(own, TRANSACTIONS, *again, record(4, body("T-0")), checkpoint="a third") == replace(
        counts, records=5, genuine=3
    )
    assert ("T-0", 4) in verdicts(conn)["genuine"]


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
    landing.enter(conn, new.name, "run", [Coordinates(TOPIC_ID, 0, 1)], [])
    assert landing.land(conn, new.name, "run") == 1
    found = "SELECT domain, reasons -> 0 ->> 'code', redriven_at IS NOT NULL FROM ops.quarantine ORDER BY record_offset"
    assert conn.execute(found).fetchall() == [("merchants", "pattern", False), ("merchants", "missing", True)]


def test_what_waits_lands_when_the_stream_reads_it_again_under_a_mended_contract(
    own: Settings, conn: psycopg.Connection, old_contract: Domain
) -> None:
    records = [record(0, body("T0", amount=5000)), record(1, b"not json"), record(2, body("T2"))]
    assert judge(own, old_contract, *records) == Counts(3, 0, 1, 0, 2, 0)
    assert judge(own, TRANSACTIONS, *records, checkpoint="another") == Counts(3, 0, 2, 0, 1, 0)
    found = verdicts(conn)
    assert found["genuine"] == [("T0", 0), ("T2", 2)]
    assert (found["waiting"], found["done"]) == ([("refused", 1)], [("refused", 0)])
    assert judge(own, old_contract, *records, checkpoint="a third") == Counts(3, 0, 2, 0, 1, 0)
    assert verdicts(conn) == found


def test_a_redrive_and_a_stream_that_reads_again_do_not_give_one_record_two_places(
    own: Settings, conn: psycopg.Connection, old_contract: Domain
) -> None:
    again = record(0, body("T0", amount=5000))
    judge(own, old_contract, again)
    waits = (
        "SELECT FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND wait_event_type = 'Lock'"
    )
    with ThreadPoolExecutor() as pool:
        with connect(own.warehouse_dsn) as lands, lands.transaction():
            open_staging(lands)
            assert quarantine.take_waiting(lands, [Coordinates.of(again)]) == [again]
            settle_locked(lands, judged([again]), load_rules(RULES_FILE), [Coordinates.of(again)])
            # This one still knows the old contract, and refuses the record.
            stream = pool.submit(judge, own, old_contract, again, checkpoint="another")
            wait_until(lambda: conn.execute(waits).fetchone() is not None, "the stream to meet the redrive")
        assert stream.result(60) == Counts(1, 0, 1, 0, 0, 0)
    found = verdicts(conn)
    assert (found["genuine"], found["waiting"], found["done"]) == ([("T0", 0)], [], [("refused", 0)])


def test_transactions_that_came_again_with_another_body_are_shown(own: Settings, conn: psycopg.Connection) -> None:
    judge(
        own,
        TRANSACTIONS,
        record(0, body("T0")),
        record(1, body("T0")),
        record(2, body("T0", amount=99)),
        record(3, body("T3", amount=200_000)),
        record(4, body("T3", location="Paris")),
    )
    conn.execute("SET ROLE paylake_reader")
    found = conn.execute(
        "SELECT txn_id, verdict, bronze_topic_id, bronze_partition, bronze_offset, later_topic_id, later_partition,"
        " later_offset, later_seen_at <= now() FROM transaction_conflicts ORDER BY later_offset"
    ).fetchall()
    assert found == [
        ("T0", "genuine", TOPIC_ID, 0, 0, TOPIC_ID, 0, 2, True),
        ("T3", "fraud", TOPIC_ID, 0, 3, TOPIC_ID, 0, 4, True),
    ]
