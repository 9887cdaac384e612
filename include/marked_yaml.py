"""YAML whose parts know on which line they stand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import yaml

YamlPath: TypeAlias = tuple[str | int, ...]
"""Where a part stands: names of members and numbers of elements, such as ``("schema", 0, "properties", 2)``."""


class MarkedYaml:
    """One document; ``content`` is what it says, None if it is empty."""

    def __init__(self, text: str) -> None:
        """Parse the text.

        Raises:
            yaml.YAMLError: it is no YAML.
        """
        loader = yaml.CSafeLoader(text)
        self._root = loader.get_single_node()
        self.repeated = list(_repeated(self._root, set()))
        """The names that a mapping has twice, of which YAML keeps the last, each with the line of the later one."""
        self.content: Any = loader.construct_document(self._root) if self._root else None

    def line(self, where: YamlPath) -> int:
        """The line of a part, counted from 1, or of the nearest one around it that is written."""
        node, line = self._root, 1
        for step in where:
            if isinstance(node, yaml.MappingNode):
                found = next(((key, value) for key, value in node.value if key.value == step), None)
                if found is None:
                    break
                # The name's line: a value may begin on the next one.
                line, node = found[0].start_mark.line + 1, found[1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
                node = node.value[step]
                line = node.start_mark.line + 1
            else:
                break
        return line


def _repeated(node: yaml.Node | None, seen: set[int]) -> Iterator[tuple[int, str]]:
    if node is None or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for element in node.value:
            yield from _repeated(element, seen)
    elif isinstance(node, yaml.MappingNode):
        names: set[str] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in names:
                    yield key.start_mark.line + 1, key.value
                names.add(key.value)
            yield from _repeated(value, seen)
