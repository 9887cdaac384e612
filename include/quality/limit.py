"""How many records of one run may be rejected before the run itself is taken for wrong."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

VARIABLE = "PAYLAKE_MAX_REJECTED_SHARE"
DEFAULT_SHARE = 0.5
FEWEST_RECORDS = 100
"""Runs of fewer records are never refused: two bad ones of three say nothing."""


class TooManyRejectedError(RuntimeError):
    """More records were rejected than the limit allows; the message has counts and reasons. Nothing was published."""


@dataclass(frozen=True, slots=True)
class RejectedLimit:
    """The largest share of a run's records, 0 to 1, that may be rejected."""

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

    def check(self, domain: str, records: int, rejected: int, reasons: Callable[[], Mapping[str, int]]) -> None:
        """Let the run go on, or not.

        ``reasons`` counts the rejected records by reason; it is asked only when the run is refused.

        Raises:
            TooManyRejectedError: the share is above the limit and the run has at least `FEWEST_RECORDS` records.
        """
        if records < FEWEST_RECORDS or rejected <= self.share * records:
            return
        by_count = sorted(reasons().items(), key=lambda reason: (-reason[1], reason[0]))
        listed = ", ".join(f"{reason}: {count}" for reason, count in by_count)
        raise TooManyRejectedError(
            f"{domain}: {rejected} of {records} records break their contract, more than the share of {self.share:g} "
            f"that {VARIABLE} allows; nothing was published. Reasons: {listed}"
        )
