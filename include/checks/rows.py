"""Checks of single rows in Arrow: what a silver run is about to publish, by the days of its events where it has any."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from include.checks.declared import ROW_KINDS, Check, CheckKind
from include.checks.result import EXAMPLES, Result, row_result
from include.domains import Domain, Kind

COORDINATES = ("bronze_topic_id", "bronze_partition", "bronze_offset")
MOST_DAYS = 31
"""So many newest days of a run have a result of their own; those before them, from clocks that are wrong, share one."""
_WIDE = pa.decimal256(76, 30)
"""Holds every number that a column can, with all its decimals."""


class RowChecks:
    """The rows of a domain that a run changed, with the columns of its silver, and what checks say of them."""

    def __init__(self, domain: Domain, rows: pa.Table) -> None:
        self._domain = domain
        self._rows = rows.combine_chunks()
        self._days = _days(rows[domain.event_time]) if domain.kind is Kind.EVENT else None

    def results(self, checks: Iterable[Check]) -> Iterator[Result]:
        """What those of the checks find that are about single rows."""
        for check in checks:
            if check.kind in ROW_KINDS:
                yield from self._results(check, self._failing(check))

    def values(self, column: str) -> pa.Array:
        """The different values of a column, but null."""
        return pc.unique(self._rows[column]).drop_null()

    def reference(self, check: Check, missing: Sequence[str]) -> Iterator[Result]:
        """What a check of a reference finds, of whose values these are ``missing`` from where it points."""
        values = pa.array(missing, pa.string())
        yield from self._results(check, pc.is_in(self._rows[check.column], value_set=values))

    def days(self) -> set[date]:
        """The days of the events, in UTC."""
        return set() if self._days is None else set(pc.unique(self._days).drop_null().to_pylist())

    def _results(self, check: Check, failing: pa.ChunkedArray) -> Iterator[Result]:
        if self._days is None:
            rows, count = len(self._rows), pc.sum(failing).as_py() or 0
            yield row_result(check, rows, count, self._examples(check, failing) if count else ())
            return
        counted = pa.table({"day": self._days, "failing": failing}).group_by("day")
        found = counted.aggregate([("failing", "sum"), ("failing", "count")]).sort_by([("day", "descending")])
        # A row without a day, which another check tells of, comes last.
        by_day = list(zip(*(found[name].to_pylist() for name in ("day", "failing_count", "failing_sum")), strict=True))
        own = by_day[:MOST_DAYS]
        for day, rows, count in own:
            of_day = pc.and_(failing, pc.fill_null(pc.equal(self._days, day), False)) if day else failing
            yield row_result(check, rows, count, self._examples(check, of_day) if count else (), day)
        if older := by_day[MOST_DAYS:]:
            count = sum(failed for _, _, failed in older)
            kept = pa.array([day for day, _, _ in own], pa.date32())
            of_older = pc.and_(failing, pc.invert(pc.is_in(self._days, value_set=kept)))
            yield row_result(
                check, sum(rows for _, rows, _ in older), count, self._examples(check, of_older) if count else ()
            )

    def _failing(self, check: Check) -> pa.ChunkedArray:
        """For each row whether it fails."""
        if check.kind is CheckKind.UNIQUE and check.column is None:
            place = (pc.cast(self._rows[name], pa.string()) for name in COORDINATES)
            return _repeated(pc.binary_join_element_wise(*place, ":"))
        column = self._rows[check.column]
        match check.kind:
            case CheckKind.NOT_NULL:
                return pc.is_null(column)
            case CheckKind.UNIQUE:
                return _repeated(column)
            case CheckKind.RANGE:
                failing = _outside(column, check)
            case CheckKind.ACCEPTED_VALUES:
                failing = pc.invert(pc.is_in(column, value_set=pa.array(check.values)))
            case CheckKind.PATTERN:
                # Arrow's expressions are not those of contracts, which are Python's.
                matches = re.compile(check.pattern or "").fullmatch
                differing = [value for value in pc.unique(column).drop_null().to_pylist() if not matches(value)]
                failing = pc.is_in(column, value_set=pa.array(differing, pa.string()))
            case _:
                length = pc.utf8_length(column)
                failing = pc.or_(
                    pc.less(length, check.min_length or 0),
                    pc.greater(length, check.max_length if check.max_length is not None else 2**31 - 1),
                )
        return pc.and_(pc.fill_null(failing, False), pc.is_valid(column))

    def _examples(self, check: Check, failing: pa.ChunkedArray) -> list[dict[str, Any]]:
        own = () if check.column is None or is_personal(self._domain, check.column) else (check.column,)
        names = dict.fromkeys((self._domain.key, *own, *COORDINATES))
        places = pc.indices_nonzero(failing).slice(0, EXAMPLES)
        return [as_example(row) for row in self._rows.select(list(names)).take(places).to_pylist()]


def is_personal(domain: Domain, column: str) -> bool:
    """Whether the contract calls the column personal data."""
    return any(one.personal for one in domain.contract.columns if one.name == column)


def as_example(row: Mapping[str, Any]) -> dict[str, Any]:
    """A failing row's columns as JSON values, long texts cut."""
    kept = {name: value if isinstance(value, int | None) else str(value) for name, value in row.items()}
    return {name: value[:100] if isinstance(value, str) else value for name, value in kept.items()}


def _days(moments: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.cast(pc.floor_temporal(pc.cast(moments, pa.timestamp("us")), unit="day"), pa.date32())


def _repeated(column: pa.ChunkedArray) -> pa.ChunkedArray:
    counts = pc.value_counts(column)
    more = pc.greater(counts.field("counts"), 1)
    return pc.and_(pc.is_in(column, value_set=counts.field("values").filter(more).drop_null()), pc.is_valid(column))


def _outside(column: pa.ChunkedArray, check: Check) -> pa.ChunkedArray:
    number = pc.cast(column, _WIDE)
    failing = pc.is_null(column, nan_is_null=False)
    for bound, compare in (
        (check.minimum, pc.less),
        (check.maximum, pc.greater),
        (check.exclusive_minimum, pc.less_equal),
    ):
        if bound is not None:
            failing = pc.or_kleene(failing, compare(number, pa.scalar(Decimal(bound), _WIDE)))
    return failing
