"""Which rules are in use: promoted between two batches, put in by a start, gone back to, refused."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from include.casework.lists import app as lists_app
from include.casework.rules import app as rules_app
from include.fraud.promotion import Approval, promote, promotions, put_in, rules_in_use
from include.fraud.rulebook import RULES_VARIABLE, RulesError, load_rules
from include.fraud.scorer import Scorer
from include.fraud.sink import Batch, Sink
from include.quarantine.rows import Selection
from include.redrive.redrive import Redrive
from include.settings import Settings
from tests.support.casework import run_app
from tests.support.fraud_sink import batch, use_rules
from tests.support.judging import classify_records
from tests.support.records import in_bronze, payment

pytestmark = pytest.mark.integration


def file_of(version: str, above: int, feature: str = "count") -> str:
    """Rules by which what is above an amount is fraud; the second rule watches a feature of the user."""
    return f"""
version: "{version}"
alert_at: 100
features: [{{name: before, entity: user, function: {feature}, window: 1 hour}}]
lists: {{of_{version}: {{of: users, entries: []}}}}
rules:
  - {{id: dear, says: "{{amount}} is dear", when: amount > {above}, weight: 100, mode: alert}}
  - {{id: watch, says: "{{before}}", when: before >= 1, weight: 1, mode: shadow}}
"""


def versions(conn: psycopg.Connection) -> dict[str, tuple[str, bool]]:
    """By transaction: the rules it was judged by, and whether it is fraud."""
    told = conn.execute("SELECT txn_id, rules_version, is_fraud FROM transactions")
    return {txn_id: (version, is_fraud) for txn_id, version, is_fraud in told}


def watched(conn: psycopg.Connection) -> dict[str, str]:
    return dict(conn.execute("SELECT txn_id, evidence ->> 'message' FROM ops.rule_hit WHERE rule = 'watch'").fetchall())


def record(number: int, amount: str = "10") -> Any:
    return in_bronze(number, payment(f"T{number:04}", amount=amount, user_id="U1"))


def test_a_promotion_counts_from_the_next_batch_on_with_its_own_features(conn: psycopg.Connection, sink: Sink) -> None:
    use_rules(conn, file_of("one", above=50))
    sink.write(batch(0, record(0), record(1)))
    use_rules(conn, file_of("two", above=5, feature="sum"))
    sink.write(batch(1, record(2), record(3)))
    assert versions(conn) == {
        "T0000": ("one", False),
        "T0001": ("one", False),
        "T0002": ("two", True),
        "T0003": ("two", True),
    }
    # The new feature knows what was scored by the old rules.
    assert watched(conn) == {"T0001": "1", "T0002": "20.0000", "T0003": "30.0000"}
    use_rules(conn, file_of("one", above=50), by="bob", note="two was too strict")
    sink.write(batch(2, record(4)))
    assert versions(conn)["T0004"] == ("one", False)
    assert versions(conn)["T0002"] == ("two", True), "a verdict is of its time"
    told = [(one.number, one.version, one.promoted_by, one.note) for one in promotions(conn)]
    assert told == [(3, "one", "bob", "two was too strict"), (2, "two", "ana", None), (1, "one", "ana", None)]


def test_a_batch_whose_transaction_is_rolled_back_begins_anew_with_the_new_rules(
    conn: psycopg.Connection, sink: Sink
) -> None:
    use_rules(conn, file_of("one", above=50))
    again = iter([True])

    def parts() -> Any:
        yield classify_records([record(0)])
        if next(again, False):
            raise psycopg.OperationalError("the database went away")
        yield classify_records([record(1)])

    sink.write(batch(0, record(9)))
    use_rules(conn, file_of("two", above=5))
    sink.write(Batch("checkpoint-1", 1, parts))
    assert versions(conn) == {"T0009": ("one", False), "T0000": ("two", True), "T0001": ("two", True)}


def test_a_redrive_judges_by_the_rules_of_now(conn: psycopg.Connection, sink: Sink) -> None:
    use_rules(conn, file_of("one", above=50))
    sink.write(batch(0, record(0)))
    # A record that was refused by a contract of before: today's takes it.
    conn.execute(
        "INSERT INTO ops.quarantine (domain, topic, topic_id, partition_id, record_offset, kafka_timestamp_ms, raw,"
        " reasons, contract_version) SELECT 'transactions', 'transactions', topic_id, partition_id, 1,"
        " 0, %s, '[{}]', '0' FROM ops.transaction_seen",
        [record(1).value],
    )
    use_rules(conn, file_of("two", above=5))
    found = Redrive(conn, Selection(domain="transactions", done=False), lambda _frauds: None).drive()
    assert found.fraud == 1
    assert versions(conn) == {"T0000": ("one", False), "T0001": ("two", True)}


def test_rules_that_this_version_does_not_understand_stop_the_batch_and_refuse_no_record(
    conn: psycopg.Connection, sink: Sink
) -> None:
    later = file_of("later", above=5).replace("amount > 5", "moon(amount)")
    conn.execute("UPDATE ops.scoring SET rules_promotion = 1")
    conn.execute(
        "INSERT INTO ops.rules_promotion (number, version, content, promoted_by) VALUES (1, 'later', %s, 'somebody')",
        [later],
    )
    with pytest.raises(RulesError, match=r"rules later in the warehouse:7: rule dear: .*moon"):
        sink.write(batch(0, record(0)))
    assert versions(conn) == {}
    assert conn.execute("SELECT count(*) FROM ops.quarantine").fetchone() == (0,)
    use_rules(conn, file_of("mended", above=5))
    sink.write(batch(0, record(0)))
    assert versions(conn) == {"T0000": ("mended", True)}


def test_a_version_has_one_content_for_ever(conn: psycopg.Connection) -> None:
    first = use_rules(conn, file_of("one", above=50))
    with pytest.raises(RulesError, match=r"there is a version one with other content, promoted by ana at 20"):
        use_rules(conn, file_of("one", above=60))
    assert use_rules(conn, file_of("one", above=50)) == first, "to do it again changes nothing"
    assert use_rules(conn, "# only a comment" + file_of("one", above=50)) == first
    assert len(promotions(conn)) == 1


def test_what_was_approved_beside_other_rules_is_not_promoted(conn: psycopg.Connection) -> None:
    asked_at = use_rules(conn, file_of("one", above=50)).number
    use_rules(conn, file_of("two", above=40))
    approval = Approval("eve", "manual__2", datetime.now(UTC))
    with pytest.raises(RulesError, match=r"two was promoted by ana at .* after the approval of three was asked for"):
        promote(conn, file_of("three", above=30), approval, after=asked_at)
    assert rules_in_use(conn).version == "two"


def test_a_start_puts_the_file_in_until_somebody_has_approved_rules(
    conn: psycopg.Connection, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "rules.yaml"

    def started_with(text: str) -> str:
        path.write_text(text, encoding="utf-8")
        return put_in(conn, path).version

    assert started_with(file_of("one", above=50)) == "one"
    assert started_with(file_of("one", above=50)) == "one"
    assert started_with(file_of("two", above=40)) == "two"
    # An edited file that was put back.
    assert started_with(file_of("one", above=50)) == "one"
    assert [(one.version, one.promoted_by, one.approved_in) for one in promotions(conn)] == [
        ("one", "paylake", None),
        ("two", "paylake", None),
        ("one", "paylake", None),
    ]
    with pytest.raises(
        RulesError, match=r"rules\.yaml: there is a version two with other content, promoted by paylake"
    ):
        started_with(file_of("two", above=41))
    with pytest.raises(RulesError, match=r"rules\.yaml:4"):
        started_with("version: '9'\nalert_at: 1\nrules: []\nfeatures: 5\n")
    use_rules(conn, file_of("three", above=30))
    with caplog.at_level(logging.WARNING):
        assert started_with(file_of("four", above=20)) == "three"
    assert "rules three stay in use, which ana approved at 20" in caplog.text
    assert f"./paylake rules promote {path}" in caplog.text
    assert rules_in_use(conn).version == "three"


def test_without_a_promotion_the_file_counts(
    own: Settings, conn: psycopg.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(file_of("mine", above=50), encoding="utf-8")
    monkeypatch.setenv(RULES_VARIABLE, str(path))
    with conn.transaction():
        scorer = Scorer()
        scorer.next_moment(conn)
        assert scorer.rules.version == "mine"
    assert rules_in_use(conn).version == load_rules().version


def test_the_command_lists_and_shows_what_was_promoted_and_lists_are_those_of_the_rules_in_use(
    own: Settings, conn: psycopg.Connection, tmp_path: Path
) -> None:
    code, said, _ = run_app(rules_app, own, "list")
    assert (code, said.startswith("None were put in yet")) == (0, True)
    use_rules(conn, file_of("one", above=50))
    use_rules(conn, file_of("two", above=40), by="bob", note="fewer [red]alerts")
    code, said, _ = run_app(rules_app, own, "list")
    newest, oldest = (line for line in said.splitlines() if "manual__1" in line)
    assert [word in newest for word in ("in use", "two", "bob", "fewer [red]alerts")] == [True] * 4
    assert ["in use" in oldest, "one" in oldest, "ana" in oldest] == [False, True, True]
    listed = json.loads(run_app(rules_app, own, "list", "--json")[1])["promotions"]
    assert [(one["number"], one["promoted_by"]) for one in listed] == [(2, "bob"), (1, "ana")]
    assert run_app(rules_app, own, "show", "one")[:2] == (0, file_of("one", above=50))
    assert run_app(rules_app, own, "show")[:2] == (0, file_of("two", above=40))
    code, _, error = run_app(rules_app, own, "show", "three")
    assert (code, "there are two, one" in error) == (2, True)
    assert "of_two" in run_app(lists_app, own, "list")[1]

    path = tmp_path / "mine.yaml"
    for text, reason in (
        ("version: 1\n", "mine.yaml:"),
        (file_of("one", above=1), "give this one a version of its own"),
    ):
        path.write_text(text, encoding="utf-8")
        code, _, error = run_app(rules_app, own, "promote", str(path))
        assert (code, reason in error.replace("\n", " ")) == (1, True), error
    path.write_text(file_of("two", above=40), encoding="utf-8")
    code, said, _ = run_app(rules_app, own, "promote", str(path))
    assert (code, "two are in use already" in said) == (0, True)
