"""Rules tried on what was scored: those in use give the very verdicts again, others are compared with them."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import psycopg
import pyarrow.parquet as pq
import pytest

from include.backtest import scored
from include.backtest.cli import back_test, backtest_command
from include.backtest.report import BackTest, Comparison
from include.cases import reporting, work
from include.domains import BRONZE_BUCKET, TRANSACTIONS
from include.fraud.lease import acquire
from include.fraud.list_changes import change_list
from include.fraud.lists import snooze_of
from include.fraud.rulebook import RULES_FILE, load_rules, parse_rules
from include.fraud.scorer import Scorer
from include.fraud.settle import open_staging, settle
from include.fraud.sink import Batch, Sink
from include.lake.bronze_log import BronzeLog
from include.lake.incoming import IncomingRecords
from include.lake.objects import encode, object_key
from include.lake.records import IncomingRecord
from include.lake.s3 import s3_client
from include.postgres import connect
from include.settings import Settings
from include.stack.cli import alone
from tests.support.bronze import any_topic_id
from tests.support.casework import run_app
from tests.support.fraud_sink import no_records, use_rules
from tests.support.judging import classify_records
from tests.support.records import ARRIVED_MS, encoded, payment
from tests.support.warehouse import rate_merchant

pytestmark = pytest.mark.integration

START = datetime(2026, 1, 30, 12, tzinfo=UTC)
ALWAYS = datetime(1, 1, 1, tzinfo=UTC)
WHY: dict[str, Any] = {"reason": "because", "by": "ana"}


@dataclass
class Log:
    """A topic of a test's own in bronze, which is scored as it grows."""

    own: Settings
    s3: Any
    topic_id: str = field(default_factory=any_topic_id)
    ends: dict[int, int] = field(default_factory=dict)
    added: list[tuple[int, int, int, tuple[bytes, ...]]] = field(default_factory=list)
    batches: int = 0

    def __post_init__(self) -> None:
        with connect(self.own.warehouse_dsn) as conn:
            self.lease = acquire(conn, "test")
        self.sink = Sink(self.own.warehouse_dsn, self.lease, Scorer(), no_records, Event())

    def add(self, partition: int, *values: bytes, came: int) -> tuple[int, int]:
        """One object; where it begins and ends."""
        start = self.ends.get(partition, 0)
        end = self.ends[partition] = start + len(values)
        self.added.append((partition, start, came, values))
        self.put(partition, start, came, values)
        return start, end

    def put(self, partition: int, start: int, came: int, values: Sequence[bytes]) -> None:
        records = [IncomingRecord(start + place, came, None, value) for place, value in enumerate(values)]
        (made,) = encode(
            IncomingRecords.of(records),
            topic=TRANSACTIONS.topic,
            key_fields=TRANSACTIONS.key_fields,
            partition=partition,
            start=start,
            end=start + len(values),
            now_ms=came,
        )
        key = object_key(TRANSACTIONS.bronze_folder, self.topic_id, partition, made.start)
        self.s3.put_object(Bucket=BRONZE_BUCKET, Key=key, Body=made.body, Metadata=made.metadata)

    def read(self, partition: int, start: int, end: int) -> Any:
        return classify_records(list(BronzeLog(self.s3, TRANSACTIONS).read(self.topic_id, partition, start, end)))

    def score(self, *parts: Any) -> None:
        self.sink.write(Batch("checkpoint", self.batches, lambda: list(parts)))
        self.batches += 1


@pytest.fixture
def log(own: Settings) -> Log:
    """Some hundred transactions in two partitions, scored while merchants and lists change and somebody else scores."""
    rng = random.Random(5)  # noqa: S311
    log = Log(own, s3_client(own))
    number = 0

    def some(count: int) -> list[bytes]:
        nonlocal number
        made = []
        for _ in range(count):
            when = START + timedelta(seconds=rng.choice([number, number * 20, rng.randrange(7200)]))
            changes: dict[str, Any] = {
                "user_id": rng.choice(["U1", "U2", "U3"]),
                "merchant_id": rng.choice(["M1", "M2"]),
                "amount": rng.choice(["1.5", "3", "40", "200000"]),
                "channel": rng.choice(["Online", "POS"]),
                "location": rng.choice(["Porto", "Tokyo", "London"]),
                "timestamp": when.isoformat(),
            }
            again = rng.random() < 0.1 and number
            made.append(encoded(payment(f"T{rng.randrange(number) if again else number:04}") | changes))
            number += 1
        return made

    lists = load_rules(RULES_FILE).all_lists
    with connect(own.warehouse_dsn) as conn:
        for turn in range(6):
            came = ARRIVED_MS + turn * 1000
            spans = [(one, *log.add(one, *some(20), came=came + rng.randrange(50))) for one in (0, 1)]
            if turn in (1, 4):
                rate_merchant(conn, "M1", "High" if turn == 1 else "Low")
            if turn == 2:
                change_list(conn, lists, "suspicious_merchants", "add", "M2", **WHY)
            if turn == 3:
                # Of one partition somebody else scores the records, as a redrive does.
                open_staging(conn)
                with conn.transaction():
                    settle(conn, log.read(*spans.pop()), Scorer())
            if turn == 4:
                change_list(conn, lists, "suspicious_merchants", "remove", "M2", **WHY)
                until = datetime(2999, 1, 1, tzinfo=UTC)
                change_list(conn, lists, snooze_of("card_testing", "user"), "add", "U1", until=until, **WHY)
            log.score(*(log.read(*span) for span in spans))
    log.sink.close()
    return log


def tried(own: Settings, text: str, **how: Any) -> BackTest:
    return back_test(own, parse_rules(text, "tried"), ALWAYS, datetime.now(UTC), **how)


def test_the_rules_in_use_give_the_stored_verdicts_exactly(log: Log, own: Settings, conn: psycopg.Connection) -> None:
    result = back_test(own, load_rules(RULES_FILE), ALWAYS, datetime.now(UTC))
    (verdicts,) = conn.execute("SELECT count(*) FROM transactions").fetchone() or (0,)
    (frauds,) = conn.execute("SELECT count(*) FROM fraudtransaction").fetchone() or (0,)
    assert verdicts > 150
    assert (result.transactions, result.same_version, result.different, result.unread) == (verdicts, verdicts, 0, 0)
    assert (result.alerts.fired, result.alerts.stored, result.alerts.new, result.alerts.vanished) == (
        frauds,
        frauds,
        0,
        0,
    )
    assert {rule: alerts.stored for rule, alerts in result.rules.items() if alerts.stored} == dict(
        conn.execute("SELECT rule, frauds FROM fraud_share_by_rule").fetchall()
    )
    assert result.examples == []
    risky = "SELECT count(*) FROM fraudtransaction WHERE 'suspicious_merchant' = ANY(reasons) AND merchant_id = 'M1'"
    assert (conn.execute(risky).fetchone() or (0,))[0] > 5
    # A part of the period knows what was before it, too.
    middle = conn.execute("SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY scored_at) FROM transactions").fetchone()
    assert middle is not None
    later = back_test(own, load_rules(RULES_FILE), middle[0], datetime.now(UTC))
    assert 0 < later.transactions < verdicts
    assert later.different == 0


MARKED = """
version: "marked"
alert_at: 100
features: [{name: known, entity: merchant, function: count, window: 30 days, marked: confirmed}]
rules:
  - {id: dear, says: "{amount} is dear", when: amount > 50, weight: 100, mode: alert}
  - {id: seen, says: "{known} known frauds", when: known >= 1, weight: 100, mode: alert}
"""


def test_marks_count_in_a_back_test_as_they_were_known_then(own: Settings, conn: psycopg.Connection) -> None:
    rules = parse_rules(MARKED, "marked")
    use_rules(conn, MARKED)
    log = Log(own, s3_client(own))
    now = datetime.now(UTC)

    def pay(number: int, amount: int = 5, merchant: str = "M1") -> None:
        record = payment(f"T{number}", amount=amount, merchant_id=merchant, timestamp=now.isoformat(), channel="POS")
        log.score(log.read(0, *log.add(0, encoded(record), came=int(now.timestamp() * 1000) + number)))

    pay(0, amount=60)
    (case,) = work.find_cases(conn)
    pay(1)
    work.mark(conn, case.case_id, "confirmed", "ana")
    pay(2)
    pay(3, merchant="M2")
    work.mark(conn, case.case_id, "false_alarm", "ana")
    pay(4)
    reporting.report(conn, ["T1", "T3", "T4"], "ana")
    pay(5)
    pay(6, merchant="M2")
    log.sink.close()
    said = "SELECT txn_id, evidence -> 0 -> 'values' ->> 'known' FROM fraudtransaction WHERE amount = 5 ORDER BY 1"
    assert conn.execute(said).fetchall() == [("T2", "1"), ("T5", "2"), ("T6", "1")]
    result = back_test(own, rules, ALWAYS, datetime.now(UTC))
    assert (result.transactions, result.same_version, result.different) == (7, 7, 0)
    # All of one user; T2, T5 and T6 are alerts that nobody has looked at, and what was reported was missed.
    assert (result.frauds, result.caught) == (3, 0)


def test_verdicts_of_each_version_are_given_again_by_it_also_where_another_was_promoted_between(
    log: Log, own: Settings, conn: psycopg.Connection
) -> None:
    text = RULES_FILE.read_text(encoding="utf-8")
    usual = load_rules(RULES_FILE).version
    strict = text.replace(f'version: "{usual}"', 'version: "strict"').replace('limit: "100000"', 'limit: "39"')
    came = ARRIVED_MS + 60_000
    for turn, promoted in enumerate((strict, text)):
        use_rules(conn, promoted)
        values = [
            encoded(payment(f"TN{turn}{number}", user_id="U1", amount="40", timestamp=START.isoformat()))
            for number in range(10)
        ]
        log.score(log.read(0, *log.add(0, *values, came=came + turn * 1000)))
    log.sink.close()
    stored: dict[str, int] = dict(
        conn.execute("SELECT rules_version, count(*) FROM transactions GROUP BY 1").fetchall()
    )
    assert stored["strict"] == 10
    for promoted, version in ((strict, "strict"), (text, usual)):
        result = tried(own, promoted)
        assert (result.transactions, result.same_version, result.different) == (
            sum(stored.values()),
            stored[version],
            0,
        )
    # Without a file, the rules in use are tried.
    code, output, _ = run_app(alone(backtest_command), own, "--json")
    assert (code, json.loads(output)["rules_version"]) == (0, usual)


@pytest.mark.parametrize("chunk", [20_000, 15])
def test_what_the_contract_refuses_today_is_remembered_as_it_was_scored(
    log: Log, own: Settings, conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    """Bronze never changes, a contract does; to the back-test a record that was made worse is the same."""
    monkeypatch.setattr(scored, "CHUNK", chunk)
    for partition, start, came, values in log.added:
        now = [b'{"txn_id": "T1"}' if number % 3 == 0 else value for number, value in enumerate(values)]
        log.put(partition, start, came, now)
    result = back_test(own, load_rules(RULES_FILE), ALWAYS, datetime.now(UTC))
    (verdicts,) = conn.execute("SELECT count(*) FROM transactions").fetchone() or (0,)
    assert result.unread > 50
    assert (result.transactions, result.different) == (verdicts - result.unread, 0)
    tests = "SELECT count(*) FROM fraudtransaction WHERE 'card_testing' = ANY(reasons)"
    assert result.rules["card_testing"].fired > 10
    assert (conn.execute(tests).fetchone() or (0,))[0] > result.rules["card_testing"].fired


def test_a_verdict_that_somebody_changed_is_found(log: Log, own: Settings, conn: psycopg.Connection) -> None:
    conn.execute("UPDATE genuinetransaction SET score = 5 WHERE txn_id = (SELECT min(txn_id) FROM genuinetransaction)")
    code, output, _ = run_app(alone(backtest_command), own, str(RULES_FILE), "--json")
    assert code == 1
    assert json.loads(output)["different"] == 1


def test_other_rules_are_compared_with_what_was_said(
    log: Log, own: Settings, conn: psycopg.Connection, tmp_path: Path
) -> None:
    (huge,) = conn.execute("SELECT count(*) FROM transactions WHERE amount > 100000").fetchone() or (0,)
    (forties,) = conn.execute("SELECT count(*) FROM transactions WHERE amount = 40").fetchone() or (0,)
    text = RULES_FILE.read_text(encoding="utf-8").replace('version: "4"', 'version: "tried"')
    text = text.replace('limit: "100000"', 'limit: "39"').replace("id: first_card_test", "id: never_heard_of")
    text = text.replace("when: amount > limit\n", "when: amount > limit and channel <> 'ATM'\n", 1)
    picture = tmp_path / "tried.svg"
    rules = tmp_path / "tried.yaml"
    rules.write_text(text, encoding="utf-8")
    code, output, errors = run_app(alone(backtest_command), own, str(rules), "--json", "--picture", str(picture))
    assert (code, errors) == (0, "")
    found = json.loads(output)
    of_rule = found["rules"]["huge_amount"]
    assert (of_rule["stored"], of_rule["fired"], of_rule["new"], of_rule["vanished"]) == (
        huge,
        huge + forties,
        forties,
        0,
    )
    assert found["alerts"]["new"] > 0
    assert found["same_version"] == 0
    examples = [one for one in found["examples"] if (one["rule"], one["change"]) == ("huge_amount", "new")]
    assert len(examples) == 3
    assert examples[0]["message"] == "amount 40.0000 is above 39"
    assert picture.read_text(encoding="utf-8").startswith("<?xml")
    code, output, _ = run_app(alone(backtest_command), own, str(rules))
    assert code == 0
    assert "new by huge_amount: T" in output


def test_who_is_interrupted_leaves_no_file(
    log: Log, own: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> None:
        assert [path.name for path in tmp_path.iterdir()] == [".features.parquet.unfinished"]
        raise KeyboardInterrupt

    monkeypatch.setattr(Comparison, "finished", interrupted)
    with pytest.raises(KeyboardInterrupt):
        back_test(own, load_rules(RULES_FILE), ALWAYS, datetime.now(UTC), export=tmp_path / "features.parquet")
    assert list(tmp_path.iterdir()) == []


def test_features_of_their_moment_are_exported_with_labels(
    log: Log, own: Settings, conn: psycopg.Connection, tmp_path: Path
) -> None:
    file = tmp_path / "features.parquet"
    back_test(own, load_rules(RULES_FILE), ALWAYS, datetime.now(UTC), export=file)
    rows = {row["txn_id"]: row for row in pq.read_table(file).to_pylist()}
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
    assert len(rows) == (conn.execute("SELECT count(*) FROM transactions").fetchone() or (0,))[0]
    told = conn.execute(
        "SELECT txn_id, (fired -> 'values' ->> 'user_tiny_online_10m')::int"
        " FROM fraudtransaction, jsonb_array_elements(evidence) AS fired WHERE fired ->> 'rule' = 'card_testing'"
    ).fetchall()
    assert told
    assert {txn_id: rows[txn_id]["user_tiny_online_10m"] for txn_id, _ in told} == dict(told)
    assert {row["is_fraud"] for row in rows.values()} == {None}
