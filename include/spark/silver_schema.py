"""The columns of silver tables, from the contracts."""

from __future__ import annotations

from pyspark.sql.pandas.types import from_arrow_type
from pyspark.sql.types import IntegerType, LongType, StringType, StructField, StructType

from include.domains import Domain
from include.quality.columns import arrow_type

COORDINATES = (
    StructField("bronze_topic_id", StringType()),
    StructField("bronze_partition", IntegerType()),
    StructField("bronze_offset", LongType()),
)
ORIGIN = (
    *COORDINATES,
    StructField("bronze_generation", IntegerType()),
    StructField("bronze_taken_ms", LongType()),
)
"""Where a row's record is in bronze, and when it came; see ``BronzeRecord``.

The generation counts the topics that have borne the domain's name, from 0.
"""

VERSION_COLUMN = "silver_version"


def contract_columns(domain: Domain) -> list[StructField]:
    """The columns of the contract's table, in its order.

    All may be null: a field that a contract comes to require was not there in older rows.
    """
    return [StructField(field.name, from_arrow_type(arrow_type(field))) for field in domain.contract.columns]


def table_schema(domain: Domain) -> StructType:
    """All columns of the domain's silver table."""
    return StructType([*contract_columns(domain), *ORIGIN, StructField(VERSION_COLUMN, LongType())])
