"""On the module path of a job: Spark's daemon of Python workers dies as soon as it starts, as for want of memory."""

import os
import sys

if "include.spark.worker_daemon" in sys.orig_argv:
    os._exit(1)
