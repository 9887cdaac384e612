"""The jars of Spark's connectors and of Kafka: fetched by the Ivy inside pyspark, each one pinned by its SHA-256."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from include.errors import StackError
from include.local.layout import Stack, locked
from include.local.setup.cache import lock_of, mark_used
from include.local.setup.java import Java, proxy_options
from include.spark.home import pyspark_home
from include.stack.steps import Task

PINS = Path(__file__).parent / "ivy"
PATTERN = "[artifact]-[revision](-[classifier]).[ext]"


def jar_folder(stack: Stack, name: str) -> Path:
    """Where the jars of ``spark`` or ``kafka`` lie; another list of pins is another folder."""
    return stack.cache / "jars" / f"{name}-{hashlib.sha256(_pins(name).read_bytes()).hexdigest()[:12]}"


def ensure_jars(stack: Stack, name: str, java: Java, task: Task) -> Path:
    """Fetch the jars unless they are there; what was fetched counts only when every file has its pinned hash.

    Raises:
        StackError: a jar can not be fetched, or is not the one that was pinned.
    """
    folder = jar_folder(stack, name)
    mark_used(folder)
    if folder.is_dir():
        return folder
    with locked(lock_of(folder), wait=True) as lock:
        if folder.is_dir():
            return folder
        unfinished = folder.with_name(folder.name + ".part")
        shutil.rmtree(unfinished, ignore_errors=True)
        # Of its own, because Ivy does not lock it. After a failure it saves the next try what was fetched.
        downloads = folder.with_name(folder.name + ".ivy")
        _retrieve(name, java, downloads, unfinished, task, lock)
        task.say("checking the hashes")
        verify(name, unfinished)
        os.rename(unfinished, folder)
        shutil.rmtree(downloads)
    return folder


def verify(name: str, folder: Path) -> None:
    """Check that the folder holds exactly the pinned jars.

    Raises:
        StackError: a jar is missing, unknown or has another hash; the message names it.
    """
    pinned = {file: digest for digest, file in (line.split() for line in _pins(name).read_text().splitlines())}
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    wrong = sorted(file for file in pinned.keys() | found.keys() if pinned.get(file) != found.get(file))
    if wrong:
        raise StackError(f"The jars for {name} are not those pinned in {_pins(name)}: {', '.join(wrong)} differ.")


def _pins(name: str) -> Path:
    return PINS / f"{name}.sha256"


def _retrieve(name: str, java: Java, downloads: Path, target: Path, task: Task, lock: int) -> None:
    ivy = next(pyspark_home().joinpath("jars").glob("ivy-*.jar"))
    command: list[str | Path] = [java.program, *proxy_options(), "-jar", ivy, "-ivy", PINS / f"{name}.xml"]
    command += ["-cache", downloads]
    # Some artifacts call their jar a bundle. With jar alone Kafka lacks scala-logging and does not start.
    command += ["-types", "jar", "bundle", "-retrieve", f"{target}/{PATTERN}"]
    task.command(command, keep=(lock,), show=_downloading)


def _downloading(line: str) -> str | None:
    """Of Ivy's many lines, those that say what is fetched."""
    return line.rsplit("/", 1)[-1].removesuffix(" ...") if line.startswith("downloading") else None
