"""Somebody who is not root, with a home and a clone of their own: the first `up`, and the unit tests."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest

from include.local.layout import locate
from include.local.supervision.leftovers import find
from tests.starts.caller import Caller
from tests.support.clone import copy_of_clone

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(2700),
    pytest.mark.skipif(os.geteuid() != 0, reason="this is an ordinary user, and only root can make another one"),
]


@pytest.fixture(scope="module")
def paylake() -> Iterator[Caller]:
    """A user who was made a moment ago and has nothing but a clone; Python and Java are the machine's."""
    name = f"paylake{os.getpid()}"
    with TemporaryDirectory(prefix="paylake-user-") as folder:
        Path(folder).chmod(0o755)
        subprocess.run(["useradd", "--create-home", "--base-dir", folder, name], check=True)
        try:
            account = pwd.getpwnam(name)
            yield settle(account)
        finally:
            subprocess.run(["userdel", name], check=True)


def settle(account: pwd.struct_passwd) -> Caller:
    home = Path(account.pw_dir)
    clone, cache = copy_of_clone(home / "paylake"), home / ".cache" / "paylake"
    # What takes minutes to build and has no rights of its own; the rest the first `up` makes.
    for entry in (*locate().cache.glob("minio-*"), locate().cache / "jars"):
        copy = shutil.copytree if entry.is_dir() else shutil.copy2
        cache.mkdir(parents=True, exist_ok=True)
        copy(entry, cache / entry.name)
    subprocess.run(["chown", "--recursive", f"{account.pw_uid}:{account.pw_gid}", home], check=True)
    theirs = {"HOME": str(home), "USER": account.pw_name, "LOGNAME": account.pw_name, "PAYLAKE_CACHE": str(cache)}
    return Caller((clone / "paylake",), home / "stack", account, theirs | {"PATH": "/usr/local/bin:/usr/bin:/bin"})


def test_the_first_up_needs_no_root_and_leaves_nothing_of_anybody_else(paylake: Caller) -> None:
    assert paylake.account is not None
    with paylake.up():
        running = find(paylake.stack)
        assert {"postgres", "java", "minio"} <= {process.name() for process in running}
        assert {process.uids().effective for process in running} == {paylake.account.pw_uid}
        assert {path.stat().st_uid for path in paylake.home.rglob("*") if path.exists()} == {paylake.account.pw_uid}
        assert paylake.home.stat().st_mode & 0o077 == 0
        paylake("status")
        paylake("verify")
        paylake("down")
        assert not find(paylake.stack)
    assert not [process for process in psutil.process_iter() if process.username() == paylake.account.pw_name]


def test_the_unit_tests_need_no_root(paylake: Caller) -> None:
    assert " passed" in paylake("test", "unit")
