"""Offsets as sorted arrays: sets of records that are compared a million at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from include.verify.report import SHOWN

Offsets: TypeAlias = NDArray[np.int64]
"""Offsets of one partition, ascending, each once."""

Partition: TypeAlias = tuple[str, int]
"""Topic id and number of a partition."""

NONE: Offsets = np.empty(0, np.int64)


def missing_from(wanted: Offsets, there: Offsets) -> Offsets:
    """What is in ``wanted`` but not in ``there``."""
    return wanted[~contained(wanted, there)]


def contained(wanted: Offsets, there: Offsets) -> NDArray[np.bool_]:
    """For each of ``wanted`` whether it is in ``there``."""
    if not there.size:
        return np.zeros(wanted.size, np.bool_)
    # So it is where the books balance, and to search takes fifty times as long.
    if np.array_equal(wanted, there):
        return np.ones(wanted.size, np.bool_)
    places = np.minimum(np.searchsorted(there, wanted), there.size - 1)
    return np.equal(there[places], wanted)


def distinct(offsets: NDArray[np.int64]) -> Offsets:
    """Each of the ascending offsets once."""
    # Unlike np.unique, which hashes and sorts again.
    return offsets[np.concatenate(([True], offsets[1:] != offsets[:-1]))] if offsets.size else offsets


def doubled(offsets: NDArray[np.int64]) -> Offsets:
    """Which of the ascending offsets are there more than once."""
    return distinct(offsets[1:][offsets[1:] == offsets[:-1]])


def below(offsets: Offsets, end: int) -> Offsets:
    """Those before ``end``."""
    return offsets[: np.searchsorted(offsets, end)]


def ranges(offsets: Offsets) -> list[tuple[int, int]]:
    """Runs of consecutive offsets, as pairs of first and last."""
    if not offsets.size:
        return []
    breaks = np.flatnonzero(np.diff(offsets) != 1)
    firsts = offsets[np.concatenate(([0], breaks + 1))]
    lasts = offsets[np.concatenate((breaks, [offsets.size - 1]))]
    return list(zip(firsts.tolist(), lasts.tolist(), strict=True))


def ranges_text(found: Sequence[tuple[int, int]]) -> str:
    """Ranges for a sentence: ``offset 7``, ``offsets 3 to 5, 9``."""
    parts = [str(first) if first == last else f"{first} to {last}" for first, last in found[:SHOWN]]
    noun = "offset" if len(found) == 1 and found[0][0] == found[0][1] else "offsets"
    more = f" and {len(found) - SHOWN} more ranges" if len(found) > SHOWN else ""
    return f"{noun} {', '.join(parts)}{more}"
