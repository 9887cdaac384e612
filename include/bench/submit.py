"""Spark jobs, submitted as Airflow's tasks do it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from include.local.layout import locate
from include.local.setup.jars import ensure_jars
from include.local.setup.java import find_java
from include.stack.steps import Runner, Step

CLONE = Path(__file__).parents[2]
JOBS = CLONE / "include" / "spark"
OWN_JOBS = Path(__file__).parent / "jobs"
SPARKS_OWN_JVM = ("--conf", "spark.driver.extraJavaOptions=-XX:+UseG1GC")
"""Options of a peer that does its work in the JVM: what Java does by itself, not what our drivers do."""
SECONDS = 900.0
"""How long a job may take."""


class BenchError(RuntimeError):
    """What was to be measured failed; the message has the end of what it said."""


def result_of(application: Path, *arguments: str, options: tuple[str, ...] = ()) -> str:
    """Run a job to its end and return the last line that it printed; ``options`` are spark-submit's.

    Raises:
        BenchError: it failed.
        subprocess.TimeoutExpired: it did not end.
    """
    with _output() as errors:
        command = [_program(), *options, str(application), *arguments]
        done = subprocess.run(
            command, env=_environment(), stdout=subprocess.PIPE, stderr=errors, text=True, timeout=SECONDS, check=False
        )
        if done.returncode != 0:
            raise BenchError(f"{application.name} ended with {done.returncode}: {_end_of(errors.name)}")
        return (done.stdout.strip().splitlines() or [""])[-1]


def rate_of(application: Path, *arguments: str, options: tuple[str, ...] = ()) -> float:
    """Run one of the bench's own jobs that tells how many ``records`` took how many ``seconds``; records a second.

    Raises:
        BenchError: it failed.
        subprocess.TimeoutExpired: it did not end.
    """
    done: dict[str, float] = json.loads(result_of(application, *arguments, options=options))
    return done["records"] / done["seconds"]


@contextmanager
def running(application: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Have a job run for the length of the block.

    Raises:
        BenchError: it ended by itself.
    """
    with _output() as output:
        job = subprocess.Popen(
            [_program(), str(application), *arguments], env=_environment(), stdout=output, stderr=subprocess.STDOUT
        )
        try:
            yield job
            if job.poll() is not None:
                raise BenchError(f"{application.name} ended with {job.returncode}: {_end_of(output.name)}")
        finally:
            job.kill()
            job.wait()


@contextmanager
def in_environment(values: Mapping[str, str]) -> Iterator[None]:
    """Have these variables in the environment of this process, and so of its jobs, for the length of the block."""
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def with_jars(name: str) -> tuple[str, ...]:
    """Options that give a job the pinned jars ``name`` besides; they are fetched the first time.

    Raises:
        StackError: they can not be fetched.
    """
    stack, java = locate(), find_java()
    found: list[Path] = []
    Runner([Step(name, name, lambda task: found.append(ensure_jars(stack, name, java, task)))]).run()
    return "--jars", ",".join(str(jar) for folder in found for jar in folder.glob("*.jar"))


def _program() -> str:
    return str(Path(sys.executable).with_name("spark-submit"))


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(CLONE), "PYSPARK_PYTHON": sys.executable}


def _output() -> tempfile._TemporaryFileWrapper[bytes]:
    return tempfile.NamedTemporaryFile(prefix="paylake-bench-", suffix=".log")


def _end_of(path: str) -> str:
    return Path(path).read_text(errors="replace")[-2_000:]
