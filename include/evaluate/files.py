"""A labelled log in files, judged and measured as the warehouse's verdicts are."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from include.domains import TRANSACTIONS
from include.evaluate.labels import Label
from include.evaluate.measure import JUDGED_AND_LABELLED, measure
from include.evaluate.result import Evaluation
from include.evaluate.rows import json_rows
from include.fraud.features import MarkKind
from include.fraud.marked import Mark
from include.fraud.marks import micros_of
from include.fraud.replay import judge_log
from include.fraud.rules import Rules
from include.quality.columns import (
    RECORD_SCHEMA,
    REJECTED,
    TOMBSTONE,
    VALID,
    classify_batch,
    outcome_schema,
    with_outcome,
)

UNNAMED_SCENARIO = "unnamed"
"""The scenario of a fraud whose label names none."""
_ROWS_AT_ONCE = 50_000


class _LabelRow(BaseModel):
    """A label as whoever made the file wrote it: ``is_fraud`` may be 0 or 1, what identifies may be a number."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    txn_id: str = Field(min_length=1)
    is_fraud: bool
    scenario: str | None = None
    case_id: str | None = None
    known_at: AwareDatetime | None = None


def evaluate_files(transactions: Path, labels: Path, rules: Rules) -> tuple[Evaluation, list[str]]:
    """Judge the transactions by these rules, in the order of their timestamps, and measure that against the labels.

    Transactions have the fields of their contract; labels have ``txn_id``, ``is_fraud`` and, where known, ``scenario``,
    ``case_id`` and ``known_at``: from then on features over marks know it. A row that is no transaction or no label is
    refused: it does not count, and the second of what is returned says which row of which file it is, and why. Of
    several transactions with one ``txn_id`` the first row counts, of several labels that of a fraud.

    Raises:
        FileError: a file cannot be read.
    """
    log, refused = _read_log(transactions)
    truth, no_labels = _read_labels(labels)
    judged = judge_log(log, rules, {}, list(_marks(log, truth)))
    labelled = pa.array([one in truth for one in judged["txn_id"].to_pylist()], pa.bool_())
    log, judged = log.filter(labelled), judged.filter(labelled)
    of_log = [truth.pop(one) for one in judged["txn_id"].to_pylist()]
    columns = {
        **{name: log[name] for name in ("txn_id", "user_id", "amount", "timestamp")},
        "score": judged["score"],
        "caught": pc.greater_equal(judged["score"], rules.alert_at),
        "reasons": judged["reasons"],
        "scenario": pa.array([one.scenario for one in of_log], pa.string()),
        "case_id": pa.array([one.case_id for one in of_log], pa.string()),
    }
    evaluation = measure(
        pa.table(columns).cast(JUDGED_AND_LABELLED),
        Counter(one.scenario for one in truth.values()),
        without_label=len(labelled) - judged.num_rows,
        unreadable=len(no_labels),
    )
    return evaluation, refused + no_labels


def _marks(log: pa.Table, truth: Mapping[str, Label]) -> Iterator[Mark]:
    """What labels say that tell when they became known, as marks of the transactions in the log."""
    for row in log.select(["txn_id", "user_id", "merchant_id"]).to_pylist():
        label = truth.get(row["txn_id"])
        if label is not None and label.known_at is not None:
            kind = MarkKind.FALSE_ALARM if label.scenario is None else MarkKind.CONFIRMED
            yield Mark(row["user_id"], row["merchant_id"], kind, micros_of(label.known_at), None)


def _read_log(path: Path) -> tuple[pa.Table, list[str]]:
    """The valid transactions, each txn_id once and ordered by time, and what is to be said of the other rows."""
    schema = outcome_schema(TRANSACTIONS)
    taken_ms = int(time.time() * 1000)
    rows, start = json_rows(path), 0
    valid: list[pa.Table] = [schema.empty_table()]
    refused: list[str] = []
    while values := list(islice(rows, _ROWS_AT_ONCE)):
        columns = {
            "topic_id": pa.repeat(pa.scalar(path.name), len(values)),
            "partition": pa.repeat(pa.scalar(0, pa.int32()), len(values)),
            "offset": pa.array(np.arange(start, start + len(values))),
            "timestamp_ms": pa.repeat(pa.scalar(taken_ms), len(values)),
            "taken_ms": pa.repeat(pa.scalar(taken_ms), len(values)),
            "value": pa.array(values, pa.binary()),
        }
        records = pa.RecordBatch.from_arrays(list(columns.values()), schema=RECORD_SCHEMA)
        outcomes = pa.Table.from_batches(classify_batch(TRANSACTIONS, records), schema)
        valid.append(with_outcome(outcomes, VALID))
        refused += _refusals(path, outcomes)
        start += len(values)
    log = pa.concat_tables(valid).sort_by([("timestamp", "ascending"), ("offset", "ascending")])
    first = log.group_by("txn_id").aggregate([("offset", "min")])["offset_min"]
    return log.filter(pc.is_in(log["offset"], first)), refused


def _refusals(path: Path, outcomes: pa.Table) -> Iterator[str]:
    """What is wrong with each row that is no transaction, in the order of the file."""
    for row in with_outcome(outcomes, REJECTED).sort_by("offset").to_pylist():
        reasons = "; ".join(f"{reason['field'] or 'row'}: {reason['message']}" for reason in json.loads(row["reasons"]))
        yield f"{path.name}, row {row['offset'] + 1}{_named(row['value'])}: {reasons}"
    for offset in with_outcome(outcomes, TOMBSTONE)["offset"].to_pylist():
        yield f"{path.name}, row {offset + 1}: null"


def _named(value: bytes) -> str:
    """The txn_id of a row that may be anything."""
    try:
        row = json.loads(value)
    except ValueError:
        return ""
    return f" ({row['txn_id']})" if isinstance(row, dict) and isinstance(row.get("txn_id"), str) else ""


def _read_labels(path: Path) -> tuple[dict[str, Label], list[str]]:
    """The label of each txn_id, and what is to be said of the rows that are none."""
    found: dict[str, Label] = {}
    refused: list[str] = []
    for number, value in enumerate(json_rows(path), 1):
        try:
            row = _LabelRow.model_validate_json(value)
        except ValidationError as error:
            reasons = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'row'}: {e['msg']}" for e in error.errors())
            refused.append(f"{path.name}, row {number}{_named(value)}: {reasons}")
            continue
        scenario = (row.scenario or UNNAMED_SCENARIO) if row.is_fraud else None
        known = found.get(row.txn_id)
        if known is None or known.scenario is None:
            case_id = row.case_id if row.is_fraud else None
            found[row.txn_id] = Label(row.txn_id, scenario, case_id, row.known_at)
    return found, refused
