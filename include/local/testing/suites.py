"""``./paylake test``: what is checked of the code before the tests run, and the tests."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event

from include.errors import StackError
from include.lifetime import stop_on_signals
from include.local.layout import CLONE
from include.local.testing.stores import store_servers

CONTRACTS = CLONE / "include" / "contracts"
SERVERS = "servers"
COVERAGE = "coverage"
SUITES = ("all", "lint", "unit", "integration", COVERAGE, SERVERS)
# A measured program is slower by more than half, which those about time would notice.
MEASURED = ("tests/unit", "tests/dags", "--ignore=tests/unit/test_quality_linear.py")


def run_suite(suite: str, arguments: Sequence[str]) -> int:
    """Run a suite; ``arguments`` go to pytest. Returns the exit code: 0 only when everything passed.

    The suite ``servers`` is none: it keeps the servers of the tests until it is interrupted. ``coverage`` measures
    which lines the tests without servers run, and has a floor unless ``arguments`` choose among them.

    Raises:
        StackError: there is no such suite, or the servers do not start.
    """
    if suite == SERVERS:
        return _keep_servers()
    if suite not in SUITES and not (CLONE / "tests" / suite).is_dir():
        raise StackError(f"There is no suite {suite!r}; there are {', '.join(SUITES)} and the folders of tests/.")
    failed = _lint() if suite in ("all", "lint") else []
    status = 0 if suite == "lint" else _pytest(suite, arguments)
    if failed:
        print(f"failed: {', '.join(failed)}", flush=True)
    return status or int(bool(failed))


def _keep_servers() -> int:
    """Print, for a shell, where the servers are, and keep them until SIGINT or SIGTERM."""
    stop = Event()
    stop_on_signals(stop)
    with store_servers() as environment:
        for name, value in {**environment, "PAYLAKE_TEST_ENV": "1"}.items():
            print(f"export {name}={shlex.quote(value)}", flush=True)
        stop.wait()
    return 0


def _lint() -> list[str]:
    return [name for name, command in _checks() if not _passes(name, command)]


def _checks() -> Iterator[tuple[str, list[str]]]:
    yield "ruff check", [_program("ruff"), "check", "."]
    yield "ruff format", [_program("ruff"), "format", "--check", "."]
    yield "mypy", [_program("mypy")]
    for contract in sorted(CONTRACTS.glob("*.odcs.yaml")):
        yield f"contract {contract.name}", [_program("datacontract"), "lint", str(contract)]


def _passes(name: str, command: list[str]) -> bool:
    """Run one check; its output is shown when it fails."""
    begin = time.monotonic()
    answer = subprocess.run(
        command, cwd=CLONE, env=_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    passed = answer.returncode == 0
    print(f"{name}: {'ok' if passed else 'FAILED'} ({time.monotonic() - begin:.1f} s)", flush=True)
    if not passed:
        print(answer.stdout, flush=True)
    return passed


def _pytest(suite: str, arguments: Sequence[str]) -> int:
    where = [f"tests/{suite}"]
    if suite == "all":
        where = ["-m", "not long"]
    elif suite == COVERAGE:
        where = [*MEASURED, "--cov", *(["--cov-fail-under=0"] if arguments else [])]
    command = [sys.executable, "-m", "pytest", *where, *arguments]
    return subprocess.run(command, cwd=CLONE, env=_environment(), check=False).returncode


def _environment() -> dict[str, str]:
    """The caller's environment, with the tools of the Python environment first."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"}


def _program(name: str) -> str:
    return str(Path(sys.executable).with_name(name))
