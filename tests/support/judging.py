"""Records classified and judged as a stream's worker does it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from include.domains import TRANSACTIONS, Domain
from include.fraud.judged import JUDGED_SCHEMA, judge
from include.fraud.rules import RULE_NAMES, RULES_FILE, Fired, Rules, load_rules
from include.lake.records import BronzeRecord
from include.quality.columns import RECORD_SCHEMA, classify_batch, outcome_schema


def classify_records(domain: Domain, records: Iterable[BronzeRecord]) -> pa.Table:
    """A table with ``outcome_schema``, in another order than the records."""
    batch = pa.RecordBatch.from_pylist([asdict(record) for record in records], RECORD_SCHEMA)
    return pa.Table.from_batches(classify_batch(domain, batch), outcome_schema(domain))


def judged(records: Iterable[BronzeRecord], domain: Domain = TRANSACTIONS, rules: Rules | None = None) -> pa.Table:
    """What the stream's workers make of these records, under the contract of ``domain``."""
    rules = rules or load_rules(RULES_FILE)
    batches = classify_records(domain, records).to_batches()
    return pa.Table.from_batches([judge(batch, rules) for batch in batches], JUDGED_SCHEMA)


def verdict(rules: Rules, row: Mapping[str, Any], merchant_risk: str | None) -> tuple[Fired, ...]:
    """Every rule that fires for one transaction, in the order in which a verdict names them; none: it is genuine."""
    of_merchant = rules.of_merchant(row["merchant_id"], merchant_risk)
    fired = rules.of_transaction(row) + ((of_merchant,) if of_merchant else ())
    return tuple(sorted(fired, key=lambda one: RULE_NAMES.index(one.rule)))
