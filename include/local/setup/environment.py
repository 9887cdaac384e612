"""The environment of the programs that a stack starts."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from include.local.layout import Stack
from include.local.ports import HOST
from include.local.setup.java import Java

# What a user's shell may hold for other installations of the same programs, and must not reach ours.
FOREIGN_PREFIXES = ("AIRFLOW_", "AWS_", "HADOOP_", "KAFKA_", "MINIO_", "PG", "PYSPARK_", "PYTHON", "S3_", "SPARK_")
KEPT = frozenset({"AWS_CA_BUNDLE"})
STACK_ID_VARIABLE = "PAYLAKE_STACK_ID"


def own_environment(stack_id: str, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The user's environment without other installations' settings, with the mark by which our processes are known."""
    kept = without_foreign(environment)
    for name in ("VIRTUAL_ENV", "LD_PRELOAD", "CLASSPATH"):
        kept.pop(name, None)
    return {**kept, STACK_ID_VARIABLE: stack_id}


def without_foreign(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without what names, or tunes clients for, other Kafkas, stores and databases than a stack's."""
    return {name: value for name, value in environment.items() if name in KEPT or not name.startswith(FOREIGN_PREFIXES)}


def program_environment(stack: Stack, java: Java) -> dict[str, str]:
    """How programs find each other: Airflow its DAGs' modules, spark-submit its Java, its jars and its Python."""
    folder = Path(sys.executable).parent
    return {
        "AIRFLOW_HOME": str(stack.airflow_home),
        "PYTHONPATH": f"{stack.clone}:{stack.clone / 'airflow' / 'plugins'}",
        "PATH": f"{folder}:{java.program.parent}:/usr/local/bin:/usr/bin:/bin",
        "JAVA_HOME": str(java.home),
        "SPARK_HOME": str(stack.spark / "home"),
        "SPARK_CONF_DIR": str(stack.spark / "conf"),
        "SPARK_LOCAL_IP": HOST,
        "PYSPARK_PYTHON": sys.executable,
        # Without it the processes' titles overwrite the variables by which ours are recognised.
        "SPT_NOENV": "1",
    }
