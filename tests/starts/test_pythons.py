"""Each Python that Paylake says it runs on: the stack from `up` to `down`, and the unit tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from include.local.layout import CLONE, locate
from include.local.supervision.leftovers import find
from tests.starts.caller import Caller

pytestmark = [pytest.mark.long, pytest.mark.timeout(2700)]

VERSIONS = ("3.11", "3.12", "3.13")


@pytest.fixture(params=VERSIONS)
def python(request: pytest.FixtureRequest) -> Path:
    """An interpreter of this version: one of this machine, or uv's, which fetches it once."""
    version: str = request.param
    if sys.version_info[:2] == tuple(map(int, version.split("."))):
        pytest.skip("all other tests run on it")
    uv = next(locate().cache.glob("bootstrap/*/bin/uv"))

    def ask(*arguments: str) -> subprocess.CompletedProcess[str]:
        # The shims of pyenv are there for versions that are not active, too; this makes it active.
        environment = {**os.environ, "PYENV_VERSION": version}
        command: list[str | Path] = [uv, "python", *arguments, version]
        return subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True, check=False)

    found = ask("find", "--no-project")
    if found.returncode != 0:
        fetched = ask("install")
        if fetched.returncode != 0:
            pytest.skip(f"there is no Python {version} here, and uv cannot fetch it: {fetched.stderr.strip()}")
        found = ask("find", "--no-project")
    return Path(found.stdout.strip())


def test_a_stack_runs_on_it_from_up_to_down(python: Path, tmp_path: Path) -> None:
    paylake = Caller((python, CLONE / "paylake"), tmp_path / "home")
    with paylake.up():
        programs = {process.exe() for process in find(paylake.stack)}
        assert {Path(program).name for program in programs if "python" in program} == {python.resolve().name}
        paylake("status")
        paylake("verify")
        paylake("down")
        assert not find(paylake.stack)


def test_the_unit_tests_pass_on_it(python: Path, tmp_path: Path) -> None:
    paylake = Caller((python, CLONE / "paylake"), tmp_path / "home")
    assert " passed" in paylake("test", "unit", "-p", "no:cacheprovider")
