"""Scoring in the warehouse: what counts was scored before, whoever scored it, however it was cut, whatever failed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from include.fraud.lease import acquire
from include.fraud.list_changes import change_list
from include.fraud.lists import snooze_of
from include.fraud.rulebook import RULES_FILE, load_rules
from include.fraud.scorer import Scorer
from include.fraud.settle import open_staging, settle
from include.fraud.sink import Batch, Sink
from include.lake.records import BronzeRecord
from include.postgres import connect
from include.settings import Settings
from tests.support.fraud_sink import batch, no_records, use_rules
from tests.support.judging import classify_records
from tests.support.records import ARRIVED_MS, in_bronze, payment
from tests.support.waiting import wait_until
from tests.support.warehouse import warehouse_copy

pytestmark = pytest.mark.integration

START = datetime(2026, 1, 30, 12, tzinfo=UTC)
WATCHED = """
version: "watched"
alert_at: 100
features: [{name: payments, entity: user, function: count, window: 1 hour}]
rules:
  - {id: dear, says: "{amount} is dear", when: amount > 50, weight: 100, mode: alert}
  - {id: often, says: "{payments} payments before", when: payments >= 1, weight: 60, mode: alert}
  - {id: online, says: "by {channel}", when: channel = 'Online', weight: 100, mode: shadow}
  - {id: asleep, says: never, when: amount > 1, weight: 100, mode: "off"}
"""


def tiny(number: int, user: str = "U1", seconds: int = 0, **changes: Any) -> BronzeRecord:
    """A small payment online, by which cards are tested."""
    when = (START + timedelta(seconds=seconds)).isoformat()
    usual = {"user_id": user, "amount": "1.5", "channel": "Online", "location": "Porto", "timestamp": when}
    return in_bronze(number, payment(f"T{number:04}") | usual | changes)


def a_log(rng: random.Random) -> list[BronzeRecord]:
    """Records of few users in one partition: bursts, jumps from place to place, late ones, duplicates, refused ones."""
    made: list[BronzeRecord] = []
    for number in range(60):
        changes: dict[str, Any] = {"merchant_id": rng.choice(["M0001", "M0002"])}
        if rng.random() < 0.4:
            city = rng.choice(["Tokyo", "London", "Porto"])
            changes |= {"channel": "POS", "location": city, "amount": rng.choice(["40", "7"])}
        kind = rng.random()
        if kind < 0.1:
            changes["amount"] = "-1"
        elif kind < 0.2 and made:
            changes["txn_id"] = f"T{rng.randrange(number):04}"
        made.append(
            tiny(number, rng.choice(["U1", "U2"]), rng.choice([number, number * 60, rng.randrange(7200)]), **changes)
        )
    return made


def said(conn: psycopg.Connection) -> list[list[tuple[Any, ...]]]:
    """All that was said of transactions, but for when."""
    return [
        conn.execute(statement).fetchall()
        for statement in (
            "SELECT txn_id, score, reasons, evidence, rules_version, lists_version FROM fraudtransaction ORDER BY 1",
            "SELECT txn_id, score, rules_version, lists_version FROM genuinetransaction ORDER BY 1",
            "SELECT txn_id, rule, mode, evidence FROM ops.rule_hit ORDER BY 1, 2",
            "SELECT user_id, alerts, amount, first_timestamp FROM cases ORDER BY case_id",
            "SELECT merchant_id, risk_level FROM ops.merchant_as_scored ORDER BY 1, since",
        )
    ]


def parts_of(records: Sequence[BronzeRecord], rng: random.Random, fails: bool) -> Any:
    """A batch's parts; if it ``fails``, the database goes away once, after some of them were settled."""
    middle = rng.randrange(len(records) + 1)
    away = iter([fails])

    def parts() -> Iterator[pa.Table]:
        yield classify_records(records[:middle])
        if next(away, False):
            raise psycopg.OperationalError("the database went away")
        yield classify_records(records[middle:])

    return parts


@pytest.mark.parametrize("seed", range(4))
def test_any_cut_any_restart_and_any_failure_give_the_same_verdicts(template: str, seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311
    log = a_log(rng)
    outcomes = []
    for cut in (len(log), 1, 7, 20):
        with warehouse_copy(template) as dsn, connect(dsn) as conn:
            lease = acquire(conn, "test")
            sink = Sink(dsn, lease, Scorer(), no_records, Event(), patience=10)
            for number, first in enumerate(range(0, len(log), cut)):
                if rng.random() < 0.3:
                    sink.close()
                    sink = Sink(dsn, lease, Scorer(), no_records, Event(), patience=10)
                records = log[first : first + cut]
                sink.write(Batch("checkpoint", number, parts_of(records, rng, fails=rng.random() < 0.2)))
            sink.close()
            outcomes.append(said(conn))
    assert len(outcomes[0][0]) > 5
    for outcome in outcomes[1:]:
        assert outcome == outcomes[0]


def test_a_driver_that_was_restarted_remembers_everybody(own: Settings, conn: psycopg.Connection) -> None:
    users = [f"U{number}" for number in range(120)]
    write(own, 0, *(tiny(number, user) for number, user in enumerate(users * 2)))
    write(own, 1, *(tiny(240 + number, user, seconds=60) for number, user in enumerate(users)))
    told = conn.execute(
        "SELECT user_id, fired -> 'values' ->> 'user_tiny_online_10m'"
        " FROM fraudtransaction, jsonb_array_elements(evidence) AS fired"
        " WHERE fired ->> 'rule' = 'card_testing' AND bronze_offset >= 240"
    )
    assert dict(told.fetchall()) == dict.fromkeys(users, "2")


def test_what_somebody_else_scored_counts_at_once(own: Settings, conn: psycopg.Connection, sink: Sink) -> None:
    """As a redrive does, while the stream remembers what it has scored."""
    sink.write(batch(0, tiny(0, seconds=0)))
    with connect(own.warehouse_dsn) as other, other.transaction():
        open_staging(other)
        settle(other, classify_records([tiny(1, seconds=1)]), Scorer())
    (fraud,) = sink.write(batch(1, tiny(2, seconds=2))).frauds
    (evidence,) = fraud["evidence"]
    assert (evidence["rule"], evidence["values"]["user_tiny_online_10m"]) == ("card_testing", "2")


def test_a_record_that_fails_has_those_forgotten_who_were_in_its_batch_and_nobody_else(
    own: Settings, conn: psycopg.Connection
) -> None:
    scorer = Scorer()
    sink = Sink(own.warehouse_dsn, acquire(conn, "test"), scorer, no_records, Event(), patience=10)
    users = [f"U{number}" for number in range(8)]
    sink.write(batch(0, *(tiny(number, user) for number, user in enumerate(users * 2))))
    conn.execute("ALTER TABLE genuinetransaction ADD CHECK (user_id <> 'U666')")
    counts = sink.write(batch(1, tiny(20, "U6"), tiny(21, "U666"), tiny(22, "U7", amount="600"))).counts
    assert counts is not None
    assert (counts.quarantined, counts.fraud + counts.genuine) == (1, 2)
    recalled = scorer.recalled
    others = sink.write(batch(2, *(tiny(30 + number, user, seconds=60) for number, user in enumerate(users[:6]))))
    assert scorer.recalled == recalled
    touched = sink.write(batch(3, *(tiny(40 + number, user, seconds=60) for number, user in enumerate(users[6:]))))
    found = {one["user_id"]: one["evidence"][0]["values"]["user_tiny_online_10m"] for one in others.frauds}
    assert found == dict.fromkeys(users[:6], "2")
    found = {one["user_id"]: one["evidence"][0]["values"]["user_tiny_online_10m"] for one in touched.frauds}
    assert found == {"U6": "3", "U7": "2"}
    sink.close()


def test_who_scores_waits_for_who_does(own: Settings, conn: psycopg.Connection) -> None:
    scorer = Scorer()
    with connect(own.warehouse_dsn) as other, ThreadPoolExecutor(1) as background:
        with conn.transaction():
            first = scorer.next_moment(conn)
            later = background.submit(moment_of_another, other)
            waits = "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = %s"
            with connect(own.warehouse_dsn) as watcher:
                pid = other.info.backend_pid
                wait_until(lambda: watcher.execute(waits, (pid,)).fetchone() == (True,), "the other one waits")
            second = scorer.next_moment(conn)
        assert first.at < second.at < later.result(timeout=30)


def moment_of_another(conn: psycopg.Connection) -> datetime:
    with conn.transaction():
        return Scorer().next_moment(conn).at


def test_what_makes_nothing_fraud_is_kept_beside_the_verdict(own: Settings, conn: psycopg.Connection) -> None:
    use_rules(conn, WATCHED)
    write(own, 0, tiny(0, amount="10"), tiny(1, seconds=1, amount="10"), tiny(2, seconds=2, amount="60"))
    assert conn.execute("SELECT txn_id, score FROM genuinetransaction ORDER BY 1").fetchall() == [
        ("T0000", 0),
        ("T0001", 60),
    ]
    frauds = conn.execute("SELECT txn_id, score, reasons, rules_version FROM fraudtransaction").fetchall()
    assert frauds == [("T0002", 160, ["dear", "often"], "watched")]
    hits = conn.execute("SELECT txn_id, rule, mode, evidence ->> 'message' FROM ops.rule_hit ORDER BY 1, 2").fetchall()
    assert hits == [
        ("T0000", "online", "shadow", "by Online"),
        ("T0001", "often", "alert", "1 payments before"),
        ("T0001", "online", "shadow", "by Online"),
        ("T0002", "online", "shadow", "by Online"),
    ]
    compared = conn.execute("SELECT rule, hits, on_fraud, on_genuine, share_on_fraud FROM shadow_comparison").fetchall()
    assert [(*row[:4], float(row[4])) for row in compared] == [("online", 3, 1, 2, 0.333333)]


def test_a_change_of_a_list_counts_from_the_next_batch_on_and_a_snooze_until_it_ends(
    own: Settings, conn: psycopg.Connection, sink: Sink
) -> None:
    why: dict[str, Any] = {"reason": "because", "by": "ana"}
    at_merchant: dict[str, Any] = {"merchant_id": "M0002", "amount": "40"}
    assert sink.write(batch(0, tiny(0, **at_merchant))).frauds == []
    change_list(conn, load_rules(RULES_FILE).all_lists, "suspicious_merchants", "add", "M0002", **why)
    (fraud,) = sink.write(batch(1, tiny(1, seconds=60, **at_merchant))).frauds
    assert fraud["evidence"][0]["values"]["suspicious_merchants"] == "yes"
    snooze = snooze_of("suspicious_merchant", "user")
    soon = datetime.now(UTC) + timedelta(seconds=2)
    change_list(conn, load_rules(RULES_FILE).all_lists, snooze, "add", "U1", until=soon, **why)
    assert sink.write(batch(2, tiny(2, seconds=120, **at_merchant))).frauds == []
    assert conn.execute("SELECT txn_id, rule, mode FROM ops.rule_hit").fetchall() == [
        ("T0002", "suspicious_merchant", "snoozed")
    ]
    wait_until(lambda: datetime.now(UTC) > soon, "the end of the snooze")
    assert len(sink.write(batch(3, tiny(3, seconds=180, **at_merchant))).frauds) == 1
    versions = "SELECT txn_id, lists_version FROM {} ORDER BY 1"
    assert conn.execute(versions.format("genuinetransaction")).fetchall() == [("T0000", 0), ("T0002", 2)]
    assert conn.execute(versions.format("fraudtransaction")).fetchall() == [("T0001", 1), ("T0003", 2)]


def test_what_was_known_of_a_merchant_is_noted_when_it_changes(conn: psycopg.Connection, sink: Sink) -> None:
    newest = "SELECT max(scored_at) FROM genuinetransaction"
    known = f"SELECT merchant_id, risk_level, since = ({newest}) FROM ops.merchant_as_scored"  # noqa: S608
    sink.write(batch(0, tiny(0)))
    assert conn.execute(known).fetchall() == [("M1", None, True)]
    sink.write(batch(1, tiny(1, "U2")))
    assert conn.execute(known).fetchall() == [("M1", None, False)]


def write(own: Settings, batch_id: int, *records: BronzeRecord) -> None:
    with connect(own.warehouse_dsn) as conn:
        lease = acquire(conn, "test")
    sink = Sink(own.warehouse_dsn, lease, Scorer(), no_records, Event(), patience=10)
    sink.write(batch(batch_id, *records))
    sink.close()


def test_records_of_one_partition_are_scored_by_offset_and_those_of_several_as_they_came(
    own: Settings, conn: psycopg.Connection
) -> None:
    """Clocks that go back do not turn a partition's order round."""
    use_rules(conn, WATCHED)
    came = {0: ARRIVED_MS + 100, 1: ARRIVED_MS + 50}
    first = [tiny(number) for number in range(2)]
    others = [tiny(number, merchant_id="M0002") for number in (2, 3)]
    records = [
        *(BronzeRecord("t", 0, number, ARRIVED_MS, came[number], one.value) for number, one in enumerate(first)),
        *(
            BronzeRecord("t", 1, number, ARRIVED_MS, ARRIVED_MS + 70 * (number + 1), one.value)
            for number, one in enumerate(others)
        ),
    ]
    write(own, 0, *records)
    before = "SELECT txn_id, evidence -> 'values' ->> 'payments' FROM ops.rule_hit WHERE rule = 'often' ORDER BY 2"
    # Partition 1's first came at 70, partition 0's at 100 and, by its offset, again 100, partition 1's second at 140.
    assert conn.execute(before).fetchall() == [("T0000", "1"), ("T0001", "2"), ("T0003", "3")]
