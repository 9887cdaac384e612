"""When the next record is due."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import count

MAX_BACKLOG_SECONDS = 2.0
"""How far behind its plan a producer catches up; what is older (the machine slept, say) is left out."""

_LONGEST_WAIT_SECONDS = 0.1


def turns(
    rate: float | None,
    duration: float | None,
    *,
    stop: Callable[[], bool],
    wait: Callable[[float], None],
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[int]:
    """Yield 0, 1, 2, … each when the record of that number is due, until ``stop()`` or the end.

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
    plan = start  # when record 0 was due; moves on when a backlog is given up
    for number in count():
        due = plan + number / rate if rate else clock()
        if duration is not None and due >= start + duration:
            return
        while not stop():
            ahead = due - clock()
            if ahead <= 0:
                break
            wait(min(ahead, _LONGEST_WAIT_SECONDS))
        else:
            return
        plan += max(0.0, -ahead - MAX_BACKLOG_SECONDS)
        yield number
