"""Valid transactions with their verdicts, as columns on their way into the warehouse."""

from __future__ import annotations

import json

import pyarrow as pa
from pyarrow import csv

from include.domains import TRANSACTIONS
from include.fraud.verdicts import Verdicts
from include.lake.coordinates import Coordinates


def staged_columns(valid: pa.Table, rules_version: str, verdicts: Verdicts) -> pa.Table:
    """The columns of ``sql/fraud/copy_verdicts.sql`` for valid transactions.

    ``verdicts`` are those of the first rows. The others have one, or are duplicates: they get none here, so that no
    statement stores them.
    """
    rows = valid.num_rows
    verdict, scores, reasons, evidence = [""] * rows, [0] * rows, ["{}"] * rows, ["[]"] * rows
    given = zip(verdicts.fraud, verdicts.scores, verdicts.evidence, strict=True)
    for place, (fraud, score, fired) in enumerate(given):
        verdict[place], scores[place] = "fraud" if fraud else "genuine", score
        if fraud:
            # Rule names need no quotes in an array.
            reasons[place] = "{" + ",".join(one["rule"] for one in fired) + "}"
            evidence[place] = json.dumps(fired)
    columns = {
        "place": pa.array(range(rows), pa.int64()),
        "verdict": pa.array(verdict, pa.string()),
        **{column.name: valid[column.name] for column in TRANSACTIONS.contract.columns},
        "rules_version": pa.repeat(pa.scalar(rules_version), rows),
        "reasons": pa.array(reasons, pa.string()),
        "evidence": pa.array(evidence, pa.string()),
        "score": pa.array(scores, pa.int32()),
        **{name: valid[name] for name in Coordinates._fields},
    }
    return pa.table(columns)


def written(columns: pa.Table) -> pa.Buffer:
    """The columns as CSV without a header, as PostgreSQL reads it: texts are quoted, a null is not."""
    sink = pa.BufferOutputStream()
    # In one piece: where a column has a piece without rows, Arrow's writer writes zeros for it.
    csv.write_csv(columns.combine_chunks(), sink, csv.WriteOptions(include_header=False))
    return sink.getvalue()
