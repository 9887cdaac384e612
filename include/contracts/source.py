"""A contract's YAML file, with the line on which each part of it stands."""

from __future__ import annotations

import yaml
from open_data_contract_standard.model import OpenDataContractStandard
from pydantic import ValidationError

from include.marked_yaml import MarkedYaml, YamlPath


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
            self._yaml = MarkedYaml(text)
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise ContractError(f"{file_name}:{line}: {error.problem or error}") from error
        content = self._yaml.content
        if not isinstance(content, dict):
            raise ContractError(f"{file_name}:1: is no mapping")
        try:
            self.document = OpenDataContractStandard(**content)
        except ValidationError as error:
            first = error.errors()[0]
            where: YamlPath = first["loc"]
            raise self.error(f"{'.'.join(map(str, where))}: {first['msg']}", where) from error

    def error(self, message: str, where: YamlPath = ()) -> ContractError:
        """An error about the part at ``where``, or about the nearest one around it that is written."""
        return ContractError(f"{self.file_name}:{self._yaml.line(where)}: {message}")
