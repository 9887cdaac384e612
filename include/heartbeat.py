"""How a task without end shows that it does its work, and how its silence is noticed.

The executor that runs the task names a file in ``PAYLAKE_HEARTBEAT``. Whoever does the work (the task's process, or the
driver that it started on the same machine) changes the times of that file, and says by them how long it may be before
the next time. Who is silent for longer stands still: it is stopped, or waits for a lock of its own that nobody gives
back. It cannot say so itself, and may not be able to end, so it is killed. That is for the executor to do.

Moving is progress of the work, not of a thread beside it. Who waits for a server does not stand still.
"""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread

VARIABLE = "PAYLAKE_HEARTBEAT"
SILENCE_SECONDS = 40.0
"""How long work may make no progress. Longer than any step of it takes on a busy machine; and together with the start
of a new driver less than the 90 s after which verdicts flow again."""
START_SECONDS = 300.0
"""The same for a task that has not done anything yet: it may still be starting, on a machine that is busy."""
_LOOK_SECONDS = 2.0
_ASK_SECONDS = 15.0
"""Whether a server is waited for is asked after so long: asking may take a few seconds, and costs a request."""
_LONGEST_STEP = 5.0

log = logging.getLogger(__name__)


def beat(silence: float = SILENCE_SECONDS) -> None:
    """Show that work goes on, and that it may be silent for so many seconds from now.

    Does nothing where nobody asked for it.
    """
    file = os.environ.get(VARIABLE)
    if file is not None:
        now = time.time()
        Path(file).touch()  # should somebody have removed it
        # Two times in one call: how long it may be silent is their difference, whatever the clock says.
        os.utime(file, (now, now + silence))


@contextmanager
def beating(progress: Callable[[], object], waits: Callable[[], bool]) -> Iterator[None]:
    """Beat from a thread of its own, for the length of the block, whenever the work has moved.

    ``progress`` tells how far the work is: anything that differs after a step. ``waits`` tells whether it waits for a
    server, and may take some seconds for that; it is asked only when there was no progress for a while. Both are asked
    in that thread; an error of theirs ends the beating.
    """
    if VARIABLE not in os.environ:
        yield
        return
    done = Event()
    Thread(target=_beat_until, args=(done, progress, waits), name="heartbeat", daemon=True).start()
    try:
        yield
    finally:
        done.set()


def _beat_until(done: Event, progress: Callable[[], object], waits: Callable[[], bool]) -> None:
    reached, moved = progress(), time.monotonic()
    waiting = False
    while not done.wait(_LOOK_SECONDS):
        now = progress()
        if now != reached:
            reached, moved, waiting = now, time.monotonic(), False
            beat()
        elif time.monotonic() - moved > _ASK_SECONDS and waits():
            if not waiting:
                log.info("nothing moves; a server is waited for")
            waiting = True
            beat()


class Silence:
    """The silence of a task that was told of ``file``; that of one which has never beaten is never too long.

    Time during which nobody looks does not count: the machine may have slept, and with it the task. ``clock`` counts
    seconds.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor, self.file = tempfile.mkstemp(dir=folder)
        os.close(descriptor)
        os.utime(self.file, (0, 0))
        self._clock = clock
        self._seen = 0
        self._allowed = 0.0
        self._looked = clock()
        self._seconds = 0.0

    def silent_for(self) -> float:
        """Look once; for how many seconds the task has been silent."""
        now = self._clock()
        self._seconds += min(now - self._looked, _LONGEST_STEP)
        self._looked = now
        with suppress(FileNotFoundError):
            times = os.stat(self.file)
            if times.st_mtime_ns != self._seen:
                self._seen, self._allowed = times.st_mtime_ns, times.st_mtime - times.st_atime
                self._seconds = 0.0
        return self._seconds

    def too_long(self) -> bool:
        """Look once; whether the task has been silent for longer than it said."""
        return self.silent_for() > self._allowed > 0.0

    def close(self) -> None:
        """Remove the file."""
        Path(self.file).unlink(missing_ok=True)
