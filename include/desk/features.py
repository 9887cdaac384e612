"""What the rules knew of a transaction: its features at the moment of its scoring, worked out again."""

from __future__ import annotations

from datetime import datetime
from functools import partial

import psycopg
import pyarrow as pa

from include.fraud.history import RECALLED, History
from include.fraud.marked import Marked
from include.fraud.marks import micros_of, read_marks
from include.fraud.recall import recall
from include.fraud.rules import Rules, plain
from include.sql import load_sql


def features_of(conn: psycopg.Connection, rules: Rules, txn_id: str) -> dict[str, str | None] | None:
    """The features of a transaction by these rules, by name, as text; None where it has no verdict.

    What its evidence says is taken from there. The others are what was known before its part of a batch: those of the
    same part that were scored before it are not among them, for only a back-test knows the order within a part.
    """
    found = conn.execute(load_sql("desk/as_recalled"), {"txn_id": txn_id}).fetchone()
    if found is None:
        return None
    scored_at: datetime
    scored_at, evidence, *own = found
    one = pa.Table.from_pylist([dict(zip(RECALLED.names, own, strict=True))], RECALLED)
    history = History(rules.features, lambda member, sinces: recall(conn, scored_at, member, sinces))
    told = history.pass_by(one) | Marked(rules.features, partial(read_marks, conn)).told(one, [micros_of(scored_at)])
    values = {feature.name: told[feature.name][0].as_py() for feature in rules.features}
    said = {name: value for fired in evidence for name, value in fired["values"].items()}
    return {name: said.get(name, None if value is None else plain(value)) for name, value in values.items()}
