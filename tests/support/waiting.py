"""The one way to wait in a test: for a condition, with a limit."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(
    condition: Callable[[], bool], what: str | Callable[[], str], seconds: float = 60.0, pause: float = 0.05
) -> None:
    """Ask again and again, ``pause`` seconds after each answer, until the condition holds.

    Raises:
        AssertionError: it does not within ``seconds``. ``what`` says what was waited for; a function says it as things
            are at the end.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:.0f} s in vain for {what if isinstance(what, str) else what()}")
        time.sleep(pause)
