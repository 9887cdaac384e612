"""The archive of Spark's classes: submitted jobs use it, and none depends on it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from include.local.layout import locate
from include.local.setup.class_archive import archive_file, use_class_archive
from include.local.setup.jars import jar_folder
from include.local.setup.java import find_java
from include.settings import Settings
from include.spark.home import make_spark_home
from include.stack.steps import Step, Task

pytestmark = pytest.mark.integration

FROM_ARCHIVE = "org.apache.spark.deploy.SparkSubmit source: shared objects file (top)"


def submitted(folder: Path, conf: Path) -> str:
    """What the JVM of a job noted of its classes; the job printed what it should, and nothing of archives."""
    noted = folder / "classes.log"
    options = ["--conf", f"spark.driver.extraJavaOptions=-Xlog:class+load:file={noted}"]
    done = subprocess.run(
        [Path(sys.executable).with_name("spark-submit"), *options, "--version"],
        env={**os.environ, "SPARK_CONF_DIR": str(conf)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "Using Scala version" in done.stdout + done.stderr
    assert "archive" not in done.stdout
    return noted.read_text()


def test_jobs_take_their_classes_from_it(settings: Settings, tmp_path: Path) -> None:
    assert FROM_ARCHIVE in submitted(tmp_path, Path(os.environ["SPARK_CONF_DIR"]))


def test_one_that_does_not_fit_is_left_alone(settings: Settings, tmp_path: Path) -> None:
    named = (Path(os.environ["SPARK_CONF_DIR"]) / "spark-defaults.conf").read_text()
    made = Path(named.split('-XX:SharedArchiveFile="')[1].split('"')[0])
    # With the jars in another order.
    make_spark_home(tmp_path, tmp_path / "no-jars", tmp_path, made)
    assert FROM_ARCHIVE not in submitted(tmp_path, tmp_path / "conf")


def test_one_that_was_cut_off_is_not_used_and_one_that_cannot_be_made_is_not_missed(
    settings: Settings, tmp_path: Path
) -> None:
    stack = replace(locate(), home=tmp_path / "home", cache=tmp_path / "cache")
    stack.cache.mkdir()
    (stack.cache / "jars").symlink_to(locate().cache / "jars")
    # A Java that starts nothing, so that no other can be made.
    java = replace(find_java(), home=tmp_path)
    archive = archive_file(stack, java)
    archive.parent.mkdir()
    archive.write_bytes(b"the head of an archive")
    archive.with_suffix(".sha256").write_text("of all of it")
    make_spark_home(stack.spark, jar_folder(stack, "spark"), stack.spark)
    task = Task(Step("archive", "Spark's classes", lambda task: None), threading.Event())
    assert use_class_archive(stack, java, task).startswith("none: ")
    assert FROM_ARCHIVE not in submitted(tmp_path, stack.spark / "conf")
