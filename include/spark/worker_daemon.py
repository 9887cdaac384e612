"""PySpark's daemon, of which Spark's Python workers are forked, without two costs that each of their tasks paid.

Spark puts archives on the workers' path (the jar of its core, the zips of PySpark), and PySpark makes every task forget
what Python knows of its path, so that each task read the directories of these archives anew: two thirds of a stream
worker's time. And after each task a worker collects its garbage, which goes through all objects of pandas, pyarrow and
boto3, where each worker has made these for itself. Here they are made before the fork and kept out of the collector's
sight, and their memory is shared.

``spark.python.daemon.module`` names this module. Nothing may be printed here: Spark reads standard output.
"""

from __future__ import annotations

import gc
import importlib
import logging
import sys
from pathlib import Path

log = logging.getLogger(__name__)

_ARCHIVES = ("spark-core_", "pyspark.zip", "py4j-")
"""How the names of those begin that Spark puts on the path by itself."""
_NEEDED = ("pandas", "pyarrow.pandas_compat", "pyarrow.compute", "include.spark.classified", "include.spark.collector")


def prepare_worker() -> None:
    """Load what tasks need, and make the client for S3.

    What goes wrong is told on standard error and no more: the task that needs it finds the same, and says it in a way
    that Spark passes on. A daemon that ended would look like records that nobody can process.
    """
    try:
        for name in _NEEDED:
            importlib.import_module(name)
        from include.domains import TRANSACTIONS
        from include.spark.bronze_source import bronze_log

        bronze_log(TRANSACTIONS)
    except Exception:
        log.exception("the workers will load for themselves what they need")


def forget_archives() -> None:
    """Take Spark's archives off the path, unless a module came from them."""
    origins = [str(getattr(module, "__file__", None)) for module in list(sys.modules.values())]
    for archive in [entry for entry in sys.path if Path(entry).name.startswith(_ARCHIVES)]:
        inside = f"{archive}/"
        if any(origin.startswith(inside) for origin in origins):
            continue
        sys.path.remove(archive)
        # A package without a file of its own has a path, and so an entry, inside of the archive.
        for place in [place for place in sys.path_importer_cache if place == archive or place.startswith(inside)]:
            del sys.path_importer_cache[place]


def main() -> None:
    """Be the daemon until Spark ends it."""
    # What is loaded is no garbage: to look for some meanwhile takes a sixth of the time.
    gc.disable()
    # Spark's helpers that only plan are forked of a daemon too, one each, and start sooner without.
    if sys.argv[1:] == ["pyspark.worker"]:
        prepare_worker()
    # It loads the worker's module, which the command line names, when it is imported.
    from pyspark.daemon import manager

    forget_archives()
    gc.collect()
    gc.freeze()
    gc.enable()
    manager()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
