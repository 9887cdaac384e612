"""The rooms of ``include``, folders and single modules: each knows those below it, and none of these knows it."""

from __future__ import annotations

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

INCLUDE = Path(__file__).parents[2] / "include"


def room_of(path: Path) -> str:
    return path.relative_to(INCLUDE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """The rooms that a module imports from, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "include":
            found |= {f"include.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return {name.split(".")[1] for name in found if name.startswith("include.")}


@pytest.fixture(scope="module")
def knows() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for path in INCLUDE.rglob("*.py"):
        room = room_of(path)
        found.setdefault(room, set()).update(imported(path) - {room})
    return found


def test_no_room_knows_one_that_knows_it(knows: dict[str, set[str]]) -> None:
    assert {"lake", "warehouse", "local", "quarantine"} <= knows.keys()
    # Raises CycleError, which names the rooms of a circle.
    TopologicalSorter(knows).prepare()


def test_the_readme_lists_the_rooms_in_their_order(knows: dict[str, set[str]]) -> None:
    rows = re.findall(
        r"^\| (`include/.*?) \|", (INCLUDE.parent / "README.md").read_text(encoding="utf-8"), re.MULTILINE
    )
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
