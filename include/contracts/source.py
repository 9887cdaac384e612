"""A contract's YAML file, with the line on which each part of it stands."""

from __future__ import annotations

from typing import Any

import yaml
from open_data_contract_standard.model import OpenDataContractStandard
from pydantic import ValidationError

Path = tuple[str | int, ...]
"""Where a part stands: names of members and numbers of elements, such as ``("schema", 0, "properties", 2)``."""


class ContractError(ValueError):
    """A contract file says something that Paylake cannot honour; the message names the file, the line and the part."""


class Source:
    """One contract file's text."""

    def __init__(self, file_name: str, text: str) -> None:
        """Parse the text.

        Raises:
            ContractError: it is no YAML, or not of the standard's shape.
        """
        self.file_name = file_name
        try:
            loader = yaml.CSafeLoader(text)
            self._root = loader.get_single_node()
            content: Any = loader.construct_document(self._root) if self._root else None
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise ContractError(f"{file_name}:{line}: {error.problem or error}") from error
        if not isinstance(content, dict):
            raise ContractError(f"{file_name}:1: is no mapping")
        try:
            self.document = OpenDataContractStandard(**content)
        except ValidationError as error:
            first = error.errors()[0]
            where: Path = first["loc"]
            raise self.error(f"{'.'.join(map(str, where))}: {first['msg']}", where) from error

    def error(self, message: str, where: Path = ()) -> ContractError:
        """An error about the part at ``where``, or about the nearest one around it that is written."""
        return ContractError(f"{self.file_name}:{self._line(where)}: {message}")

    def _line(self, where: Path) -> int:
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
