"""The rules' file: YAML, checked as a whole when it is read; every error names its line and its rule."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from include.fraud.expressions import ConditionError, compile_condition
from include.fraud.features import parse_features
from include.fraud.lists import ListDeclaration
from include.fraud.rulefile import FileShape, ListShape, Mode, RuleShape
from include.fraud.rules import Rule, Rules
from include.fraud.sentences import Sentence
from include.fraud.vocabulary import FEATURE_TYPES, MERCHANT_FIELDS, Type, transaction_types
from include.marked_yaml import MarkedYaml, YamlPath

RULES_FILE = Path(__file__).parent / "rules.yaml"
RULES_VARIABLE = "PAYLAKE_FRAUD_RULES"


class RulesError(ValueError):
    """A rules file cannot be read or makes no sense; ``problems`` say where and why, all there are."""

    def __init__(self, *problems: str) -> None:
        super().__init__("fraud rules " + "\n".join(problems))
        self.problems = problems


def rules_path() -> Path:
    """The rules file in use: ``$PAYLAKE_FRAUD_RULES``, or the one beside this module."""
    return Path(os.environ.get(RULES_VARIABLE) or RULES_FILE)


def load_rules(path: Path | None = None) -> Rules:
    """Read and check a rules file, by default ``rules_path()``.

    Raises:
        RulesError: the file is missing, is no YAML, or holds something that makes no sense.
    """
    path = path or rules_path()
    return parse_rules(rules_text(path), str(path))


def rules_text(path: Path) -> str:
    """What a rules file holds; ``-`` is standard input.

    Raises:
        RulesError: it is missing, or no text in UTF-8.
    """
    try:
        return (sys.stdin.buffer.read() if path == Path("-") else path.read_bytes()).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise RulesError(f"{path}: {error}") from error


def parse_rules(text: str, where: str) -> Rules:
    """Read and check the text of a rules file, which errors call ``where``.

    Raises:
        RulesError: it is no YAML, or holds something that makes no sense.
    """
    try:
        source = MarkedYaml(text)
    except yaml.YAMLError as error:
        raise RulesError(f"{where}: {error}") from error
    return _Reader(source, where).rules()


_NAME = re.compile("[a-z][a-z0-9_]*")
_Shape = TypeVar("_Shape", bound=BaseModel)


class _Reader:
    def __init__(self, source: MarkedYaml, where: str) -> None:
        self._source = source
        self._where = where
        self._problems = [(line, f"{name} is there twice") for line, name in source.repeated]
        own = dict.fromkeys(transaction_types(), "a name of every transaction")
        self._taken = {**own, **dict.fromkeys(MERCHANT_FIELDS, "a name in the evidence")}

    def rules(self) -> Rules:
        file = self._shape(FileShape, self._source.content, ())
        if file is None:
            raise self._error()
        lists = {
            name: declared
            for name, raw in file.lists.items()
            if (declared := self._list(name, raw, ("lists", name))) is not None
        }
        features = parse_features(
            file.features, lambda reason, *part: self._note(("features", *part), f"features: {reason}")
        )
        places = {raw.get("name"): number for number, raw in enumerate(file.features) if isinstance(raw, dict)}
        for feature in features:
            self._take(feature.name, "a feature", ("features", places[feature.name]))
        types = {**transaction_types(), **{one.name: FEATURE_TYPES[one.type] for one in features}}
        shapes = [self._shape(RuleShape, raw, ("rules", number)) for number, raw in enumerate(file.rules)]
        rules, ids = [], set[str]()
        for number, shape in enumerate(shapes):
            if shape is not None:
                self._rule_name(shape.id, ids, number)
                rules.append(self._rule(shape, types, lists, ("rules", number)))
        most = sum(shape.weight for shape in shapes if shape and shape.mode is Mode.ALERT)
        if None not in shapes and most < file.alert_at:
            self._note(("alert_at",), f"alert_at {file.alert_at}: all rules in mode alert together weigh only {most}")
        if self._problems:
            raise self._error()
        return Rules(file.version, file.alert_at, lists, features, tuple(rule for rule in rules if rule is not None))

    def _error(self) -> RulesError:
        return RulesError(*(f"{self._where}:{line}: {reason}" for line, reason in sorted(self._problems)))

    def _note(self, part: YamlPath, reason: str) -> None:
        self._problems.append((self._source.line(part), reason))

    def _shape(self, model: type[_Shape], raw: Any, where: YamlPath) -> _Shape | None:
        try:
            return model.model_validate(raw)
        except ValidationError as error:
            for one in error.errors():
                place = ".".join(map(str, one["loc"]))
                reason = "there is no such key" if one["type"] == "extra_forbidden" else one["msg"]
                self._note(
                    (*where, *one["loc"]),
                    f"{self._called(raw, where)}{place}{': ' * bool(place)}{reason.removeprefix('Value error, ')}",
                )
            return None

    def _called(self, raw: Any, where: YamlPath) -> str:
        if not where:
            return ""
        named = raw.get("id", where[1]) if isinstance(raw, dict) else where[1]
        return f"{'rule' if where[0] == 'rules' else 'list'} {named}: "

    def _take(self, name: str, what: str, where: YamlPath) -> None:
        if not _NAME.fullmatch(name):
            self._note(where, f"{name}: a name has small letters, digits and underscores, and begins with a letter")
        elif name in self._taken:
            self._note(where, f"{what} cannot be called {name}: that is {self._taken[name]}")
        self._taken[name] = what

    def _list(self, name: str, raw: Any, where: YamlPath) -> ListDeclaration | None:
        self._take(name, "a list", where)
        shape = self._shape(ListShape, raw, where)
        if shape is None:
            return None
        for number, entry in enumerate(shape.entries):
            try:
                shape.of.identity(entry)
            except ValueError as error:
                self._note((*where, "entries", number), f"list {name}: {error}")
        return ListDeclaration(shape.of, shape.entries)

    def _rule_name(self, name: str, ids: set[str], number: int) -> None:
        if name in ids:
            self._note(("rules", number, "id"), f"rule {name}: there is another rule of this id")
        ids.add(name)

    def _rule(
        self, shape: RuleShape, types: Mapping[str, Type], lists: Mapping[str, ListDeclaration], where: YamlPath
    ) -> Rule | None:
        def note(reason: object, *part: str) -> None:
            self._note((*where, *part), f"rule {shape.id}: {reason}")

        for name in shape.parameters:
            if not _NAME.fullmatch(name) or name in self._taken:
                taken = self._taken.get(name, "no name: small letters, digits and underscores")
                note(f"a parameter cannot be called {name}: that is {taken}", "parameters", name)
        columns = {name: declared.kind.column for name, declared in lists.items()}
        says, condition = None, None
        try:
            says = Sentence.parse(shape.says)
            for name in says.names:
                if name not in types and name not in shape.parameters:
                    note(f"its sentence names {name}, which there is not", "says")
        except ValueError as error:
            note(f"its sentence: {error}", "says")
        try:
            condition = compile_condition(shape.when, types, columns, shape.parameters)
        except ConditionError as error:
            note(error, "when")
        if says is None or condition is None:
            return None
        for name in shape.parameters.keys() - condition.parameters - set(says.names):
            note(f"nothing uses its parameter {name}", "parameters", name)
        asked = {name: columns[name] for name in condition.lists}
        return Rule(shape.id, says, condition, shape.parameters, asked, shape.weight, shape.mode)
