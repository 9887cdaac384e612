"""What the rules say of transactions by themselves: asked by Spark's workers, of columns."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.compute as pc

from include.domains import TRANSACTIONS
from include.fraud.rules import Rules
from include.quality.columns import outcome_schema

FIRED = "fired"

JUDGED_SCHEMA = outcome_schema(TRANSACTIONS).append(pa.field(FIRED, pa.string()))
"""An outcome, and the rules that fire for it whoever its merchant is: a JSON array of `Fired.as_json`, or null."""


def judge(outcomes: pa.RecordBatch, rules: Rules) -> pa.RecordBatch:
    """Ask the rules that need no more than the transaction.

    ``outcomes`` has ``outcome_schema``, the result `JUDGED_SCHEMA`.
    """
    fired: list[str | None] = [None] * outcomes.num_rows
    places = pc.indices_nonzero(_suspects(outcomes, rules))
    for place, row in zip(places.to_pylist(), outcomes.take(places).to_pylist(), strict=True):
        found = rules.of_transaction(row)
        if found:
            fired[place] = json.dumps([one.as_json() for one in found])
    return pa.RecordBatch.from_arrays([*outcomes.columns, pa.array(fired, pa.string())], schema=JUDGED_SCHEMA)


def _suspects(outcomes: pa.RecordBatch, rules: Rules) -> pa.Array:
    """For which of them a rule may fire; asked of whole columns, and of each place once."""
    # The smaller of the two limits, and a little less: floating-point numbers are near enough for a suspicion.
    limit = float(rules.high_online_amount.above) * (1 - 1e-9)
    named = pc.unique(outcomes["location"].drop_null()).to_pylist()
    locations = [place for place in named if rules.risky_location.has(place)]
    return pc.or_kleene(
        pc.greater_equal(outcomes["amount"].cast(pa.float64()), limit),
        pc.is_in(outcomes["location"], pa.array(locations, pa.string())),
    )
