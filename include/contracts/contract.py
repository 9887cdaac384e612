"""Typed view of a data contract: the record as produced, and the table it becomes."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path

from open_data_contract_standard.model import (
    CustomProperty,
    OpenDataContractStandard,
    SchemaObject,
    SchemaProperty,
)

CONTRACTS_FOLDER = Path(__file__).parent
LOGICAL_TYPES = frozenset({"string", "integer", "number", "boolean", "date", "time", "timestamp"})
ENVELOPES = frozenset({"schema_registry", "connect", "debezium"})
"""What records may be wrapped in, and a contract may ask to be taken off."""


class ContractError(ValueError):
    """A contract file says something that Paylake cannot honour."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a record or one column of a table, as its contract states it.

    ``physical_type`` is the PostgreSQL type. ``minimum``, ``maximum`` and ``exclusive_minimum`` are in the field's own
    unit; ``min_length`` and ``max_length`` count characters. ``derived_from`` names the record's fields that a column
    is computed from and is empty where the column is the record's field of the same name. ``placeholder_is_missing``: a
    text such as ``N/A`` counts as no value.
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
    derived_from: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Contract:
    """One domain's contract.

    ``record`` holds the fields of a message on ``topic``; ``columns`` those of the table ``table`` (its unquoted SQL
    name; for transactions the shape that both verdict tables share). ``unwrap`` names those of `ENVELOPES` that are
    taken off a message before it is judged.
    """

    id: str
    version: str
    name: str
    description: str
    topic: str
    table: str
    table_description: str
    record: tuple[Field, ...]
    columns: tuple[Field, ...]
    unwrap: frozenset[str]

    @property
    def key(self) -> Field:
        """The record's id field."""
        return next(field for field in self.record if field.primary_key)

    @property
    def required(self) -> frozenset[str]:
        """Names of the fields that a record must have."""
        return frozenset(field.name for field in self.record if field.required)


@cache
def load_contract(file_name: str) -> Contract:
    """Read ``include/contracts/<file_name>``.

    Raises:
        ContractError: the file lacks a part that Paylake needs, or says what Paylake does not know; the message names
            the file and the part.
    """
    document = OpenDataContractStandard.from_file(str(CONTRACTS_FOLDER / file_name))
    by_physical_type = {schema.physicalType: schema for schema in document.schema_ or []}
    try:
        topic, table = by_physical_type["topic"], by_physical_type["table"]
    except KeyError as missing:
        raise ContractError(f"{file_name}: no schema object with physicalType {missing}") from None
    record = _fields(file_name, topic)
    if sum(field.primary_key for field in record) != 1:
        raise ContractError(f"{file_name}: the record needs exactly one primaryKey")
    purpose = document.description.purpose if document.description else None
    return Contract(
        id=_need(file_name, "id", document.id),
        version=_need(file_name, "version", document.version),
        name=_need(file_name, "name", document.name),
        description=_need(file_name, "description.purpose", purpose),
        topic=_need(file_name, "physicalName of the topic", topic.physicalName),
        table=_need(file_name, "physicalName of the table", table.physicalName),
        table_description=_need(file_name, "description of the table", table.description),
        record=record,
        columns=_fields(file_name, table),
        unwrap=_unwrap(f"{file_name}, {topic.name}", topic),
    )


def _need(file_name: str, what: str, value: str | None) -> str:
    if not value:
        raise ContractError(f"{file_name}: no {what}")
    return value


def _fields(file_name: str, schema: SchemaObject) -> tuple[Field, ...]:
    return tuple(_field(f"{file_name}, {schema.name}", prop) for prop in schema.properties or [])


def _field(where: str, prop: SchemaProperty) -> Field:
    name = _need(where, "name of a property", prop.name)
    where = f"{where}.{name}"
    logical_type = _need(where, "logicalType", prop.logicalType)
    if logical_type not in LOGICAL_TYPES:
        raise ContractError(f"{where}: logicalType {logical_type} is none of {', '.join(sorted(LOGICAL_TYPES))}")
    options = prop.logicalTypeOptions or {}
    sources = prop.transformSourceObjects or []
    return Field(
        name=name,
        logical_type=logical_type,
        physical_type=_need(where, "physicalType", prop.physicalType),
        description=_need(where, "description", prop.description),
        required=bool(prop.required),
        primary_key=bool(prop.primaryKey),
        personal=prop.classification == "personal",
        pattern=options.get("pattern"),
        min_length=options.get("minLength"),
        max_length=options.get("maxLength"),
        minimum=_decimal(options.get("minimum")),
        maximum=_decimal(options.get("maximum")),
        exclusive_minimum=_decimal(options.get("exclusiveMinimum")),
        valid_values=_valid_values(where, prop),
        placeholder_is_missing=_placeholder_is_missing(where, prop),
        derived_from=tuple(source.removeprefix("record.") for source in sources),
    )


def _decimal(value: int | float | None) -> Decimal | None:
    return None if value is None else Decimal(str(value))


def _valid_values(where: str, prop: SchemaProperty) -> tuple[str, ...]:
    values: tuple[str, ...] = ()
    for rule in prop.quality or []:
        if rule.metric != "invalidValues" or rule.mustBe != 0:
            raise ContractError(f"{where}: the only quality rule known is metric invalidValues, mustBe 0")
        values += tuple((rule.arguments or {}).get("validValues", ()))
    return values


def _unwrap(where: str, topic: SchemaObject) -> frozenset[str]:
    words = _custom(topic.customProperties, "unwrap")
    known = ", ".join(sorted(ENVELOPES))
    if words is None:
        return frozenset()
    if not isinstance(words, list):
        raise ContractError(f"{where}: unwrap is {words!r}; it must be a list of {known}")
    for word in words:
        if not isinstance(word, str) or word not in ENVELOPES:
            raise ContractError(f"{where}: unwrap names {word!r}, which is none of {known}")
    return frozenset(words)


def _placeholder_is_missing(where: str, prop: SchemaProperty) -> bool:
    value = _custom(prop.customProperties, "placeholders")
    if value not in (None, "missing"):
        raise ContractError(f"{where}: placeholders is {value!r}; it can only be missing")
    return value is not None


def _custom(properties: list[CustomProperty] | None, name: str) -> object:
    return next((one.value for one in properties or [] if one.property == name), None)
