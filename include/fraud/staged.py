"""Valid transactions with their verdicts, as columns on their way into the warehouse."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from include.domains import TRANSACTIONS
from include.fraud.rules import Fired, Rules


def staged_columns(valid: pa.Table, rules: Rules, risks: Mapping[str, str]) -> pa.Table:
    """The columns of ``include/sql/copy_verdicts.sql`` for valid transactions, which have those of ``outcome_schema``.

    ``risks`` is the risk level of each merchant that has one.
    """
    fired = _fired(valid, rules, risks)
    verdicts, reasons, evidence = ["genuine"] * valid.num_rows, ["{}"] * valid.num_rows, ["[]"] * valid.num_rows
    for place, reasons_of_it in fired.items():
        verdicts[place] = "fraud"
        # Rule names need no quotes in an array.
        reasons[place] = "{" + ",".join(one.rule for one in reasons_of_it) + "}"
        evidence[place] = json.dumps([one.as_json() for one in reasons_of_it])
    columns = {
        "place": pa.array(range(valid.num_rows), pa.int64()),
        "verdict": pa.array(verdicts, pa.string()),
        **{column.name: valid[column.name] for column in TRANSACTIONS.contract.columns},
        "rules_version": pa.repeat(pa.scalar(rules.version), valid.num_rows),
        "reasons": pa.array(reasons, pa.string()),
        "evidence": pa.array(evidence, pa.string()),
        **{name: valid[name] for name in ("topic_id", "partition", "offset")},
    }
    return pa.table(columns)


def written(columns: pa.Table) -> pa.Buffer:
    """The columns as CSV without a header, as PostgreSQL reads it: texts are quoted, a null is not."""
    sink = pa.BufferOutputStream()
    csv.write_csv(columns, sink, csv.WriteOptions(include_header=False))
    return sink.getvalue()


def _fired(valid: pa.Table, rules: Rules, risks: Mapping[str, str]) -> dict[int, tuple[Fired, ...]]:
    """The rules that fire, by the place of the transaction for which they do."""
    places = pc.indices_nonzero(suspects(valid, rules, risks))
    rows = valid.take(places).to_pylist()
    judged = {
        place: rules.verdict(row, risks.get(row["merchant_id"]))
        for place, row in zip(places.to_pylist(), rows, strict=True)
    }
    return {place: fired for place, fired in judged.items() if fired}


def suspects(valid: pa.Table, rules: Rules, risks: Mapping[str, str]) -> pa.ChunkedArray:
    """For which transactions a rule may fire: for no other one does `Rules.verdict` name any.

    Asked of whole columns, and of each place and merchant once.
    """
    # The smaller of the two limits, and a little less: floating-point numbers are near enough for a suspicion.
    limit = float(rules.high_online_amount.above) * (1 - 1e-9)
    locations = [place for place in pc.unique(valid["location"]).to_pylist() if rules.risky_location.has(place)]
    rule = rules.suspicious_merchant
    merchants = rule.merchants.union(merchant for merchant, risk in risks.items() if risk in rule.risk_levels)
    return pc.or_(
        pc.greater_equal(valid["amount"].cast(pa.float64()), limit),
        pc.or_(
            pc.is_in(valid["merchant_id"], pa.array(merchants, pa.string())),
            pc.is_in(valid["location"], pa.array(locations, pa.string())),
        ),
    )
