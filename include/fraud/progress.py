"""A line in the log now and then that says how the stream is doing."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from include.fraud.ledger import Counts

log = logging.getLogger(__name__)


class Progress:
    """Adds batches up and logs the sums every ``interval`` seconds, at the end of the batch that completes them."""

    def __init__(
        self,
        interval: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._interval = interval
        self._clock = clock
        self._now = now
        self._restart()

    def add(self, counts: Counts | None, newest_taken_ms: int | None) -> None:
        """Take a batch into account.

        ``counts`` is None for a replay; ``newest_taken_ms`` is when the newest record of the batch came.
        """
        self._batches += 1
        if counts is None:
            self._replays += 1
        else:
            self._records += counts.records
            self._fraud += counts.fraud
            self._quarantined += counts.quarantined
            self._duplicates += counts.duplicates
        elapsed = self._clock() - self._since
        if elapsed >= self._interval:
            log.info("%s", self._line(elapsed, newest_taken_ms))
            self._restart()

    def _line(self, elapsed: float, newest_taken_ms: int | None) -> str:
        lag = "unknown" if newest_taken_ms is None else f"{self._now() - newest_taken_ms / 1000:.1f} s"
        return (
            f"{self._records} records in {elapsed:.0f} s ({self._batches} batches, {self._replays} of them replays):"
            f" {self._fraud} fraud, {self._duplicates} duplicate, {self._quarantined} quarantined;"
            f" the newest record is {lag} old"
        )

    def _restart(self) -> None:
        self._since = self._clock()
        self._batches = self._replays = self._records = 0
        self._fraud = self._quarantined = self._duplicates = 0
