"""Spark's home and settings on a machine: links to the installed pyspark, and where the jars of the connectors are.

    python -m include.spark.home <folder> <folder of the jars>

makes both where Spark is installed once and for all, as in an image.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path

LOCALHOST = "127.0.0.1"
DRIVER_JVM = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""Options of the drivers' JVMs. They plan and pass bytes on, the work is done in Python and PostgreSQL: what the second
compiler makes does not pay for its making, not in the first minutes of a stream either."""
QUIETLY = "-Xlog:cds=off -Xlog:cds+dynamic=off"
"""Has the JVM say nothing of its archive of classes, for it says it where jobs print their results."""
LOGGING = Path(__file__).with_name("log4j2.properties")


def pyspark_home() -> Path:
    """The folder of the installed pyspark, which is Spark's home too.

    Raises:
        ModuleNotFoundError: it is not installed.
    """
    spec = importlib.util.find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("pyspark is missing from this Python environment")
    return Path(spec.origin).parent


def make_spark_home(folder: Path, jars: Path, scratch: Path, classes: Path | None = None) -> None:
    """Make ``home`` (SPARK_HOME) and ``conf`` (SPARK_CONF_DIR) in the folder; ``scratch`` is for Spark's own files.

    ``classes`` is the JVM's archive of Spark's classes, if there is one (``include.local.setup.class_archive``).
    """
    home, conf = folder / "home", folder / "conf"
    _make_home(home)
    conf.mkdir(parents=True, exist_ok=True)
    (conf / "spark-defaults.conf").write_text(_defaults(jars, scratch, classes))
    shutil.copyfile(LOGGING, conf / "log4j2.properties")


def _make_home(home: Path) -> None:
    """A home for Spark that has its programs and jars but not its zipped Python sources.

    Those would come before the installed package, and a zip keeps no bytecode: without them each Python worker, of
    which every job starts several, takes a third of the time to start (measured: 0.5 s of processor time, not 1.5 s).
    """
    home.mkdir(parents=True, exist_ok=True)
    for name in ("bin", "jars"):
        link = home / name
        link.unlink(missing_ok=True)
        link.symlink_to(pyspark_home() / name)


def _defaults(jars: Path, scratch: Path, classes: Path | None) -> str:
    values = {
        "spark.driver.extraClassPath": class_path(jars),
        "spark.executor.extraClassPath": f"{jars}/*",
        "spark.driver.host": LOCALHOST,
        "spark.driver.bindAddress": LOCALHOST,
        "spark.driver.memory": "1g",
        "spark.driver.extraJavaOptions": DRIVER_JVM,
        "spark.local.dir": scratch / "local",
        "spark.sql.warehouse.dir": scratch / "warehouse",
        "spark.ui.enabled": "false",
    }
    if classes:
        # Left alone by a JVM that it does not fit.
        values["spark.driver.defaultJavaOptions"] = f'-XX:SharedArchiveFile="{classes}" {QUIETLY}'
    return "".join(f"{name} {value}\n" for name, value in values.items())


def class_path(connectors: Path) -> str:
    """All jars, also Spark's own, which spark-submit adds behind its folder of settings if they were not there before.

    For the JVM takes no archive of classes whose path has a folder with files between the jars, or other names for
    them: so they are named where they are, not by the links of a home. The jar of slf4j is named because spark-submit
    adds it once more under its own name.
    """
    own = pyspark_home() / "jars"
    return ":".join([*map(str, own.glob("slf4j-api-*.jar")), f"{connectors}/*", f"{own}/*"])


if __name__ == "__main__":
    make_spark_home(Path(sys.argv[1]), Path(sys.argv[2]), Path("/tmp/spark"))  # noqa: S108 (of a container)
