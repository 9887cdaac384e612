"""Finds the Java that Kafka and Spark run on."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from include.errors import StackError

OLDEST_JAVA = 17
MEND = "install a JDK or JRE 17 or 21 (Debian, Ubuntu: apt install openjdk-17-jre-headless) or set JAVA_HOME to one"


@dataclass(frozen=True, slots=True)
class Java:
    """A Java that is new enough. ``home`` is what JAVA_HOME should be."""

    program: Path
    home: Path
    version: int


def find_java(environment: Mapping[str, str] = os.environ) -> Java:
    """The Java of JAVA_HOME, else the first on the PATH.

    Raises:
        StackError: there is none, it does not run, or it is older than 17.
    """
    java_home = environment.get("JAVA_HOME")
    found = shutil.which("java", path=f"{java_home}/bin" if java_home else environment.get("PATH"))
    if found is None:
        where = f"JAVA_HOME ({java_home}) holds no bin/java" if java_home else "there is no java on the PATH"
        raise StackError(f"Kafka and Spark need Java {OLDEST_JAVA} or newer, but {where}; {MEND}.")
    version = _version(found)
    if version < OLDEST_JAVA:
        raise StackError(f"Kafka and Spark need Java {OLDEST_JAVA} or newer, but {found} is Java {version}; {MEND}.")
    program = Path(found).resolve()
    return Java(program=program, home=program.parent.parent, version=version)


def _version(program: str) -> int:
    try:
        answer = subprocess.run([program, "-version"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise StackError(f"{program} does not run ({error}); {MEND}.") from error
    # "17.0.15" is Java 17, "1.8.0_402" is Java 8.
    match = re.search(r'version "(?:1\.)?(\d+)', answer.stderr + answer.stdout)
    if match is None:
        raise StackError(f"{program} -version does not tell its version; {MEND}.")
    return int(match.group(1))


def proxy_options(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Java's own spelling of the proxy that HTTPS_PROXY names for every other program."""
    proxy = environment.get("https_proxy") or environment.get("HTTPS_PROXY") or ""
    match = re.fullmatch(r"(?:https?://)?([^:/@]+):(\d+)/?", proxy)
    if match is None:
        return []
    return [f"-Dhttps.proxyHost={match.group(1)}", f"-Dhttps.proxyPort={match.group(2)}"]
