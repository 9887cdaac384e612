"""What a program says when it tries something again."""

from __future__ import annotations

import logging
from collections.abc import Callable

from tenacity import RetryCallState


def tell(log: logging.Logger, what: str) -> Callable[[RetryCallState], None]:
    """For tenacity's ``before_sleep``: one line of warning that ``what`` failed, why, and when it is tried again."""

    def warn(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        log.warning("%s: %s; trying again in %.1f s", what, " ".join(str(error).split()), state.upcoming_sleep)

    return warn
