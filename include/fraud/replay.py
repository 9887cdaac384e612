"""Rules asked of a log of transactions that nobody scored, as whoever scores it would have asked them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import pyarrow as pa

from include.fraud.features import Member
from include.fraud.history import History
from include.fraud.lists import Lists
from include.fraud.marked import Mark, Marked
from include.fraud.rules import Rules
from include.fraud.verdicts import Merchant, judge, merchant_columns

CHUNK = 20_000
JUDGED = pa.schema([("txn_id", pa.string()), ("score", pa.int32()), ("reasons", pa.list_(pa.string()))])
"""A transaction's score, and the rules in it if that makes it fraud; no others."""


def judge_log(
    transactions: pa.Table, rules: Rules, merchants: Mapping[str, Merchant], marks: Sequence[Mark] = ()
) -> pa.Table:
    """The verdicts (`JUDGED`) on transactions in the order of scoring, of which each has an id of its own.

    ``transactions`` have the contract's columns. Each knows the ``marks`` that were known at its ``timestamp``; lists
    hold what the rules' file says.
    """
    marked = Marked(rules.features, lambda *_asked: marks)
    history = History(rules.features, _nothing, remembered=transactions.num_rows)
    lists = Lists.at(rules.all_lists, (), 0, datetime.now(UTC))
    unknown = Merchant()
    judged = [JUDGED.empty_table()]
    for start in range(0, transactions.num_rows, CHUNK):
        chunk = transactions.slice(start, CHUNK)
        columns = {name: chunk[name] for name in chunk.column_names}
        columns |= merchant_columns(merchants.get(one, unknown) for one in chunk["merchant_id"].to_pylist())
        columns |= history.pass_by(chunk)
        columns |= marked.told(chunk, chunk["timestamp"].cast(pa.int64()).to_pylist())
        verdicts = judge(rules, columns, chunk.num_rows, lists)
        reasons = [[fired["rule"] for fired in evidence] for evidence in verdicts.evidence]
        judged.append(pa.table([chunk["txn_id"], verdicts.scores, reasons], schema=JUDGED))
    return pa.concat_tables(judged)


def _nothing(_member: Member, _sinces: Mapping[str, int]) -> tuple[pa.Table, ...]:
    return ()
