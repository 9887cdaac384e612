"""Transactions that were refused land once when they are driven again, or read again, under a mended contract."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from include.domains import TRANSACTIONS, Domain
from include.fraud.ledger import Counts
from include.fraud.scorer import Scorer
from include.fraud.settle import open_staging, settle_locked
from include.postgres import connect
from include.quarantine import rows as quarantine
from include.settings import Settings
from tests.support.domains import allow_amounts_up_to_1000, stricter
from tests.support.fraud_sink import judge
from tests.support.judging import classify_records
from tests.support.quarantine import redrive, run_quarantine, start_quarantine
from tests.support.records import TOPIC_ID, in_bronze, payment
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration


@pytest.fixture
def old_contract(tmp_path: Path) -> Domain:
    """Transactions of more than 1000 were refused by it; today's contract takes them."""
    return stricter(TRANSACTIONS, tmp_path, allow_amounts_up_to_1000)


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


def test_transactions_land_once_after_the_contract_was_mended_and_the_others_stay(
    own: Settings, conn: psycopg.Connection, tmp_path: Path, old_contract: Domain
) -> None:
    records = [
        in_bronze(0, payment("T0", amount=5000)),
        in_bronze(1, payment("T1", amount=200_000)),
        in_bronze(2, b"not json"),
        in_bronze(3, payment("T3", amount=2000)),
        in_bronze(4, payment("T3", amount=1)),
        in_bronze(5, payment("T5", amount=3000)),
        in_bronze(6, payment("T5", amount=3000)),
    ]
    judge(own.warehouse_dsn, *records, domain=old_contract)
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
    judge(own.warehouse_dsn, in_bronze(0, payment("T1", amount=200_000)), domain=old_contract)
    code, output, _ = run_quarantine(own, tmp_path, "redrive", "--yes")
    (line,) = [line for line in output.decode().splitlines() if line.startswith("FRAUD")]
    assert code == 0
    assert "T1 user U1 paid 200,000.00" in line


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
    judge(
        own.warehouse_dsn,
        *(in_bronze(offset, payment(f"T{offset % 500}", amount=5000)) for offset in range(600)),
        domain=old_contract,
    )
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
    judge(
        own.warehouse_dsn,
        *(in_bronze(offset, payment(f"T{offset}", amount=5000)) for offset in range(500)),
        domain=old_contract,
    )
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
        in_bronze(0, payment("T0", amount=200_000)),
        in_bronze(1, payment("T1", amount=5000)),
        in_bronze(2, payment("T1", amount=6000)),
        in_bronze(3, payment("T3", amount=1)),
    ]
    first = judge(own.warehouse_dsn, *records)
    before = verdicts(conn)
    assert first == Counts(records=4, fraud=1, genuine=2, duplicates=1, quarantined=0, tombstones=0)
    assert (
        judge(own.warehouse_dsn, *records, domain=old_contract, checkpoint="another, for the first was lost") == first
    )
    assert verdicts(conn) == before


@pytest.mark.parametrize("all_of_them", [True, False], ids=["all ids", "some ids"])
def test_a_record_keeps_its_place_when_a_mended_contract_reads_another_id(
    own: Settings, conn: psycopg.Connection, all_of_them: bool
) -> None:
    """What a contract makes of a record's id is told here by a body that has the other one already."""
    first = [
        in_bronze(0, payment("T0", amount=200_000)),
        in_bronze(1, payment("T1")),
        in_bronze(2, payment("T1", amount=6000)),
        in_bronze(3, payment("T3" if all_of_them else "T9")),
    ]
    counts = judge(own.warehouse_dsn, *first)
    before = verdicts(conn)
    assert counts == Counts(records=4, fraud=1, genuine=2, duplicates=1, quarantined=0, tombstones=0)
    again = [
        in_bronze(0, payment("T-0", amount=200_000)),
        in_bronze(1, payment("T-1")),
        in_bronze(2, payment("T-1", amount=6000)),
        in_bronze(3, payment("T-3" if all_of_them else "T9")),
    ]
    assert judge(own.warehouse_dsn, *again, checkpoint="another, for the first was lost") == counts
    assert verdicts(conn) == before
    # The other ids are nobody's, so a record that really has one of them gets it.
    assert judge(own.warehouse_dsn, *again, in_bronze(4, payment("T-0")), checkpoint="a third") == replace(
        counts, records=5, genuine=3
    )
    assert ("T-0", 4) in verdicts(conn)["genuine"]


def test_what_waits_lands_when_the_stream_reads_it_again_under_a_mended_contract(
    own: Settings, conn: psycopg.Connection, old_contract: Domain
) -> None:
    records = [in_bronze(0, payment("T0", amount=5000)), in_bronze(1, b"not json"), in_bronze(2, payment("T2"))]
    assert judge(own.warehouse_dsn, *records, domain=old_contract) == Counts(3, 0, 1, 0, 2, 0)
    assert judge(own.warehouse_dsn, *records, checkpoint="another") == Counts(3, 0, 2, 0, 1, 0)
    found = verdicts(conn)
    assert found["genuine"] == [("T0", 0), ("T2", 2)]
    assert (found["waiting"], found["done"]) == ([("refused", 1)], [("refused", 0)])
    assert judge(own.warehouse_dsn, *records, domain=old_contract, checkpoint="a third") == Counts(3, 0, 2, 0, 1, 0)
    assert verdicts(conn) == found


def test_a_redrive_and_a_stream_that_reads_again_do_not_give_one_record_two_places(
    own: Settings, conn: psycopg.Connection, old_contract: Domain
) -> None:
    again = in_bronze(0, payment("T0", amount=5000))
    judge(own.warehouse_dsn, again, domain=old_contract)
    waits = (
        "SELECT FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND wait_event_type = 'Lock'"
    )
    with ThreadPoolExecutor() as pool:
        with connect(own.warehouse_dsn) as lands, lands.transaction():
            open_staging(lands)
            assert quarantine.take_waiting(lands, [again.coordinates]) == [again]
            settle_locked(lands, classify_records([again]), Scorer(), [again.coordinates])
            # This one still knows the old contract, and refuses the record.
            stream = pool.submit(judge, own.warehouse_dsn, again, domain=old_contract, checkpoint="another")
            wait_until(lambda: conn.execute(waits).fetchone() is not None, "the stream to meet the redrive")
        assert stream.result(60) == Counts(1, 0, 1, 0, 0, 0)
    found = verdicts(conn)
    assert (found["genuine"], found["waiting"], found["done"]) == ([("T0", 0)], [], [("refused", 0)])


def test_transactions_that_came_again_with_another_body_are_shown(own: Settings, conn: psycopg.Connection) -> None:
    judge(
        own.warehouse_dsn,
        in_bronze(0, payment("T0")),
        in_bronze(1, payment("T0")),
        in_bronze(2, payment("T0", amount=99)),
        in_bronze(3, payment("T3", amount=200_000)),
        in_bronze(4, payment("T3", location="Paris")),
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
