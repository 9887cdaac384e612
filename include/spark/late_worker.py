"""Starting a stream again whose source's Python process was not there in time.

Spark starts one Python process for a streaming source written in Python, waits ten seconds for it to connect, and then
ends the query before it has read anything. Nothing can be set: the time stands in
``PythonWorkerFactory.createSimpleWorker`` (Spark 4.1), and Python has to import PySpark and NumPy in it, for which a
busy machine may need longer.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from pyspark.errors import StreamingQueryException

LATE = "Python worker failed to connect back"
"""What Spark's error says of such a query."""
TRIES = 6
"""Each waits for ten seconds at most. What takes longer than all of them is no busy machine."""

T = TypeVar("T")

log = logging.getLogger("paylake.stream")


def outlasting_late_workers(run: Callable[[], T]) -> T:
    """The result of ``run``, which starts a query and waits for it, and does so again when the process was late.

    Raises:
        StreamingQueryException: the query ended for another reason, or for this one `TRIES` times.
    """
    for attempt in range(1, TRIES):
        try:
            return run()
        except StreamingQueryException as error:
            if LATE not in str(error):
                raise
            log.warning("the source's Python process was not there in ten seconds (%d of %d tries)", attempt, TRIES)
    return run()
