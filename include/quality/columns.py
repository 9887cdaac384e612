"""Many records at once: what each of them is, as Arrow columns."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from functools import cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from include.contracts import Field
from include.domains import Domain
from include.lake.coordinates import Span
from include.lake.records import BronzeRecord
from include.quality.classify import Outcome, Rejected, Tombstone, Valid, classify
from include.quality.plain import plain_reader

OUTCOME = "outcome"
VALID, REJECTED, TOMBSTONE = "valid", "rejected", "tombstone"

RECORD_SCHEMA = pa.schema(
    [
        pa.field("topic_id", pa.string(), nullable=False),
        pa.field("partition", pa.int32(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        # Numbers, for a producer may set any 64 bits, and most of those are no date.
        pa.field("timestamp_ms", pa.int64(), nullable=False),
        pa.field("taken_ms", pa.int64(), nullable=False),
        pa.field("value", pa.binary()),
    ]
)
"""Records of bronze, see ``BronzeRecord``."""

_TYPES = {
    "string": pa.string(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "time": pa.string(),
    "timestamp": pa.timestamp("us", "UTC"),
}


@cache
def outcome_schema(domain: Domain) -> pa.Schema:
    """The record; its outcome, and the reasons for which it was rejected, as JSON; the contract's columns if valid."""
    columns = [pa.field(field.name, arrow_type(field)) for field in domain.contract.columns]
    return pa.schema([*RECORD_SCHEMA, pa.field(OUTCOME, pa.string()), pa.field("reasons", pa.string()), *columns])


def arrow_type(field: Field) -> pa.DataType:
    """The Arrow type of a column; times of day are text, ``HH:MM:SS[.ffffff]``, for Spark has no type for them."""
    if field.logical_type == "integer":
        return pa.int64() if field.physical_type == "bigint" else pa.int32()
    if field.logical_type == "number":
        return pa.decimal128(*field.precision_and_scale)
    return _TYPES[field.logical_type]


def classify_batch(domain: Domain, records: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Decide what each record of a batch with `RECORD_SCHEMA` is; yields batches with `outcome_schema`.

    Plain records come first, taken in as columns; about each of the others `classify` is asked.
    """
    reader = plain_reader(domain)
    if reader is not None:
        taken = reader.read(records["value"], records["taken_ms"])
        if taken.mask.true_count:
            yield _plain_batch(domain, records.filter(taken.mask), taken.columns)
        records = records.filter(pc.invert(taken.mask))
    if records.num_rows:
        yield outcome_batch(domain, ((record, classify(domain, record)) for record in bronze_records(records)))


def outcome_batch(domain: Domain, outcomes: Iterable[tuple[BronzeRecord, Outcome]]) -> pa.RecordBatch:
    """Records, and what was decided about each, as a batch with `outcome_schema`."""
    rows = [{**asdict(record), **_outcome_columns(outcome)} for record, outcome in outcomes]
    return pa.RecordBatch.from_pylist(rows, outcome_schema(domain))


def bronze_records(batch: pa.RecordBatch | pa.Table) -> Iterator[BronzeRecord]:
    """The rows of what has the columns of `RECORD_SCHEMA`, as records."""
    for row in zip(*(batch[name].to_pylist() for name in RECORD_SCHEMA.names), strict=True):
        yield BronzeRecord(*row)


def spans(records: pa.Table) -> list[Span]:
    """The span from the first to the last of the records, of each partition that has any."""
    grouped = records.group_by(["topic_id", "partition"]).aggregate([("offset", "min"), ("offset", "max")])
    columns = (grouped[name].to_pylist() for name in ("topic_id", "partition", "offset_min", "offset_max"))
    return list(map(Span, *columns))


def with_outcome(outcomes: pa.Table, outcome: str) -> pa.Table:
    """Those of the records that are ``VALID``, ``REJECTED`` or ``TOMBSTONE``."""
    return outcomes.filter(pc.equal(outcomes[OUTCOME], outcome))


def _plain_batch(domain: Domain, records: pa.RecordBatch, columns: Mapping[str, pa.Array]) -> pa.RecordBatch:
    count = records.num_rows
    outcome = [pa.repeat(pa.scalar(VALID), count), pa.nulls(count, pa.string())]
    own = [columns[field.name] for field in domain.contract.columns]
    return pa.RecordBatch.from_arrays([*records.columns, *outcome, *own], schema=outcome_schema(domain))


def _outcome_columns(outcome: Outcome) -> dict[str, Any]:
    match outcome:
        case Valid(row):
            return {OUTCOME: VALID, **row}
        case Rejected(reasons):
            written = json.dumps([reason.as_dict() for reason in reasons], ensure_ascii=False)
            return {OUTCOME: REJECTED, "reasons": written}
        case Tombstone():
            return {OUTCOME: TOMBSTONE}
