"""Gold: carry what changed in silver into the warehouse's tables, in one transaction per load.

A load locks the domain's watermark, asks silver for the rows after it, copies them to a staging table, merges them by
id and moves the watermark, all in one transaction: readers see the table before it or after it, loads at the same
time queue, and whatever fails leaves everything as it was.

Silver's versions can be compared within one Iceberg table only. When the table is another one than last time (dropped
and rebuilt), or went back, or there is no watermark, everything is sent and gold becomes what silver is: rows that
silver does not hold go. Hence deleting a domain's row from ``ops.gold_watermark`` makes the next load a full one.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import psycopg
import pyarrow as pa
import pyarrow.csv as pa_csv
from psycopg.sql import SQL, Composable, Composed, Identifier, Literal
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

from include.checks.declared import Check, CheckKind, Severity, checks_of
from include.checks.drift import table_drift
from include.checks.loaded import staged
from include.checks.result import CheckFailedError, blocking, store
from include.domains import Domain, Kind
from include.lake.catalog import CATALOG, NAMESPACE, SilverState, changed_rows, silver_state
from include.retries import tell
from include.settings import Settings
from include.sql import load_sql
from include.warehouse.columns import GOLD_COLUMNS

log = logging.getLogger(__name__)

PLANS = 3
# Set by the database, not by silver.
LOADED_AT = "loaded_at"


class SilverMovedError(RuntimeError):
    """Silver was rebuilt between the look at its state and the plan of what to read."""


class IncompleteReadError(RuntimeError):
    """Silver gave another number of rows than its snapshot holds."""


class BrokenContractError(RuntimeError):
    """Silver holds a row that the contract of today refuses; the message says which rule it breaks and what to do."""

    def __init__(self, domain: Domain, broken: psycopg.errors.IntegrityError) -> None:
        super().__init__(
            f"{domain.table}: a row of silver breaks the contract: {broken.diag.message_primary}.{_advice(domain)}"
        )


def _advice(domain: Domain) -> str:
    return (
        f" If the row is older than this rule, drop the table {CATALOG}.{NAMESPACE}.{domain.name}: the next silver run"
        " reads bronze again and puts into quarantine what the contract refuses."
    )


class Silver(Protocol):
    """Where a domain's rows come from."""

    def state(self) -> SilverState | None:
        """The newest state; None while silver has no table."""

    def rows_after(self, silver_version: int) -> tuple[SilverState, Iterable[pa.RecordBatch]]:
        """The rows of versions above ``silver_version`` (0: all), and the state they belong to."""


@dataclass(frozen=True, slots=True)
class LakeSilver:
    """A domain's silver in the lake."""

    settings: Settings
    domain: Domain

    def state(self) -> SilverState | None:
        """The newest state; None while silver has no table."""
        return silver_state(self.settings, self.domain)

    def rows_after(self, silver_version: int) -> tuple[SilverState, Iterable[pa.RecordBatch]]:
        """The rows of versions above ``silver_version`` (0: all), and the state they belong to."""
        return changed_rows(self.settings, self.domain, silver_version)


@dataclass(frozen=True, slots=True)
class Watermark:
    """What was loaded last, of so many ``rows``, and when; all but the numbers is None before the first load."""

    table_uuid: str | None
    silver_version: int
    snapshot_id: int | None
    loaded_at: datetime | None
    rows: int


@dataclass(frozen=True, slots=True)
class GoldReport:
    """What one load did. ``silver_version`` is the version that gold is at now, 0 before the first load."""

    rows_sent: int
    inserted: int
    updated: int
    deleted: int
    seconds: float
    silver_version: int


def load(domain: Domain, conn: psycopg.Connection, settings: Settings) -> GoldReport:
    """Bring the gold table of ``domain`` to the newest snapshot of silver.

    ``conn`` is in autocommit mode, as ``connect`` gives it; silver is read with ``settings``.

    Raises:
        As ``load_from``, and what ``include.lake.catalog.silver_state`` raises.
    """
    return load_from(LakeSilver(settings, domain), domain, conn)


def load_from(silver: Silver, domain: Domain, conn: psycopg.Connection) -> GoldReport:
    """Bring the gold table of ``domain`` to the newest snapshot of ``silver``.

    When silver's files vanish under the read, because a newer run has replaced them, the load is planned again, three
    times in all.

    Raises:
        FileNotFoundError: files were missing three times.
        CheckFailedError: a check that blocks fails; what all of them found is stored, and nothing else was changed.
        BrokenContractError: the table refused a row; nothing was changed.
        psycopg.Error: the database refused or was lost; nothing was changed.
    """
    return Retrying(
        retry=retry_if_exception_type((FileNotFoundError, SilverMovedError)),
        stop=stop_after_attempt(PLANS),
        before_sleep=tell(log, f"{domain.name}: silver moved on"),
        reraise=True,
    )(_load_once, silver, domain, conn)


def _load_once(silver: Silver, domain: Domain, conn: psycopg.Connection) -> GoldReport:
    run = f"load_{uuid.uuid4().hex}"
    try:
        return _load_as(run, silver, domain, conn)
    except CheckFailedError as failed:
        # The load is undone, and with it what it had stored.
        store(conn, run, failed.snapshot_id, failed.results)
        raise


def _load_as(run: str, silver: Silver, domain: Domain, conn: psycopg.Connection) -> GoldReport:
    started = time.monotonic()
    with conn.transaction():
        watermark = _lock_watermark(conn, domain)
        newest = silver.state()
        # Version 0 is a table that was just made: when silver is rebuilt, gold stays readable until the rows are there.
        if newest is None or newest.silver_version == 0 or newest.snapshot_id == watermark.snapshot_id:
            log.info("%s: nothing new in silver", domain.name)
            return GoldReport(0, 0, 0, 0, time.monotonic() - started, watermark.silver_version)
        full = newest.table_uuid != watermark.table_uuid or newest.silver_version < watermark.silver_version
        state, batches = silver.rows_after(0 if full else watermark.silver_version)
        if state.table_uuid != newest.table_uuid:
            raise SilverMovedError(f"table {newest.table_uuid} became {state.table_uuid}")
        statements = Statements(domain, mirror=full)
        rows_sent = stage(conn, statements, batches)
        if full and rows_sent != state.rows:
            raise IncompleteReadError(f"{domain.name}: {rows_sent} rows came of the {state.rows} in silver")
        if domain.kind is Kind.EVENT:
            conn.execute(statements.keep_newest())
        found = staged(conn, domain, _checks(domain, Severity.BLOCK), statements.written())
        if blocking(found):
            raise CheckFailedError(domain.gold_asset, found, "." + _advice(domain), state.snapshot_id)
        inserted, updated = _merge(conn, domain, statements)
        deleted = conn.execute(statements.delete_absent()).rowcount if full else 0
        warnings = _checks(domain, Severity.WARN)
        found += staged(conn, domain, warnings)
        found += (
            one
            for check in warnings
            if check.kind is CheckKind.ROW_COUNT_DRIFT
            for one in table_drift(check, watermark.rows, watermark.rows + inserted - deleted)
        )
        store(conn, run, state.snapshot_id, found)
        _advance_watermark(conn, domain, state)
    report = GoldReport(rows_sent, inserted, updated, deleted, time.monotonic() - started, state.silver_version)
    log.info("%s: %s load: %s", domain.name, "full" if full else "incremental", report)
    return report


def _checks(domain: Domain, severity: Severity) -> list[Check]:
    return [one for one in checks_of(domain, domain.gold_asset) if one.severity is severity]


def read_watermark(conn: psycopg.Connection, domain: Domain) -> Watermark:
    """Up to where the domain's table is loaded."""
    row = conn.execute(load_sql("gold/read_watermark"), {"domain": domain.name}).fetchone()
    return Watermark(*row) if row else Watermark(None, 0, None, None, 0)


def _lock_watermark(conn: psycopg.Connection, domain: Domain) -> Watermark:
    name = {"domain": domain.name}
    conn.execute("INSERT INTO ops.gold_watermark (domain) VALUES (%(domain)s) ON CONFLICT DO NOTHING", name)
    (row,) = conn.execute(load_sql("gold/read_watermark") + " FOR UPDATE", name).fetchall()
    return Watermark(*row)


def stage(conn: psycopg.Connection, statements: Statements, batches: Iterable[pa.RecordBatch]) -> int:
    """Copy the batches to the staging table of the current transaction; return how many rows they had.

    As CSV, which Arrow writes and PostgreSQL reads at a multiple of what rows as Python objects allow: text is always
    quoted, so an empty string and a NULL stay different.
    """
    conn.execute(statements.stage())
    rows = 0
    with conn.cursor() as cursor, cursor.copy(statements.copy()) as copy:
        for batch in batches:
            buffer = pa.BufferOutputStream()
            pa_csv.write_csv(aligned(batch, statements.columns), buffer, pa_csv.WriteOptions(include_header=False))
            copy.write(memoryview(buffer.getvalue()))
            rows += batch.num_rows
    # Nobody else analyses a temporary table, and without its size the merge is planned blindly.
    conn.execute("ANALYZE gold_staging")
    return rows


def _merge(conn: psycopg.Connection, domain: Domain, statements: Statements) -> tuple[int, int]:
    """Merge what was staged; return how many rows were inserted and updated."""
    try:
        ((inserted, updated),) = conn.execute(statements.merge()).fetchall()
    except (psycopg.errors.NotNullViolation, psycopg.errors.CheckViolation) as broken:
        raise BrokenContractError(domain, broken) from broken
    return inserted, updated


def aligned(batch: pa.RecordBatch, columns: Sequence[str]) -> pa.RecordBatch:
    """The batch with exactly ``columns``; one that silver lacks is NULL, which the merge refuses if it is required."""
    present = set(batch.schema.names)
    arrays = [batch[name] if name in present else pa.nulls(batch.num_rows) for name in columns]
    return pa.record_batch(arrays, names=list(columns))


def _advance_watermark(conn: psycopg.Connection, domain: Domain, state: SilverState) -> None:
    values = {
        "domain": domain.name,
        "table_uuid": state.table_uuid,
        "silver_version": state.silver_version,
        "snapshot_id": state.snapshot_id,
        "rows": state.rows,
    }
    conn.execute(load_sql("gold/advance_watermark"), values)


class Statements:
    """The statements of one domain's load, made from the templates in ``include/sql``."""

    def __init__(self, domain: Domain, *, mirror: bool) -> None:
        gold = (column.name for column in GOLD_COLUMNS if column.name != LOADED_AT)
        self.columns = (*(field.name for field in domain.contract.columns), *gold)
        self._order = domain.newest_by
        self._table = Identifier("public", domain.table)
        self._key = Identifier(domain.key)
        self._mirror = mirror

    def stage(self) -> Composed:
        """Make the staging table."""
        return SQL(load_sql("gold/stage_gold")).format(columns=self._list(self.columns), table=self._table)

    def copy(self) -> Composed:
        """Fill it."""
        return SQL("COPY gold_staging ({}) FROM STDIN WITH (FORMAT csv)").format(self._list(self.columns))

    def keep_newest(self) -> Composed:
        """Leave the newest of each id in it, where silver holds several."""
        return SQL(load_sql("gold/keep_newest")).format(key=self._key, order=self._ordering("silver"))

    def merge(self) -> Composed:
        """Merge it; returns the rows inserted and updated."""
        return SQL(load_sql("gold/merge_gold")).format(
            table=self._table,
            key=self._key,
            mirror=Literal(self._mirror),
            columns=self._list(self.columns),
            silver_columns=self._list(self.columns, "silver"),
            gold_columns=self._list(self.columns, "gold"),
            silver_order=self._ordering("silver"),
            gold_order=self._ordering("gold"),
        )

    def written(self) -> Composed:
        """Of a staged row, called ``silver``: whether the merge will write it."""
        return SQL(load_sql("gold/written")).format(
            table=self._table,
            key=self._key,
            mirror=Literal(self._mirror),
            silver_columns=self._list(self.columns, "silver"),
            gold_columns=self._list(self.columns, "gold"),
            silver_order=self._ordering("silver"),
            gold_order=self._ordering("gold"),
        )

    def delete_absent(self) -> Composed:
        """Delete what silver does not hold."""
        return SQL(load_sql("gold/delete_absent")).format(table=self._table, key=self._key)

    def compare(self) -> Composed:
        """Find where the table is not what was staged; returns kinds of difference and keys."""
        return SQL(load_sql("verify/gold")).format(
            table=self._table,
            key=self._key,
            silver_columns=self._list(self.columns, "silver"),
            gold_columns=self._list(self.columns, "gold"),
        )

    def count(self) -> Composed:
        """Count the table's rows."""
        return SQL("SELECT count(*) FROM {}").format(self._table)

    def _ordering(self, alias: str) -> Composed:
        """What two rows are compared by; a row without the time of its coming came before that was noted."""
        defaults = {"bronze_taken_ms": SQL("coalesce({}, 0)")}
        columns = [defaults.get(name, SQL("{}")).format(Identifier(alias, name)) for name in self._order]
        return SQL(", ").join(columns)

    @staticmethod
    def _list(columns: Iterable[str], alias: str | None = None) -> Composed:
        names: list[Composable] = [Identifier(alias, name) if alias else Identifier(name) for name in columns]
        return SQL(", ").join(names)
