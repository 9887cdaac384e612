"""The JVM's archive of the classes that Spark jobs load, which saves them a third of their start (JEP 350)."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

from include.errors import StackError
from include.local.layout import Stack, locked
from include.local.setup.cache import lock_of, mark_used
from include.local.setup.environment import own_environment, program_environment
from include.local.setup.jars import jar_folder
from include.local.setup.java import Java
from include.spark.home import QUIETLY, class_path, make_spark_home, pyspark_home
from include.stack.steps import Task

JOB = Path(__file__).parents[2] / "spark" / "class_archive_job.py"


def archive_file(stack: Stack, java: Java) -> Path:
    """Where the archive for this Java and these jars is, or will be."""
    made_of = [java.program, pyspark_home() / "jars", jar_folder(stack, "spark")]
    text = "".join(f"{path} {path.stat().st_mtime_ns}\n" for path in made_of) + JOB.read_text() + class_path(made_of[2])
    return stack.cache / "classes" / f"spark-{hashlib.sha256(text.encode()).hexdigest()[:12]}.jsa"


def use_class_archive(stack: Stack, java: Java, task: Task) -> str:
    """Make the archive unless it is there, and have Spark's settings name it. Returns what came of it.

    Spark jobs start without it as well, only later. So where it cannot be made, that is all that is told.
    """
    archive = archive_file(stack, java)
    entry = archive.with_suffix("")
    mark_used(entry)
    with locked(lock_of(entry), wait=True) as lock:
        if not _whole(archive):
            try:
                _make(stack, java, archive, task, lock)
            except StackError as error:
                return f"none: {error}"
    make_spark_home(stack.spark, jar_folder(stack, "spark"), stack.spark, archive)
    return ""


def _whole(archive: Path) -> bool:
    """Whether it is as it was made. The JVM looks at its head only, and dies of one that was cut off."""
    try:
        return _sum_file(archive).read_text() == _sum(archive)
    except FileNotFoundError:
        return False


def _sum(archive: Path) -> str:
    with archive.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sum_file(archive: Path) -> Path:
    return archive.with_suffix(".sha256")


def _make(stack: Stack, java: Java, archive: Path, task: Task, lock: int) -> None:
    new = archive.with_suffix(".part")
    new.unlink(missing_ok=True)
    environment = own_environment(stack.stack_id) | program_environment(stack, java)
    # Settings that are no part of the class path: the JVM archives nothing beside a folder with files.
    options = f'spark.driver.defaultJavaOptions=-XX:ArchiveClassesAtExit="{new}" {QUIETLY}'
    command: list[str | Path] = ["nice", "-n", "19", Path(sys.executable).with_name("spark-submit")]
    command += ["--properties-file", stack.spark / "conf" / "spark-defaults.conf"]
    command += ["--conf", options]
    environment["SPARK_CONF_DIR"] = str(stack.spark / "none")
    # The JVM would look for every jar of this path, also for those by the links of this stack's home.
    environment["SPARK_HOME"] = str(pyspark_home())
    task.command([*command, JOB], environment=environment, keep=(lock,))
    if not new.exists():
        raise StackError(f"{java.program} makes no archive of classes.")
    with new.open("rb") as file:
        os.fsync(file.fileno())
    _sum_file(archive).write_text(_sum(new))
    os.rename(new, archive)
