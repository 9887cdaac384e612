"""The order of scoring within a moment, see docs/features.md."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def in_order(records: pa.Table, moment: str | None = None) -> pa.Table:
    """Records with the columns of ``RECORD_SCHEMA``, as they came; of one partition, whatever clocks did, by offset.

    ``moment`` is the column that says when each was scored, if they are of several moments; these come in their order.
    """
    moments = [] if moment is None else [moment]
    groups = [*moments, "topic_id", "partition"]
    records = records.take(pc.sort_indices(records, [(name, "ascending") for name in (*groups, "offset")]))
    if not records.num_rows:
        return records
    came = records["taken_ms"].to_numpy().copy()
    starts = np.flatnonzero(np.logical_or.reduce([_begins(records[name]) for name in groups]))
    for start, end in pairwise([*starts, len(came)]):
        np.maximum.accumulate(came[start:end], out=came[start:end])
    order = [came, *(np.cumsum(_begins(records[name])) for name in moments)]
    # By the last of the keys first; what is equal keeps its place.
    return records.take(pa.array(np.lexsort(order)))


def _begins(column: pa.ChunkedArray) -> np.ndarray[Any, Any]:
    """Which values are others than the ones before them; the first of all is."""
    changed = pc.not_equal(column.slice(1), column.slice(0, len(column) - 1)).to_numpy()
    return np.concatenate([[True], changed])
