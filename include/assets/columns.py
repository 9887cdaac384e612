"""The columns of assets, and which column of which asset each is made of: lineage from contracts and cleaners."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from include.contracts import Field
from include.domains import Domain
from include.warehouse import columns as warehouse

AS_IT_IS = "as it is"


@dataclass(frozen=True, slots=True)
class Source:
    """A column of another asset."""

    asset: str
    column: str


@dataclass(frozen=True, slots=True)
class AssetColumn:
    """A column, or a field of a message.

    ``type`` is PostgreSQL's in the warehouse, Spark's in silver and the contract's logical type elsewhere. ``rule``
    says in words which values it may have. ``made_by`` says how it is made of ``sources``, or who makes it if there are
    none.
    """

    name: str
    type: str
    description: str
    made_by: str
    required: bool = True
    personal: bool = False
    rule: str = ""
    sources: tuple[Source, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The column as it stands in an asset's extra."""
        return {
            "name": self.name,
            "type": self.type,
            "required": self.required,
            "personal": self.personal,
            "description": self.description,
            "rule": self.rule,
            "made_by": self.made_by,
            "from": [{"asset": one.asset, "column": one.column} for one in self.sources],
        }


def rule_in_words(field: Field) -> str:
    """Which values a field may have, for people; empty where all of its type."""
    rules = []
    if field.valid_values:
        rules.append(f"one of {', '.join(field.valid_values)}")
    if field.pattern:
        rules.append(f"matches {field.pattern}")
    for words, limit in (
        ("at least {} characters", field.min_length),
        ("at most {} characters", field.max_length),
        ("from {}", field.minimum),
        ("up to {}", field.maximum),
        ("above {}", field.exclusive_minimum),
    ):
        if limit is not None:
            rules.append(words.format(limit))
    if field.placeholder_is_missing:
        rules.append("a placeholder such as N/A counts as missing")
    return "; ".join(rules)


def message_columns(domain: Domain) -> tuple[AssetColumn, ...]:
    """The fields of a message on the domain's topic."""
    return tuple(_described(field, field.logical_type, "the producer") for field in domain.contract.record)


def bronze_columns(domain: Domain) -> tuple[AssetColumn, ...]:
    """The fields of a record in bronze, as they came, and where it is from."""
    fields = (
        _described(field, field.logical_type, AS_IT_IS, Source(domain.topic, field.name))
        for field in domain.contract.record
    )
    return (
        *fields,
        AssetColumn("topic_id", "string", "Id of the Kafka topic the record came on.", "Kafka"),
        AssetColumn("partition", "integer", "Kafka partition the record came on.", "Kafka"),
        AssetColumn("offset", "integer", "Kafka offset of the record in its partition.", "Kafka"),
        AssetColumn("timestamp_ms", "integer", "Kafka's timestamp as it came, in ms since 1970.", "Kafka"),
        AssetColumn("taken_ms", "integer", "When the record came, in ms since 1970.", "ingestion"),
    )


def silver_columns(domain: Domain, bronze: str) -> tuple[AssetColumn, ...]:
    """The columns of silver, made of the asset ``bronze``."""
    origin = (
        replace(column, type=_SPARK_TYPES[column.type])
        for column in warehouse.GOLD_COLUMNS
        if column.name in _COORDINATES_IN_BRONZE or column.name in _ORIGIN_IN_BRONZE
    )
    return (
        *(_cleaned(field, _spark_type(field), bronze) for field in domain.contract.columns),
        *_added(origin, {**_COORDINATES_IN_BRONZE, **_ORIGIN_IN_BRONZE}, bronze),
        AssetColumn("silver_version", "bigint", "The silver run that wrote the row, counted from 1.", "silver"),
    )


def gold_columns(domain: Domain, silver: str) -> tuple[AssetColumn, ...]:
    """The columns of the domain's table, loaded from the asset ``silver``."""
    fields = (
        _described(field, field.physical_type, AS_IT_IS, Source(silver, field.name))
        for field in domain.contract.columns
    )
    return (*fields, *_added(warehouse.GOLD_COLUMNS, {**_COORDINATES_IN_SILVER, **_ORIGIN_IN_SILVER}, silver))


def verdict_columns(domain: Domain, bronze: str, merchants: str, *, fraud: bool) -> tuple[AssetColumn, ...]:
    """The columns of a verdict's table, made of the asset ``bronze`` with what is known of ``merchants``."""
    seen = (*(Source(bronze, field.name) for field in domain.contract.record), Source(merchants, "risk_level"))
    judged = _added(warehouse.FRAUD_COLUMNS, dict.fromkeys(("reasons", "evidence"), ("the rules", seen)), bronze)
    added = _added(
        warehouse.VERDICT_COLUMNS,
        {
            **_COORDINATES_IN_BRONZE,
            "rules_version": ("the rules", ()),
            "scored_at": ("the warehouse", ()),
            "score": ("the rules", seen),
            "lists_version": ("the rules", ()),
        },
        bronze,
    )
    cleaned = (_cleaned(field, field.physical_type, bronze) for field in domain.contract.columns)
    return (*cleaned, *added, *(judged if fraud else ()))


def daily_fraud_columns(fraud: str, genuine: str) -> tuple[AssetColumn, ...]:
    """The columns of the daily rollup, made of the assets ``fraud`` and ``genuine``."""
    of = {
        "day": ("day, UTC", ("timestamp",)),
        "merchant_id": (AS_IT_IS, ("merchant_id",)),
        "channel": (AS_IT_IS, ("channel",)),
        "transactions": ("count", ("txn_id",)),
        "amount": ("sum", ("amount",)),
    }
    of_both = {
        name: (made_by, tuple(Source(one, source) for one in (fraud, genuine) for source in sources))
        for name, (made_by, sources) in of.items()
    }
    of_fraud: Mapping[str, _Made] = {
        "rules": ("in order", ("reasons",)),
        "frauds": ("count", ("txn_id",)),
        "fraud_amount": ("sum", ("amount",)),
    }
    return _added(warehouse.DAILY_FRAUD_COLUMNS, {**of_both, **of_fraud}, fraud)


_SPARK_TYPES = {"text": "string", "integer": "int", "smallint": "int", "bigint": "bigint"}


def _spark_type(field: Field) -> str:
    match field.logical_type:
        case "integer":
            return _SPARK_TYPES[field.physical_type]
        case "number":
            return "decimal({},{})".format(*field.precision_and_scale)
        case "time":
            return "string"  # Spark has no type for times of day
        case other:
            return other


_Made = tuple[str, tuple[Source | str, ...]]
"""How a column is made, and of what: a text is the column of that name in the asset before."""

_COORDINATES_IN_BRONZE: Mapping[str, _Made] = {
    "bronze_topic_id": (AS_IT_IS, ("topic_id",)),
    "bronze_partition": (AS_IT_IS, ("partition",)),
    "bronze_offset": (AS_IT_IS, ("offset",)),
}
_ORIGIN_IN_BRONZE: Mapping[str, _Made] = {
    "bronze_generation": ("topics of this name, counted from 0", ("topic_id",)),
    "bronze_taken_ms": (AS_IT_IS, ("taken_ms",)),
}
_COORDINATES_IN_SILVER: Mapping[str, _Made] = {name: (AS_IT_IS, (name,)) for name in _COORDINATES_IN_BRONZE}
_ORIGIN_IN_SILVER: Mapping[str, _Made] = {
    "bronze_generation": (AS_IT_IS, ("bronze_generation",)),
    "bronze_taken_ms": (AS_IT_IS, ("bronze_taken_ms",)),
    "loaded_at": ("the warehouse", ()),
}


def _added(columns: Iterable[warehouse.Column], made: Mapping[str, _Made], before: str) -> tuple[AssetColumn, ...]:
    """What Paylake adds to a contract's columns.

    Raises:
        KeyError: nobody said how a column is made.
    """
    found = []
    for column in columns:
        made_by, of = made[column.name]
        sources = tuple(one if isinstance(one, Source) else Source(before, one) for one in of)
        found.append(
            AssetColumn(
                column.name,
                column.type,
                column.description,
                made_by,
                required=column.required,
                personal="personal data" in column.description,
                sources=sources,
            )
        )
    return tuple(found)


def _described(field: Field, type_: str, made_by: str, *sources: Source) -> AssetColumn:
    return AssetColumn(
        field.name,
        type_,
        field.description,
        made_by,
        required=field.required or field.primary_key,
        personal=field.personal,
        rule=rule_in_words(field),
        sources=sources,
    )


def _cleaned(field: Field, type_: str, bronze: str) -> AssetColumn:
    transform = field.transform
    if transform is None:
        return _described(field, type_, "cleaned", Source(bronze, field.name))
    return _described(field, type_, f"{transform.cleaner}.{transform.part}", Source(bronze, transform.source))
