"""The evaluation on a real Kafka and a real warehouse: what counts, and what must not."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from confluent_kafka.admin import AdminClient
from psycopg.sql import SQL, Identifier
from psycopg.types.json import Jsonb

from include.evaluate import CaseScore, RuleScore, ScenarioScore, cli, evaluate
from include.generators.producer import RecordProducer
from include.generators.records import encode
from include.kafka.topics import TOPICS, TopicSpec, UnknownTopicError, ensure_topics
from include.postgres import connect
from include.settings import Settings
from include.stack.cli import alone
from include.warehouse.schema import apply_schema
from tests.support.casework import run_app
from tests.support.warehouse import scratch_database

pytestmark = pytest.mark.integration
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture
def warehouse(settings: Settings) -> Iterator[Settings]:
    """The settings with an empty warehouse of the test's own."""
    with scratch_database(settings) as dsn:
        with connect(dsn) as conn:
            apply_schema(conn)
        yield dataclasses.replace(settings, warehouse_dsn=dsn)


@pytest.fixture
def labels(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A topic of labels of the test's own."""
    topic = f"test_labels_{os.urandom(4).hex()}"
    monkeypatch.setitem(TOPICS, topic, TopicSpec(topic, 3))
    admin = AdminClient({"bootstrap.servers": settings.kafka_bootstrap_servers})
    ensure_topics(admin, [topic])
    yield topic
    admin.delete_topics([topic])[topic].result()


def send(settings: Settings, topic: str, *values: bytes | tuple[str, str | None]) -> None:
    with RecordProducer({"bootstrap.servers": settings.kafka_bootstrap_servers}) as producer:
        for value in values:
            if isinstance(value, tuple):
                txn_id, scenario = value
                value = encode({"txn_id": txn_id, "scenario": scenario, "is_fraud": scenario is not None})
            producer.send(topic, None, value)


def judge(settings: Settings, txn_id: str, *reasons: str, **columns: object) -> None:
    """Store a verdict: fraud for the reasons given, genuine without one."""
    row: dict[str, object] = {
        "txn_id": txn_id, "user_id": "U1", "amount": 10, "merchant_id": "M1", "channel": "POS", "location": "Rome",
        "timestamp": NOON, "date": NOON.date(), "time": NOON.time(), "month": 1, "year": 2026, "rules_version": "1",
        "bronze_topic_id": "t", "bronze_partition": 0, "bronze_offset": 0, **columns,
    }  # fmt: skip
    if reasons:
        row |= {"reasons": list(reasons), "evidence": Jsonb([{"rule": r} for r in reasons])}
    with connect(settings.warehouse_dsn) as conn:
        conn.execute(
            SQL("INSERT INTO {} ({}) VALUES ({})").format(
                Identifier("fraudtransaction" if reasons else "genuinetransaction"),
                SQL(", ").join(map(Identifier, row)),
                SQL(", ").join([SQL("%s")] * len(row)),
            ),
            list(row.values()),
        )


def test_labels_and_verdicts_are_compared_and_the_rest_is_not_counted(warehouse: Settings, labels: str) -> None:
    send(
        warehouse,
        labels,
        ("T1", "huge_amount"),
        ("T2", "huge_amount"),
        ("T2", "huge_amount"),  # the same label twice
        ("T3", "card_testing"),
        ("T4", "card_testing"),  # without a verdict
        ("T5", None),
        ("T6", None),
        ("T7", None),  # without a verdict
        b"{",
        b"",
    )
    judge(warehouse, "T1", "huge_amount")
    judge(warehouse, "T2", "huge_amount", "high_online_amount")
    judge(warehouse, "T3")
    judge(warehouse, "T5")
    judge(warehouse, "T6", "huge_amount")  # a false alarm
    judge(warehouse, "T8")  # without a label
    judge(warehouse, "T9", "risky_location")  # without a label
    result = evaluate(warehouse, labels)
    assert result.scenarios == (ScenarioScore("card_testing", 2, 0, 1), ScenarioScore("huge_amount", 2, 2, 0))
    assert result.rules == (RuleScore("high_online_amount", 1, 1), RuleScore("huge_amount", 3, 2))
    assert (result.labels, result.labels_without_verdict, result.unreadable_labels) == (7, 2, 2)
    assert result.verdicts_without_label == 2
    assert (result.genuine_passed, result.genuine_alarmed) == (1, 1)
    assert result.precision == pytest.approx(2 / 3)
    assert result.recall == pytest.approx(2 / 3)


def test_verdicts_are_ranked_by_score_and_old_ones_by_what_they_were(warehouse: Settings, labels: str) -> None:
    case = b'{"txn_id": "%s", "scenario": "theft", "is_fraud": true, "case_id": "line\\n\\"1\\""}'
    send(warehouse, labels, case % b"T1", case % b"T2", ("T3", "theft"), ("T4", None), ("T5", None))
    judge(warehouse, "T1", score=40, timestamp=NOON)
    judge(warehouse, "T2", "fast", "dear", score=120, user_id="U2", timestamp=NOON + timedelta(days=9))
    judge(warehouse, "T3", "dear", amount="10.0001")  # of before scores were noted: 100
    judge(warehouse, "T4", "dear", amount=10)
    judge(warehouse, "T5", amount=99)  # 0, whatever its amount
    result = evaluate(warehouse, labels)
    # T2, T3, then T4, which is cheaper by a ten-thousandth, T1 and T5.
    assert result.by_score.average_precision == pytest.approx((1 + 1 + 3 / 4) / 3)
    assert result.by_score.precision_at_100 == pytest.approx((2 / 4 + 1) / 2)
    assert result.by_score.scenarios == {"theft": result.by_score.average_precision}
    assert result.by_amount.average_precision == pytest.approx((1 / 2 + 2 / 3 + 3 / 4) / 3)
    assert result.cases == (CaseScore("theft", 2, 2, 1),)
    assert result.rules == (RuleScore("dear", 3, 2), RuleScore("fast", 1, 1))


def test_a_rule_is_measured_in_whatever_mode_it_fired(
    warehouse: Settings, labels: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(warehouse, labels, ("T1", "theft"), ("T2", "theft"), ("T3", None), ("T4", "theft"))
    judge(warehouse, "T1", "dear")
    judge(warehouse, "T2")
    judge(warehouse, "T3")
    judge(warehouse, "T5")  # without a label
    note = "INSERT INTO ops.rule_hit SELECT %s, %s, %s, '1', '{}', now()"
    with connect(warehouse.warehouse_dsn) as conn:
        hits = [("T1", "watching", "shadow"), ("T2", "dear", "alert"), ("T2", "new_city", "snoozed")]
        hits += [("T3", "dear", "alert"), ("T3", "watching", "shadow"), ("T5", "dear", "alert")]
        conn.cursor().executemany(note, [*hits, ("T4", "dear", "alert")])
    result = evaluate(warehouse, labels)
    assert result.rules == (
        RuleScore("dear", 1, 1),
        RuleScore("dear", 2, 1, "alert"),
        RuleScore("new_city", 1, 1, "snoozed"),
        RuleScore("watching", 2, 1, "shadow"),
    )
    assert result.precision_of("dear") == 1.0
    monkeypatch.setattr(cli, "evaluate", lambda _settings: result)
    code, output, _ = run_app(alone(cli.evaluate_command), warehouse)
    assert code == 0
    rows = [line.split("  ") for line in output.splitlines()]
    assert ["dear", "with too little weight", "2", "1", "50.0%", "50.0%"] in [
        [cell.strip() for cell in row if cell.strip()] for row in rows
    ]


def test_no_labels_is_an_empty_evaluation(warehouse: Settings, labels: str) -> None:
    judge(warehouse, "T1", "huge_amount")
    result = evaluate(warehouse, labels)
    assert (result.labels, result.verdicts_without_label, result.precision) == (0, 1, None)


def test_no_topic_is_an_error_that_names_it(warehouse: Settings) -> None:
    with pytest.raises(UnknownTopicError, match="no_labels_here"):
        evaluate(warehouse, "no_labels_here")
