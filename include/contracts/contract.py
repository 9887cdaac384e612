"""Typed view of a data contract: the record as produced, and the table it becomes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from open_data_contract_standard.model import SchemaObject, Team, TeamMember

from include.cleaning import CLEANERS
from include.contracts.field import Field, FieldReader, custom_value
from include.contracts.source import ContractError, Source
from include.marked_yaml import YamlPath

CONTRACTS_FOLDER = Path(__file__).parent
ENVELOPES = frozenset({"schema_registry", "connect", "debezium"})
"""What records may be wrapped in, and a contract may ask to be taken off."""
OUR_TEAM = "paylake"


@dataclass(frozen=True, slots=True)
class Contract:
    """One domain's contract.

    ``record`` holds the fields of a message on ``topic``; ``columns`` those of the table ``table`` (its unquoted SQL
    name; for transactions the shape that both verdict tables share). ``unwrap`` names those of `ENVELOPES` that are
    taken off a message before it is judged. ``owners`` are the teams or people of the contract's ``team``, ours if it
    names none.
    """

    id: str
    version: str
    owners: tuple[str, ...]
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
    """Read ``include/contracts/<file_name>``, or the file of that name anywhere else if it is an absolute path.

    Raises:
        ContractError: the file cannot be read, lacks a part that Paylake needs, or says what Paylake does not know or
            what cannot be meant; the message names the file, the line and the part.
    """
    try:
        text = (CONTRACTS_FOLDER / file_name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ContractError(f"{file_name}: {error}") from error
    return _Reader(Source(file_name, text)).contract()


class _Reader:
    def __init__(self, source: Source) -> None:
        self._source = source
        self._document = source.document
        schemas = self._document.schema_ or []
        self._places = {schema.physicalType: number for number, schema in enumerate(schemas)}

    def contract(self) -> Contract:
        topic, table = self._object("topic"), self._object("table")
        document = self._document
        record = self._fields(topic)
        if sum(field.primary_key for field in record) != 1:
            raise self._error("the record needs exactly one primaryKey", topic)
        columns = self._fields(table)
        by_name = {field.name: field for field in record}
        for number, column in enumerate(columns):
            self._check_column(table, number, column, by_name)
        return Contract(
            id=self._need("id", document.id),
            version=self._need("version", document.version),
            owners=_owners(document.team) or (OUR_TEAM,),
            name=self._need("name", document.name),
            description=self._need("purpose", document.description.purpose if document.description else None),
            topic=self._need("physicalName of the topic", topic.physicalName),
            table=self._need("physicalName of the table", table.physicalName),
            table_description=self._need("description of the table", table.description),
            record=record,
            columns=columns,
            unwrap=self._unwrap(topic),
        )

    def _object(self, physical_type: str) -> SchemaObject:
        if physical_type not in self._places:
            raise self._source.error(f"no schema object with physicalType '{physical_type}'", ("schema",))
        return (self._document.schema_ or [])[self._places[physical_type]]

    def _where(self, schema: SchemaObject, *part: str | int) -> YamlPath:
        return ("schema", self._places[schema.physicalType], *part)

    def _error(self, message: str, schema: SchemaObject, *part: str | int) -> ContractError:
        return self._source.error(message, self._where(schema, *part))

    def _need(self, what: str, value: str | None) -> str:
        if not value:
            raise self._source.error(f"no {what}")
        return value

    def _fields(self, schema: SchemaObject) -> tuple[Field, ...]:
        found: dict[str, Field] = {}
        for number, prop in enumerate(schema.properties or []):
            where = self._where(schema, "properties", number)
            field = FieldReader(self._source, where, prop).field()
            if field.name in found:
                raise self._source.error(f"{field.name} is there twice", where)
            found[field.name] = field
        return tuple(found.values())

    def _check_column(self, table: SchemaObject, number: int, column: Field, record: dict[str, Field]) -> None:
        """Make sure that the record can fill the column."""
        transform = column.transform
        of = record.get(transform.source if transform else column.name)
        part = ("properties", number)
        if of is None:
            missing = f"the record has no {transform.source}" if transform else "nothing in the record makes it"
            raise self._error(f"{column.name}: {missing}", table, *part)
        takes = CLEANERS[transform.cleaner].takes if transform else column.logical_type
        if of.logical_type != takes:
            wanted = f"{transform.cleaner} takes {takes}" if transform else f"the column {takes}"
            raise self._error(f"{column.name}: {of.name} is of type {of.logical_type}, {wanted}", table, *part)

    def _unwrap(self, topic: SchemaObject) -> frozenset[str]:
        words = custom_value(topic.customProperties, "unwrap")
        known = ", ".join(sorted(ENVELOPES))
        if words is None:
            return frozenset()
        if not isinstance(words, list):
            raise self._error(f"unwrap is {words!r}; it must be a list of {known}", topic, "customProperties")
        for word in words:
            if not isinstance(word, str) or word not in ENVELOPES:
                raise self._error(f"unwrap names {word!r}, which is none of {known}", topic, "customProperties")
        return frozenset(words)


def _owners(team: Team | list[TeamMember] | None) -> tuple[str, ...]:
    if isinstance(team, Team):
        return (team.name,) if team.name else _owners(team.members)
    return tuple(name for member in team or [] if (name := member.username or member.name))
