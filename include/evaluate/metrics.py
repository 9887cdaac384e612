"""How good a ranking by suspicion is, and which frauds are one case: measures over columns, a row per transaction."""

from __future__ import annotations

from datetime import timedelta
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Bools: TypeAlias = NDArray[np.bool_]
Integers: TypeAlias = NDArray[np.int64]

INVESTIGATED_A_DAY = 100
"""Transactions that investigators look at on a day."""
CASE_GAP = timedelta(hours=24)
"""A user's frauds of one scenario that lie so far apart, or further, are of two cases."""
_MICROSECONDS_A_DAY = 86_400_000_000


def ranked(judged: pa.Table, *by: str) -> pa.Table:
    """The rows in the order of suspicion: by these columns from the greatest down, of equal ones by txn_id.

    So no measure depends on the order in which transactions were read.
    """
    keys = [*((name, "descending") for name in by), ("txn_id", "ascending")]
    return judged.take(pc.sort_indices(judged, keys))


def average_precision(is_fraud: Bools) -> float | None:
    """Mean over all frauds of the precision down to each of them; None where there is no fraud.

    ``is_fraud`` is ordered, the most suspicious first. A ranking by chance has about the share of frauds.
    """
    ranks = np.flatnonzero(is_fraud) + 1
    return float(np.mean(np.arange(1, len(ranks) + 1) / ranks)) if len(ranks) else None


def precision_a_day(is_fraud: Bools, days: Integers, most: int = INVESTIGATED_A_DAY) -> float | None:
    """Share of frauds among the ``most`` most suspicious transactions of a day: its mean over the days that have any.

    On a day that has fewer it is the share among all of them; None where there is no day. Both arrays are ordered, the
    most suspicious first.
    """
    if not len(days):
        return None
    by_day = np.argsort(days, kind="stable")
    _, starts, counts = np.unique(days[by_day], return_index=True, return_counts=True)
    place = np.arange(len(days)) - np.repeat(starts, counts)
    hits = np.add.reduceat((is_fraud[by_day] & (place < most)).astype(np.int64), starts)
    return float(np.mean(hits / np.minimum(counts, most)))


def days_of(judged: pa.Table) -> Integers:
    """The day of each timestamp, UTC, counted from 1970."""
    return _microseconds(judged) // _MICROSECONDS_A_DAY


def cases(frauds: pa.Table) -> pa.Table:
    """One row for each fraud case: its ``scenario``, and whether it was ``caught`` and ``caught_at_first``.

    Frauds that share a ``case_id`` are one case. Without one, so are a user's frauds of one scenario, each less than
    `CASE_GAP` after the one before. The first of a case is that of the least timestamp, then txn_id.
    """
    if not frauds.num_rows:
        return frauds.select(["scenario", "caught"]).append_column("caught_at_first", frauds["caught"])
    named = frauds["case_id"].is_valid()
    own = pc.binary_join_element_wise("", frauds["scenario"], frauds["user_id"], "\0")
    frauds = frauds.append_column("of", pc.if_else(named, frauds["case_id"], own)).append_column("named", named)
    order = [(name, "ascending") for name in ("named", "of", "timestamp", "txn_id")]
    frauds = frauds.take(pc.sort_indices(frauds, order))
    numbers = np.unique(frauds["of"].to_numpy(zero_copy_only=False), return_inverse=True)[1]
    named_rows = frauds["named"].to_numpy()
    apart = np.diff(_microseconds(frauds)) >= CASE_GAP // timedelta(microseconds=1)
    begins = (np.diff(numbers) != 0) | np.diff(named_rows) | (apart & ~named_rows[1:])
    starts = np.append(0, np.flatnonzero(begins) + 1)
    caught = frauds["caught"].to_numpy()
    return pa.table(
        {
            "scenario": frauds["scenario"].take(pa.array(starts)),
            "caught": np.logical_or.reduceat(caught, starts),
            "caught_at_first": caught[starts],
        }
    )


def _microseconds(judged: pa.Table) -> Integers:
    microseconds: Integers = judged["timestamp"].cast(pa.int64()).to_numpy()
    return microseconds
