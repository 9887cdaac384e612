"""Sets of offsets that are compared in bulk."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from include.verify.offsets import Offsets, contained, missing_from

OFFSETS = st.sets(st.integers(0, 20)).map(lambda found: np.array(sorted(found), np.int64))


@given(OFFSETS, OFFSETS)
def test_what_is_missing_is_what_the_other_set_has_not(wanted: Offsets, there: Offsets) -> None:
    assert missing_from(wanted, there).tolist() == sorted(set(wanted.tolist()) - set(there.tolist()))


@given(OFFSETS)
def test_a_set_has_all_of_itself(offsets: Offsets) -> None:
    assert contained(offsets, offsets.copy()).tolist() == [True] * offsets.size
