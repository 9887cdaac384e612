"""A log of transactions, judged outside the stream."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from include.fraud.judged import JUDGED_SCHEMA, judge
from include.fraud.rules import Rules
from include.fraud.staged import staged_columns

ALERT_AT = 100
"""A transaction whose score is at least this is called fraud."""


def judge_log(log: pa.Table, rules: Rules) -> pa.Table:
    """What these rules say of each transaction: ``txn_id``, ``score`` and ``reasons``, the names of those that fired.

    ``log`` has ``outcome_schema``, holds valid transactions alone, each txn_id once, and is ordered by time; so is the
    result. Nothing is known of a merchant but its id.
    """
    judged = pa.Table.from_batches([judge(batch, rules) for batch in log.to_batches()], JUDGED_SCHEMA)
    staged = staged_columns(judged, rules, {})
    score = pc.if_else(pc.equal(staged["verdict"], "fraud"), ALERT_AT, 0).cast(pa.int64())
    reasons = [[one for one in text.strip("{}").split(",") if one] for text in staged["reasons"].to_pylist()]
    return pa.table({"txn_id": staged["txn_id"], "score": score, "reasons": pa.array(reasons, pa.list_(pa.string()))})
