"""When the next records are due."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator

MAX_BACKLOG_SECONDS = 2.0
"""How far behind its plan a producer catches up; what is older (the machine slept, say) is left out."""

MAX_TURN = 256
"""How many records one turn has at most: enough to share what a turn costs, few enough to take but milliseconds."""

_LONGEST_WAIT_SECONDS = 0.1


def turns(
    rate: float | None,
    duration: float | None,
    *,
    stop: Callable[[], bool],
    wait: Callable[[float], None],
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[int]:
    """Yield how many records are due, whenever there are any, at most ``MAX_TURN``, until ``stop()`` or the end.

    ``rate`` is in records per second, None for as fast as possible. ``duration`` is in seconds, None for ever.
    Record n is due n / rate seconds after the first one, whatever the earlier ones took, so the rate does not drift.
    ``wait(seconds)`` may return early; ``stop`` is asked at least ten times a second. ``clock`` must be monotonic.

    Raises:
        ValueError: ``rate`` or ``duration`` is not above zero.
    """
    for name, value in (("rate", rate), ("duration", duration)):
        if value is not None and value <= 0:
            raise ValueError(f"{name} must be above zero, not {value}")
    start = clock()
    end = math.inf if duration is None else start + duration
    plan = start  # when record 0 was due; moves on when a backlog is given up

    number = 0
    while (next_due := plan + number / rate if rate else clock()) < end:
        while not stop():
            ahead = next_due - clock()
            if ahead <= 0:
                break
            wait(min(ahead, _LONGEST_WAIT_SECONDS))
        else:
            return
        plan += max(0.0, -ahead - MAX_BACKLOG_SECONDS)
        count = MAX_TURN
        if rate:
            now, count = clock(), 1
            while count < MAX_TURN and (next_due := plan + (number + count) / rate) < end and next_due <= now:
                count += 1
        yield count
        number += count
