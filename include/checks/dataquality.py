"""The shape of Airflow's provider ``common.dataquality``, so that it finds what it would have written itself.

It reads an asset's rules in ``Asset.extra["airflow.dataquality"]``, a connection, a table and a rule set, and writes
into the event's extra, as ``airflow.dataquality.result``, a summary of what they found. Version 0.1.0.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from include.checks.declared import CHECKS, ROW_KINDS, Check, CheckKind
from include.domains import Domain

if TYPE_CHECKING:
    from include.checks.result import Stored

EXTRA_KEY = "airflow.dataquality"
RESULT_KEY = "airflow.dataquality.result"
WARN_WEIGHT = 0.25
"""What a warning takes off the score, beside 1 for a check that blocks: the provider's."""
MOST_BYTES = 16_384
"""So much of JSON the rules of an asset may be; those of a very wide table are left out at the end."""

_DIMENSIONS = {CheckKind.NOT_NULL: "completeness", CheckKind.UNIQUE: "uniqueness", CheckKind.REFERENCE: "consistency"}
_OF_A_TABLE = ROW_KINDS | {CheckKind.REFERENCE}
"""What can be asked of a table as it is. For its history, for what was refused, for time the provider has no rule."""


def declared(domain: Domain, asset: str) -> dict[str, Any]:
    """The checks of the domain's silver or gold as the provider declares them.

    Silver has no connection of Airflow's: the name is the one under which Spark, or a Trino of one's own, knows it.
    """
    found = [_rule(check) for check in CHECKS[asset] if check.kind in _OF_A_TABLE]
    while len(json.dumps(found)) > MOST_BYTES:
        found.pop()
    connection = {"conn_id": "warehouse"} if asset == domain.gold_asset else {}
    return {"ruleset": {"name": asset, "rules": found}, **connection, "table": _table(domain, asset)}


def summary(domain: Domain, asset: str, results: Sequence[Stored]) -> dict[str, Any] | None:
    """What an asset's checks found, as the provider tells it in the event; None where there is no result.

    A check with results of several days counts once, and as failed if one of them is.
    """
    if not results:
        return None
    names = {one.check for one in results}
    failed = {one.check for one in results if not one.passed and one.blocks}
    warned = {one.check for one in results if not one.passed and not one.blocks}
    return {
        "run_uid": max(results, key=lambda one: one.at).run,
        "ruleset": asset,
        "table": _table(domain, asset),
        "score": round(1 - (len(failed) + WARN_WEIGHT * len(warned)) / len(names), 4),
        "passed": len(names - failed - warned),
        "warned": len(warned),
        "failed": len(failed),
        "errored": 0,
        "failed_rules": sorted(failed),
        "warned_rules": sorted(warned),
    }


def _table(domain: Domain, asset: str) -> str:
    # As include.lake.catalog calls it, which needs clients that no DAG needs.
    return f"public.{domain.table.lower()}" if asset == domain.gold_asset else f"lake.silver.{domain.name}"


def _rule(check: Check) -> dict[str, Any]:
    rule: dict[str, Any] = {
        "name": check.name,
        "condition": {"equal_to": 0},
        "severity": "error" if check.blocks else "warn",
        "dimension": _DIMENSIONS.get(check.kind, "validity"),
    }
    match check.kind:
        case CheckKind.NOT_NULL if not check.max_share:
            return rule | {"check": "null_count", "column": check.column}
        case CheckKind.UNIQUE if check.column and not check.max_share:
            return rule | {"check": "unique_violations", "column": check.column}
        case _:
            rule["condition"] = {"leq_to": check.max_share}
            return rule | {"check": "custom_sql", "sql": _sql(check)}


def _sql(check: Check) -> str:
    """The share of the table's rows that fails, in SQL that PostgreSQL, Spark and Trino read."""
    if check.kind is CheckKind.UNIQUE and check.column is None:
        place = "bronze_topic_id, bronze_partition, bronze_offset"
        return f"SELECT COUNT(*) FROM (SELECT 1 FROM {{table}} GROUP BY {place} HAVING COUNT(*) > 1) AS repeated"  # noqa: S608
    average = "COALESCE(AVG(CASE WHEN {} THEN 1.0 ELSE 0.0 END), 0)"
    return f"SELECT {average.format(_failing(check))} FROM {{table}}"  # noqa: S608


def _failing(check: Check) -> str:
    column = check.column
    bounds: tuple[tuple[str, Decimal | int | None], ...]
    match check.kind:
        case CheckKind.NOT_NULL:
            return f"{column} IS NULL"
        case CheckKind.UNIQUE:
            return f"{column} IN (SELECT {column} FROM {{table}} GROUP BY {column} HAVING COUNT(*) > 1)"  # noqa: S608
        case CheckKind.ACCEPTED_VALUES:
            return f"{column} NOT IN ({', '.join(map(_text, check.values))})"
        case CheckKind.PATTERN:
            return f"NOT regexp_like({column}, {_text(f'^(?:{check.pattern})$')})"
        case CheckKind.REFERENCE:
            other, named = check.reference
            known = f"SELECT {named} FROM {other.table}"  # noqa: S608
            return f"{column} IS NOT NULL AND {column} NOT IN ({known})"
        case CheckKind.LENGTH:
            bounds = ((f"char_length({column}) <", check.min_length), (f"char_length({column}) >", check.max_length))
        case _:
            bounds = (
                (f"{column} <", check.minimum),
                (f"{column} >", check.maximum),
                (f"{column} <=", check.exclusive_minimum),
            )
    return " OR ".join(f"{compared} {bound}" for compared, bound in bounds if bound is not None)


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
