"""The rooms of ``include``, folders and single modules: each knows those below it, and none of these knows it."""

from __future__ import annotations

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INCLUDE = ROOT / "include"


def imported(path: Path) -> set[str]:
    """The modules of ours that a module imports, or imports from, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.startswith("include.")}


def rooms(folder: Path) -> dict[str, set[str]]:
    """Which others of its rooms each room of a folder knows."""
    package = ".".join(folder.relative_to(ROOT).parts) + "."
    found: dict[str, set[str]] = {}
    for path in folder.rglob("*.py"):
        room = path.relative_to(folder).parts[0].removesuffix(".py")
        known = {name.removeprefix(package).split(".")[0] for name in imported(path) if name.startswith(package)}
        found.setdefault(room, set()).update(known - {room})
    return found


@pytest.fixture(scope="module")
def knows() -> dict[str, set[str]]:
    return rooms(INCLUDE)


def test_no_room_knows_one_that_knows_it(knows: dict[str, set[str]]) -> None:
    assert {"lake", "warehouse", "local", "quarantine"} <= knows.keys()
    # Raises CycleError, which names the rooms of a circle.
    TopologicalSorter(knows).prepare()


def test_so_it_is_within_the_stack_without_docker() -> None:
    within = rooms(INCLUDE / "local")
    assert {"setup", "servers", "supervision", "testing"} <= within.keys()
    TopologicalSorter(within).prepare()


def test_what_runs_in_containers_knows_nothing_of_the_stack_without_docker(knows: dict[str, set[str]]) -> None:
    in_containers = [*(INCLUDE / "docker").rglob("*.py"), *(ROOT / "airflow").rglob("*.py")]
    met = {name.split(".")[1] for path in in_containers for name in imported(path)}
    assert {"domains", "stack"} <= met
    while further := {other for room in met for other in knows[room]} - met:
        met |= further
    assert "local" not in met


def test_the_readme_lists_the_rooms_in_their_order(knows: dict[str, set[str]]) -> None:
    rows = re.findall(r"^\| (`include/.*?) \|", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    place = {room: number for number, row in enumerate(rows) for room in re.findall(r"`include/(\w+)(?:/|\.py)`", row)}
    # Docker's stands with Docker's other files.
    assert knows.keys() - {"__init__", "docker"} <= place.keys()
    wrong = [
        f"{room} stands above {below}, which it knows"
        for room, others in knows.items()
        for below in others
        if room in place and below in place and place[below] > place[room]
    ]
    assert wrong == []
