"""The verdicts of the warehouse against the labels in Kafka."""

from __future__ import annotations

import json
from collections.abc import Mapping
from tempfile import TemporaryFile
from typing import Any

import psycopg
import pyarrow as pa
from psycopg import IsolationLevel
from pyarrow import csv

from include.evaluate.labels import parse_label
from include.evaluate.measure import JUDGED_AND_LABELLED, measure
from include.evaluate.result import Evaluation, RuleScore
from include.kafka.scan import scan
from include.kafka.topics import LABELS_TOPIC
from include.kafka.unreadable import Unreadable
from include.postgres import connect
from include.settings import Settings
from include.sql import load_sql

_AS_COPIED = {field.name: field.type for field in JUDGED_AND_LABELLED} | {
    "timestamp": pa.int64(),
    "reasons": pa.string(),
}


def evaluate(settings: Settings, labels_topic: str = LABELS_TOPIC) -> Evaluation:
    """Compare all labels that Kafka holds with the verdicts in the warehouse.

    The labels are read first, then the verdicts in one snapshot: so labels that have no verdict *yet* are as few as
    can be.

    Raises:
        UnknownTopicError: there is no topic of labels.
        psycopg.Error: the warehouse cannot be read; TopicTimeoutError, KafkaException: nor can Kafka.
    """
    with connect(settings.warehouse_dsn, "paylake-evaluate") as conn:
        unreadable = unite_labels(conn, settings.kafka_config, labels_topic)
        conn.isolation_level = IsolationLevel.REPEATABLE_READ
        with conn.transaction():
            conn.execute(load_sql("evaluate/settle_labels"))
            judged = _judged(conn)
            (verdicts,) = conn.execute(load_sql("evaluate/count_all_verdicts")).fetchone() or (0,)
            without_verdict: dict[str | None, int] = dict(
                conn.execute(load_sql("evaluate/count_without_verdict")).fetchall()
            )
            not_counted = [RuleScore(*row) for row in conn.execute(load_sql("evaluate/count_hits"))]
    return measure(
        judged,
        without_verdict,
        without_label=verdicts - judged.num_rows,
        unreadable=unreadable,
        not_counted=not_counted,
    )


def unite_labels(conn: psycopg.Connection, kafka_config: Mapping[str, Any], topic: str = LABELS_TOPIC) -> int:
    """Put the labels of Kafka and the marks of analysts into the session's table ``label``, one for each transaction.

    Returns how many records of the topic were no label.

    Raises:
        UnknownTopicError: there is no such topic.
    """
    unreadable = 0

    def count(found: Unreadable) -> None:
        nonlocal unreadable
        unreadable += (found.last or found.first) - found.first + 1

    conn.execute(load_sql("evaluate/stage_labels"))
    with conn.cursor() as cursor, cursor.copy("COPY label_staging FROM STDIN") as copy:
        for message in scan(kafka_config, topic, count):
            label = parse_label(message.value())
            if label is None:
                unreadable += 1
            else:
                copy.write_row((label.txn_id, label.scenario, label.case_id))
    conn.execute("ANALYZE label_staging")
    conn.execute(load_sql("evaluate/unite_labels"))
    return unreadable


def _judged(conn: psycopg.Connection) -> pa.Table:
    """The transactions with label and verdict; through a file, for they may be many millions."""
    with TemporaryFile() as file:
        with conn.cursor() as cursor, cursor.copy(load_sql("evaluate/copy_judged")) as copy:
            for block in copy:
                file.write(block)
        file.seek(0)
        read = csv.read_csv(
            file,
            parse_options=csv.ParseOptions(newlines_in_values=True),
            convert_options=csv.ConvertOptions(
                column_types=_AS_COPIED,
                true_values=["t"],
                false_values=["f"],
                strings_can_be_null=True,
                null_values=[""],
                quoted_strings_can_be_null=False,
            ),
        )
    reasons = [json.loads(one) if one else [] for one in read["reasons"].to_pylist()]
    place = read.schema.get_field_index("reasons")
    return read.set_column(place, "reasons", pa.array(reasons, pa.list_(pa.string()))).cast(JUDGED_AND_LABELLED)
