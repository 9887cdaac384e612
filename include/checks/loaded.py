"""Checks of what a load is about to bring into a gold table: SQL on its staging table, in its transaction."""

from __future__ import annotations

from collections.abc import Iterable

import psycopg
from psycopg.rows import dict_row
from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from include.checks.declared import ROW_KINDS, Check, CheckKind
from include.checks.result import EXAMPLES, Result, row_result
from include.checks.rows import COORDINATES, as_example, is_personal
from include.domains import Domain

STAGING = Identifier("gold_staging")
_BOUNDS = (("minimum", "<"), ("maximum", ">"), ("exclusive_minimum", "<="))
_LENGTHS = (("min_length", "<"), ("max_length", ">"))


def staged(
    conn: psycopg.Connection, domain: Domain, checks: Iterable[Check], among: Composable | None = None
) -> list[Result]:
    """What those of the checks find in the staging table that are about single rows, or what these refer to.

    ``among`` is a condition on a staged row, called ``silver``: a row fails only where it holds. A row that is older
    than its check and stays as it is in the table fails nothing.
    """
    chosen = [one for one in checks if one.kind in ROW_KINDS or one.kind is CheckKind.REFERENCE]
    counts = [
        SQL("count({0}) - count(DISTINCT {0})").format(Identifier("silver", check.column or domain.key))
        if check.kind is CheckKind.UNIQUE
        else SQL("count(*) FILTER (WHERE {})").format(_failing(check))
        for check in chosen
    ]
    selected = SQL(", ").join([SQL("count(*)"), *counts])
    found = conn.execute(SQL("SELECT {} FROM {} AS silver").format(selected, STAGING)).fetchone()
    assert found is not None  # noqa: S101 - an aggregate has one row
    rows, *failing = found
    among = among or SQL("true")
    if any(failing):
        # Asked for only now: it joins with the table, and nearly always nothing fails.
        only = SQL("SELECT {} FROM {} AS silver WHERE {}").format(selected, STAGING, among)
        _, *failing = conn.execute(only).fetchone() or (0, *failing)
    return [
        row_result(check, rows, count, _examples(conn, domain, check, among) if count else ())
        for check, count in zip(chosen, failing, strict=True)
    ]


def _failing(check: Check) -> Composable:
    """When a row fails; where that is NULL, it does not."""
    column = Identifier("silver", check.column or "")
    match check.kind:
        case CheckKind.NOT_NULL:
            return SQL("{} IS NULL").format(column)
        case CheckKind.RANGE:
            return _any(column, _BOUNDS, check)
        case CheckKind.LENGTH:
            return _any(SQL("char_length({})").format(column), _LENGTHS, check)
        case CheckKind.ACCEPTED_VALUES:
            return SQL("{} <> ALL ({})").format(column, Literal(list(check.values)))
        case CheckKind.PATTERN:
            return SQL("{} !~ {}").format(column, Literal(f"^(?:{check.pattern})$"))
        case _:
            other, named = check.reference
            held = SQL("EXISTS (SELECT FROM {} AS held WHERE {} = {})").format(
                Identifier("public", other.table), Identifier("held", named), column
            )
            return SQL("{} IS NOT NULL AND NOT {}").format(column, held)


def _any(value: Composable, comparisons: Iterable[tuple[str, str]], check: Check) -> Composed:
    said = [(operator, getattr(check, name)) for name, operator in comparisons]
    return SQL(" OR ").join(
        SQL("{} {} {}").format(value, SQL(operator), Literal(bound)) for operator, bound in said if bound is not None
    )


def _examples(conn: psycopg.Connection, domain: Domain, check: Check, among: Composable) -> list[dict[str, object]]:
    own = () if check.column is None or is_personal(domain, check.column) else (check.column,)
    names = SQL(", ").join(map(Identifier, dict.fromkeys((domain.key, *own, *COORDINATES))))
    chosen: Composable
    if check.kind is CheckKind.UNIQUE:
        column = Identifier(check.column or domain.key)
        chosen = SQL("{0} IN (SELECT {0} FROM {1} GROUP BY {0} HAVING count(*) > 1)").format(column, STAGING)
    else:
        chosen = _failing(check)
    query = SQL("SELECT {} FROM {} AS silver WHERE ({}) AND ({}) LIMIT {}").format(
        names, STAGING, chosen, among, Literal(EXAMPLES)
    )
    with conn.cursor(row_factory=dict_row) as cursor:
        return [as_example(row) for row in cursor.execute(query)]


def missing(conn: psycopg.Connection, check: Check, values: list[str]) -> list[str]:
    """Those of the values that the gold table does not hold to which a reference points."""
    other, named = check.reference
    query = SQL(
        "SELECT value FROM unnest(%s::text[]) AS value WHERE NOT EXISTS (SELECT FROM {} AS held WHERE {} = value)"
    ).format(Identifier("public", other.table), Identifier("held", named))
    return [value for (value,) in conn.execute(query, [values])]
