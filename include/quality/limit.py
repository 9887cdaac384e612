"""How many records may be rejected before somebody has to look."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

VARIABLE = "PAYLAKE_MAX_REJECTED_SHARE"
DEFAULT_SHARE = 0.5
FEWEST_RECORDS = 100
"""Of fewer records the share says nothing: two bad ones of three are no reason for an alarm."""


@dataclass(frozen=True, slots=True)
class RejectedLimit:
    """The largest share of records, 0 to 1, that may be rejected without an alarm."""

    share: float = DEFAULT_SHARE

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> RejectedLimit:
        """Read ``PAYLAKE_MAX_REJECTED_SHARE``; 0.5 when it is not set.

        Raises:
            ValueError: it is no number from 0 to 1.
        """
        text = environment.get(VARIABLE) or str(DEFAULT_SHARE)
        try:
            share = float(text)
        except ValueError:
            share = -1.0
        if not 0 <= share <= 1:
            raise ValueError(f"{VARIABLE} is {text!r}; it must be a number from 0 to 1")
        return cls(share)

    def is_exceeded(self, records: int, rejected: int) -> bool:
        """Whether more than the share of these records was rejected."""
        return rejected > self.share * records
