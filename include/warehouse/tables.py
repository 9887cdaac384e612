"""The domain tables as their contracts want them, and the DDL that says so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain

from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from include.contracts import Contract, ContractError, Field
from include.domains import GOLD_DOMAINS, TRANSACTIONS
from include.warehouse.columns import DAILY_FRAUD_COLUMNS, FRAUD_COLUMNS, GOLD_COLUMNS, VERDICT_COLUMNS, Column

# What a contract may name as a physical type; it goes into DDL, where no placeholder can stand.
PHYSICAL_TYPE = re.compile(r"[a-z][a-z ]*(\(\d+(, ?\d+)?\))?(\[\])?")


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the schema ``public``."""

    name: str
    description: str
    columns: tuple[Column, ...]

    def constraints(self) -> dict[str, Composable]:
        """Constraint definitions (``PRIMARY KEY …``, ``NOT NULL …``, ``CHECK …``) by name."""
        keys = [Identifier(column.name) for column in self.columns if column.primary_key]
        found: dict[str, Composable] = {f"{self.name}_pkey": SQL("PRIMARY KEY ({})").format(SQL(", ").join(keys))}
        for column in self.columns:
            if column.required:
                found[f"{self.name}_{column.name}_not_null"] = SQL("NOT NULL {}").format(Identifier(column.name))
            for kind, expression in column.checks:
                found[f"{self.name}_{column.name}_{kind}"] = SQL("CHECK ({})").format(expression)
        return found


def column_definition(column: Column) -> Composed:
    """Name, type and default of a column, as ``CREATE TABLE`` and ``ADD COLUMN`` take them."""
    if not PHYSICAL_TYPE.fullmatch(column.type):
        raise ContractError(f"column {column.name}: {column.type!r} is no type that Paylake knows how to write")
    default = SQL(" DEFAULT {}").format(SQL(column.default)) if column.default else SQL("")
    return SQL("{} {}{}").format(Identifier(column.name), SQL(column.type), default)


def table_body(table: Table) -> Composed:
    """Everything between the parentheses of ``CREATE TABLE``."""
    named = (
        SQL("CONSTRAINT {} {}").format(Identifier(name), definition) for name, definition in table.constraints().items()
    )
    return SQL(", ").join(chain(map(column_definition, table.columns), named))


def comments(table: Table) -> Composed:
    """``COMMENT`` statements for the table and each of its columns."""
    name = Identifier("public", table.name)
    statements = [SQL("COMMENT ON TABLE {} IS {}").format(name, Literal(table.description))]
    for column in table.columns:
        target = Identifier("public", table.name, column.name)
        statements.append(SQL("COMMENT ON COLUMN {} IS {}").format(target, Literal(column.description)))
    return SQL(";\n").join(statements)


def contract_column(field: Field) -> Column:
    """The column that a contract's field asks for."""
    return Column(
        name=field.name,
        type=field.physical_type,
        description=f"Personal data. {field.description}" if field.personal else field.description,
        required=field.required or field.primary_key,
        primary_key=field.primary_key,
        checks=tuple(_checks(field)),
    )


def _checks(field: Field) -> Iterator[tuple[str, Composable]]:
    column = Identifier(field.name)
    if field.pattern is not None:
        yield "pattern", SQL("{} ~ {}").format(column, Literal(field.pattern))
    if field.min_length is not None or field.max_length is not None:
        length = SQL("char_length({})").format(column)
        yield "length", _bounds(length, (">=", field.min_length), ("<=", field.max_length))
    bounds = ((">=", field.minimum), ("<=", field.maximum), (">", field.exclusive_minimum))
    if any(bound is not None for _, bound in bounds):
        yield "range", _bounds(column, *bounds)
    if field.valid_values:
        values = SQL(", ").join(map(Literal, field.valid_values))
        yield "values", SQL("{} IN ({})").format(column, values)
    # PostgreSQL's numeric takes NaN (which is above every bound) and its timestamps take infinity.
    if field.logical_type == "number":
        yield "finite", SQL("{} <> 'NaN'").format(column)
    elif field.logical_type in ("date", "timestamp"):
        yield "finite", SQL("isfinite({})").format(column)


def _bounds(value: Composable, *bounds: tuple[str, object]) -> Composable:
    return SQL(" AND ").join(
        SQL("{} {} {}").format(value, SQL(operator), Literal(bound)) for operator, bound in bounds if bound is not None
    )


_FRAUD_CHECKS: dict[str, tuple[tuple[str, Composable], ...]] = {
    "reasons": (("given", SQL("cardinality(reasons) > 0 AND array_position(reasons, NULL) IS NULL")),),
    "evidence": (("array", SQL("jsonb_typeof(evidence) = 'array'")),),
}


def contract_columns(contract: Contract) -> tuple[Column, ...]:
    """The columns that the contract states, in its order."""
    return tuple(map(contract_column, contract.columns))


def gold_table(contract: Contract) -> Table:
    """The gold table of a domain: the newest row of each id."""
    return Table(contract.table, contract.table_description, contract_columns(contract) + GOLD_COLUMNS)


def verdict_tables(contract: Contract) -> tuple[Table, Table]:
    """FraudTransaction and GenuineTransaction; a txn_id is in one of them (``ops.transaction_seen`` sees to it)."""
    shared = contract_columns(contract) + VERDICT_COLUMNS
    judged = tuple(replace(column, checks=_FRAUD_CHECKS[column.name]) for column in FRAUD_COLUMNS)
    fraud = "Transactions on which at least one fraud rule fired. One row per txn_id, disjoint from GenuineTransaction."
    genuine = "Transactions on which no fraud rule fired. One row per txn_id, disjoint from FraudTransaction."
    return Table("fraudtransaction", fraud, shared + judged), Table("genuinetransaction", genuine, shared)


DAILY_FRAUD = Table(
    "daily_fraud",
    "Transactions and frauds by day, merchant, channel and the rules that fired; each transaction is in one row.",
    DAILY_FRAUD_COLUMNS,
)


def domain_tables() -> tuple[Table, ...]:
    """Every table that is made from a contract, or from such tables."""
    gold = (gold_table(domain.contract) for domain in GOLD_DOMAINS.values())
    return *gold, *verdict_tables(TRANSACTIONS.contract), DAILY_FRAUD
