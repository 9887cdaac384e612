"""One field of a record, or one column of a table, as a contract states it; what it cannot mean is refused."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from open_data_contract_standard.model import CustomProperty, SchemaProperty

from include.cleaning import CLEANERS
from include.contracts.source import Source
from include.marked_yaml import YamlPath

MAX_TEXT_CHARACTERS = 500
"""Longest text, in characters; a contract may ask for less."""
INTEGER_BITS = {"smallint": 16, "integer": 32, "bigint": 64}
_NUMERIC = re.compile(r"numeric\(([0-9]+),([0-9]+)\)")
_PHYSICAL_TYPES: Mapping[str, tuple[re.Pattern[str], str]] = {
    "string": (re.compile(r"text|(?:char|varchar)\([0-9]+\)"), "text, char(n) or varchar(n)"),
    "integer": (re.compile("|".join(INTEGER_BITS)), ", ".join(INTEGER_BITS)),
    "number": (_NUMERIC, "numeric(p,s): no float comes near money"),
    "boolean": (re.compile("boolean"), "boolean"),
    "date": (re.compile("date"), "date"),
    "time": (re.compile("time"), "time"),
    "timestamp": (re.compile("timestamptz"), "timestamptz"),
}
LOGICAL_TYPES = frozenset(_PHYSICAL_TYPES)
_OPTIONS = {
    "string": {"pattern", "minLength", "maxLength"},
    "integer": {"minimum", "maximum", "exclusiveMinimum"},
    "number": {"minimum", "maximum", "exclusiveMinimum"},
}


@dataclass(frozen=True, slots=True)
class Transform:
    """How a column is made: the ``part`` of what a cleaner of ``include/cleaning`` makes of a field of the record."""

    source: str
    cleaner: str
    part: str


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a record or one column of a table.

    ``physical_type`` is the PostgreSQL type. ``minimum``, ``maximum`` and ``exclusive_minimum`` are in the field's own
    unit; ``min_length`` and ``max_length`` count characters. ``transform`` says how a column is made and is None where
    it is the record's field of the same name. ``placeholder_is_missing``: a text such as ``N/A`` counts as no value.
    ``may_lie_ahead``: a timestamp such as a due date, which may lie in the future.
    """

    name: str
    logical_type: str
    physical_type: str
    description: str
    required: bool
    primary_key: bool
    personal: bool
    pattern: str | None
    min_length: int | None
    max_length: int | None
    minimum: Decimal | None
    maximum: Decimal | None
    exclusive_minimum: Decimal | None
    valid_values: tuple[str, ...]
    placeholder_is_missing: bool
    may_lie_ahead: bool
    transform: Transform | None

    @property
    def precision_and_scale(self) -> tuple[int, int]:
        """How many digits a number has, and how many of them are decimals."""
        shape = _NUMERIC.fullmatch(self.physical_type)
        if shape is None:
            raise TypeError(f"{self.name} is no number")
        return int(shape[1]), int(shape[2])


class FieldReader:
    """Reads one property of a contract, which stands at ``where``."""

    def __init__(self, source: Source, where: YamlPath, prop: SchemaProperty) -> None:
        self._source = source
        self._where = where
        self._prop = prop

    def field(self) -> Field:
        """The field.

        Raises:
            ContractError: the property lacks something, or says what it cannot mean.
        """
        prop, options = self._prop, self._prop.logicalTypeOptions or {}
        logical_type, physical_type = self._types()
        if unknown := options.keys() - _OPTIONS.get(logical_type, set()):
            raise self._error(f"{', '.join(sorted(unknown))}: no option of type {logical_type}", "logicalTypeOptions")
        found = Field(
            name=self._need("name", prop.name),
            logical_type=logical_type,
            physical_type=physical_type,
            description=self._need("description", prop.description),
            required=bool(prop.required),
            primary_key=bool(prop.primaryKey),
            personal=prop.classification == "personal",
            pattern=self._pattern(options),
            min_length=self._count(options, "minLength"),
            max_length=self._count(options, "maxLength"),
            minimum=self._decimal(options, "minimum"),
            maximum=self._decimal(options, "maximum"),
            exclusive_minimum=self._decimal(options, "exclusiveMinimum"),
            valid_values=self._valid_values(logical_type),
            placeholder_is_missing=self._custom("placeholders", "missing", "string", logical_type),
            may_lie_ahead=self._custom("future", "allowed", "timestamp", logical_type),
            transform=self._transform(logical_type),
        )
        self._check_bounds(found)
        return found

    def _error(self, message: str, *part: str | int) -> Exception:
        return self._source.error(f"{self._prop.name}: {message}", (*self._where, *part))

    def _need(self, what: str, value: str | None) -> str:
        if not value:
            raise self._error(f"no {what}")
        return value

    def _types(self) -> tuple[str, str]:
        logical = self._need("logicalType", self._prop.logicalType)
        if logical not in LOGICAL_TYPES:
            known = ", ".join(sorted(LOGICAL_TYPES))
            raise self._error(f"logicalType {logical} is none of {known}", "logicalType")
        physical = self._need("physicalType", self._prop.physicalType)
        shape, known = _PHYSICAL_TYPES[logical]
        if not shape.fullmatch(physical):
            raise self._error(f"type {logical} is not stored as {physical}, but as {known}", "physicalType")
        return logical, physical

    def _pattern(self, options: Mapping[str, object]) -> str | None:
        pattern = options.get("pattern")
        if pattern is None:
            return None
        try:
            return re.compile(str(pattern)).pattern
        except re.error as error:
            raise self._error(f"pattern {pattern!r}: {error}", "logicalTypeOptions", "pattern") from error

    def _count(self, options: Mapping[str, object], name: str) -> int | None:
        value = options.get(name)
        if value is None:
            return None
        if not isinstance(value, int) or not 0 <= value <= MAX_TEXT_CHARACTERS:
            message = f"{name} {value} is no number of characters up to {MAX_TEXT_CHARACTERS}"
            raise self._error(message, "logicalTypeOptions", name)
        return value

    def _decimal(self, options: Mapping[str, object], name: str) -> Decimal | None:
        value = options.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._error(f"{name} {value!r} is no number", "logicalTypeOptions", name)
        return Decimal(str(value))

    def _check_bounds(self, field: Field) -> None:
        lowest = max((bound for bound in (field.minimum, field.exclusive_minimum) if bound is not None), default=None)
        if lowest is not None and field.maximum is not None and lowest > field.maximum:
            raise self._error(f"no value is from {lowest} to {field.maximum}", "logicalTypeOptions")
        if (field.min_length or 0) > (field.max_length or MAX_TEXT_CHARACTERS):
            raise self._error(f"no text has {field.min_length} to {field.max_length} characters", "logicalTypeOptions")

    def _valid_values(self, logical_type: str) -> tuple[str, ...]:
        values: tuple[str, ...] = ()
        for number, rule in enumerate(self._prop.quality or []):
            if rule.metric != "invalidValues" or rule.mustBe != 0:
                message = "the only quality rule known is metric invalidValues, mustBe 0"
                raise self._error(message, "quality", number)
            listed = (rule.arguments or {}).get("validValues", ())
            if logical_type != "string" or not all(isinstance(value, str) for value in listed):
                raise self._error("validValues are texts, of a field that is one", "quality", number)
            values += tuple(listed)
        return values

    def _custom(self, name: str, word: str, of_type: str, logical_type: str) -> bool:
        value = custom_value(self._prop.customProperties, name)
        if value is None:
            return False
        if value != word:
            raise self._error(f"{name} is {value!r}; it can only be {word}", "customProperties")
        if logical_type != of_type:
            raise self._error(f"{name} is said of type {logical_type}, not of {of_type}", "customProperties")
        return True

    def _transform(self, logical_type: str) -> Transform | None:
        sources, logic = self._prop.transformSourceObjects or [], self._prop.transformLogic
        if not sources and logic is None:
            return None
        if len(sources) != 1 or not sources[0].startswith("record."):
            raise self._error("is made of one field, record.<name>", "transformSourceObjects")
        cleaner, _, part = (logic or "").partition(".")
        made = CLEANERS[cleaner].parts.get(part) if cleaner in CLEANERS else None
        if made is None:
            known = ", ".join(f"{name}.{part}" for name, one in CLEANERS.items() for part in one.parts)
            raise self._error(f"transformLogic {logic} is none of {known}", "transformLogic")
        if made != logical_type:
            raise self._error(f"{logic} is of type {made}, not {logical_type}", "transformLogic")
        return Transform(sources[0].removeprefix("record."), cleaner, part)


def custom_value(properties: list[CustomProperty] | None, name: str) -> object:
    """The value of a custom property; None where there is none of that name."""
    return next((one.value for one in properties or [] if one.property == name), None)
