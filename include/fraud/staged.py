"""Valid transactions with their verdicts, as columns on their way into the warehouse."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from include.domains import TRANSACTIONS
from include.fraud.judged import FIRED
from include.fraud.rules import RULE_NAMES, Rules
from include.lake.coordinates import Coordinates


def staged_columns(valid: pa.Table, rules: Rules, risks: Mapping[str, str]) -> pa.Table:
    """The columns of ``sql/fraud/copy_verdicts.sql`` for valid transactions, which have those of `JUDGED_SCHEMA`.

    ``risks`` is the risk level of each merchant that has one.
    """
    verdicts, reasons, evidence = ["genuine"] * valid.num_rows, ["{}"] * valid.num_rows, ["[]"] * valid.num_rows
    for place, fired in _fired(valid, rules, risks).items():
        # A verdict names its reasons in the order of the rules.
        fired.sort(key=lambda one: RULE_NAMES.index(one["rule"]))
        verdicts[place] = "fraud"
        # Rule names need no quotes in an array.
        reasons[place] = "{" + ",".join(one["rule"] for one in fired) + "}"
        evidence[place] = json.dumps(fired)
    columns = {
        "place": pa.array(range(valid.num_rows), pa.int64()),
        "verdict": pa.array(verdicts, pa.string()),
        **{column.name: valid[column.name] for column in TRANSACTIONS.contract.columns},
        "rules_version": pa.repeat(pa.scalar(rules.version), valid.num_rows),
        "reasons": pa.array(reasons, pa.string()),
        "evidence": pa.array(evidence, pa.string()),
        **{name: valid[name] for name in Coordinates._fields},
    }
    return pa.table(columns)


def written(columns: pa.Table) -> pa.Buffer:
    """The columns as CSV without a header, as PostgreSQL reads it: texts are quoted, a null is not."""
    sink = pa.BufferOutputStream()
    csv.write_csv(columns, sink, csv.WriteOptions(include_header=False))
    return sink.getvalue()


def _fired(valid: pa.Table, rules: Rules, risks: Mapping[str, str]) -> dict[int, list[dict[str, Any]]]:
    """The rules that fire, as JSON, by the place of the transaction for which they do."""
    places = pc.indices_nonzero(pc.is_valid(valid[FIRED]))
    texts = valid[FIRED].take(places).to_pylist()
    fired = {place: json.loads(text) for place, text in zip(places.to_pylist(), texts, strict=True)}
    merchants = {
        merchant: found.as_json()
        for merchant in pc.unique(valid["merchant_id"]).to_pylist()
        if (found := rules.of_merchant(merchant, risks.get(merchant))) is not None
    }
    suspicious = pc.indices_nonzero(pc.is_in(valid["merchant_id"], pa.array(merchants, pa.string())))
    for place, merchant in zip(suspicious.to_pylist(), valid["merchant_id"].take(suspicious).to_pylist(), strict=True):
        fired.setdefault(place, []).append(merchants[merchant])
    return fired
