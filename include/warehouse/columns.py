"""What Paylake adds to the columns of a contract in the warehouse; free of clients, for who only describes tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from psycopg.sql import Composable


@dataclass(frozen=True, slots=True)
class Column:
    """A column; ``checks`` are pairs of a kind (which names the constraint) and a boolean SQL expression."""

    name: str
    type: str
    description: str
    required: bool = True
    primary_key: bool = False
    default: str | None = None
    checks: tuple[tuple[str, Composable], ...] = ()


COORDINATES = (
    Column("bronze_topic_id", "text", "Id of the Kafka topic the record came on."),
    Column("bronze_partition", "integer", "Kafka partition the record came on."),
    Column("bronze_offset", "bigint", "Kafka offset of the record in its partition."),
)
GOLD_COLUMNS = (
    *COORDINATES,
    Column("bronze_generation", "integer", "Which of the topic's lives the record is from; a reset starts the next."),
    Column(
        "bronze_taken_ms",
        "bigint",
        "When the record came, in ms since 1970; null in rows of before that was noted.",
        required=False,
    ),
    Column("loaded_at", "timestamptz", "When the row last changed here.", default="now()"),
)
VERDICT_COLUMNS = (
    *COORDINATES,
    Column("rules_version", "text", "Version of the fraud rules that gave the verdict."),
    Column("scored_at", "timestamptz", "When the verdict was given; the order of scoring.", default="now()"),
    Column(
        "score",
        "integer",
        "Sum of the weights of the rules that fired; null in rows of before it was noted.",
        required=False,
    ),
    Column(
        "lists_version",
        "bigint",
        "Version of the lists that the rules asked; null in rows of before it was noted.",
        required=False,
    ),
)
FRAUD_COLUMNS = (
    Column("reasons", "text[]", "Names of all rules that fired."),
    Column(
        "evidence",
        "jsonb",
        'Array of {"rule", "message", "values"}: what made each rule fire. May quote personal data.',
    ),
)
DAILY_FRAUD_COLUMNS = (
    Column("day", "date", "Day of the transactions, UTC.", primary_key=True),
    Column("merchant_id", "text", "The merchant.", primary_key=True),
    Column("channel", "text", "How the card was used.", primary_key=True),
    Column(
        "rules",
        "text[]",
        "Names of all rules that fired, in order; empty where none did. A transaction counts in one row.",
        primary_key=True,
    ),
    Column("transactions", "bigint", "So many transactions have a verdict."),
    Column("frauds", "bigint", "So many of them are frauds: all, or none where no rule fired."),
    Column("amount", "numeric", "Their amounts added up, in the bank's book currency."),
    Column("fraud_amount", "numeric", "The amounts of the frauds added up."),
)
