"""Spark applications, started as Airflow starts them."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from include.local.layout import CLONE


def spark_submit(options: Sequence[str]) -> list[str]:
    """The command with these options, for a small driver."""
    return [str(Path(sys.executable).with_name("spark-submit")), *options, "--driver-memory", "700m"]


def spark_environment(*python_path: Path) -> dict[str, str]:
    """What the command needs; ``python_path`` is searched for modules, also by workers, before everything else."""
    return {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": os.pathsep.join(map(str, [*python_path, CLONE])),
        "PYSPARK_PYTHON": sys.executable,
    }
