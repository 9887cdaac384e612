"""The columns of silver tables, from the contracts."""

from __future__ import annotations

import re

from pyspark.sql.types import (
    BooleanType,
    DataType,
    DateType,
    DecimalType,
    IntegerType,
    LongType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from include.contracts import ContractError, Field
from include.domains import Domain

COORDINATES = (
    StructField("bronze_topic_id", StringType()),
    StructField("bronze_partition", IntegerType()),
    StructField("bronze_offset", LongType()),
    StructField("bronze_generation", IntegerType()),
    StructField("bronze_taken_ms", LongType()),
)
"""Where a row's record is in bronze, and when it came; see ``BronzeRecord``.

The generation counts the topics that have borne the domain's name, from 0.
"""

VERSION_COLUMN = "silver_version"

_TYPES: dict[str, DataType] = {
    "string": StringType(),
    "boolean": BooleanType(),
    "date": DateType(),
    "time": StringType(),
    "timestamp": TimestampType(),
}


def contract_columns(domain: Domain) -> list[StructField]:
    """The columns of the contract's table, in its order.

    All may be null: a field that a contract comes to require was not there in older rows.
    """
    return [StructField(field.name, spark_type(field)) for field in domain.contract.columns]


def table_schema(domain: Domain) -> StructType:
    """All columns of the domain's silver table."""
    return StructType([*contract_columns(domain), *COORDINATES, StructField(VERSION_COLUMN, LongType())])


def spark_type(field: Field) -> DataType:
    """The Spark type of a column; times of day are text, ``HH:MM:SS[.ffffff]``, for Spark has no type for them.

    Raises:
        ContractError: the contract's types do not go together.
    """
    if field.logical_type == "integer":
        return LongType() if field.physical_type == "bigint" else IntegerType()
    if field.logical_type == "number":
        shape = re.fullmatch(r"numeric\((\d+),(\d+)\)", field.physical_type)
        if not shape:
            raise ContractError(f"{field.name}: a number is stored as numeric(p,s), not as {field.physical_type}")
        return DecimalType(int(shape[1]), int(shape[2]))
    return _TYPES[field.logical_type]
