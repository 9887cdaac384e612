"""Records classified as a stream's worker does it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict

import pyarrow as pa

from include.domains import TRANSACTIONS, Domain
from include.lake.records import BronzeRecord
from include.quality.columns import RECORD_SCHEMA, classify_batch, outcome_schema


def classify_records(records: Iterable[BronzeRecord], domain: Domain = TRANSACTIONS) -> pa.Table:
    """A table with ``outcome_schema``, in another order than the records."""
    batch = pa.RecordBatch.from_pylist([asdict(record) for record in records], RECORD_SCHEMA)
    return pa.Table.from_batches(classify_batch(domain, batch), outcome_schema(domain))
