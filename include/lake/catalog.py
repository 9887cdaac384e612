"""Silver as it stands: its state and its rows, read without a JVM.

Spark writes silver through Iceberg's JDBC catalog. That catalog is one table in the warehouse database, and a row of it
says where the newest metadata of a silver table is; pyiceberg reads from there on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

import psycopg
import pyarrow as pa
from pyiceberg.conversions import from_bytes
from pyiceberg.table import StaticTable
from pyiceberg.table.refs import SnapshotRefType
from pyiceberg.types import LongType

from include.domains import Domain, Kind
from include.lake.positions import Positions, positions_from_json
from include.lake.s3 import s3_credentials
from include.postgres import connect
from include.settings import Settings
from include.sql import load_sql

CATALOG = "lake"
NAMESPACE = "silver"
_EPOCH = date(1970, 1, 1)

POSITION = "paylake.position"
COUNTS = "paylake.counts"
VERSION = "paylake.version"
CONTRACT = "paylake.contract"
RUN = "paylake.run"
"""Keys in the summary of each snapshot that a silver run commits; the first one, made with the table, is of no run."""


_EPOCH = date(1970, 1, 1)


class ForeignSnapshotError(RuntimeError):
    """Silver's newest snapshot was not committed by a silver run, so nobody knows which records are in it."""


@dataclass(frozen=True, slots=True)
class RecordCounts:
    """What became of all records up to a position; the first four add up to their number.

    ``valid`` have made the rows of today; ``duplicates`` keep their contract, too, but another record of the same id
    is newer. ``redriven`` of these two were in quarantine before.
    """

    valid: int
    duplicates: int
    quarantined: int
    tombstones: int
    redriven: int = 0


@dataclass(frozen=True, slots=True)
class SilverState:
    """A domain's silver at its newest snapshot.

    ``position`` is where the next run begins to read bronze. ``silver_version`` grows by one with each run that found
    records, within one table; another ``table_uuid`` means that the table was made anew. ``files`` is the number of
    data files. ``contract_versions`` are those under which any of the records were read, the newest last. ``run`` names
    the run that committed the snapshot.
    """

    table_uuid: str
    snapshot_id: int
    silver_version: int
    position: Positions
    counts: RecordCounts
    rows: int
    files: int
    committed_at: datetime
    contract_versions: tuple[str, ...]
    run: str | None = None


@dataclass(frozen=True, slots=True)
class StagedRows:
    """What a run has written on its branch and has not published.

    ``rows`` are those that it changed; ``total`` is how many the table would have, ``days`` those of events by the day
    that they are partitioned by.
    """

    snapshot_id: int
    rows: pa.Table
    total: int
    days: dict[date, int]


def silver_state(settings: Settings, domain: Domain) -> SilverState | None:
    """The newest state; None while there is no table.

    Raises:
        ForeignSnapshotError: something else than a silver run has written to the table.
        psycopg.Error: the catalog cannot be read.
        OSError: S3 cannot be read.
    """
    table = _load(settings, domain)
    return None if table is None else _state(domain, table)


def changed_rows(
    settings: Settings, domain: Domain, after_version: int, columns: tuple[str, ...] = ("*",)
) -> tuple[SilverState, pa.RecordBatchReader]:
    """The rows of versions above ``after_version`` (0: all), of them these columns, and the state they belong to.

    All of them are of that one snapshot. They are read while the batches are drawn; a FileNotFoundError then means that
    a newer run has replaced the snapshot's files.

    Raises:
        LookupError: there is no table.
    """
    table = _load(settings, domain)
    if table is None:
        raise LookupError(f"silver has no table of {domain.name}")
    state = _state(domain, table)
    newer = f"silver_version > {after_version}"
    scan = table.scan(row_filter=newer, selected_fields=columns, snapshot_id=state.snapshot_id)
    return state, scan.to_arrow_batch_reader()


def changed_count(settings: Settings, domain: Domain, after_version: int) -> int:
    """How many rows have versions above ``after_version``; reads that column only, and only where it may be.

    Raises:
        LookupError: there is no table.
        FileNotFoundError: a newer run has replaced the snapshot's files meanwhile.
    """
    table = _load(settings, domain)
    if table is None:
        raise LookupError(f"silver has no table of {domain.name}")
    return table.scan(row_filter=f"silver_version > {after_version}", selected_fields=("silver_version",)).count()


class DayOfSilver(NamedTuple):
    """A day of events: the newest version of its rows, and how many they are."""

    version: int
    rows: int


def silver_days(settings: Settings, domain: Domain) -> tuple[SilverState, dict[date, DayOfSilver]] | None:
    """The days (UTC) of event time that a domain of events has in silver, and the state they belong to.

    Read from what Iceberg says of its files, not from rows. None while there is no table.
    """
    table = _load(settings, domain)
    if table is None:
        return None
    state = _state(domain, table)
    version = table.schema().find_field("silver_version").field_id
    days: dict[date, DayOfSilver] = {}
    for task in table.scan(snapshot_id=state.snapshot_id).plan_files():
        day = _EPOCH + timedelta(days=task.file.partition[0])
        known = days.get(day, DayOfSilver(0, 0))
        newest = int(from_bytes(LongType(), task.file.upper_bounds[version]))
        days[day] = DayOfSilver(max(known.version, newest), known.rows + task.file.record_count)
    return state, days


def staged_rows(settings: Settings, domain: Domain, branch: str, version: int) -> StagedRows:
    """What the run of this branch has written as ``version``, read back from where its readers would read it.

    Raises:
        LookupError: there is no such branch.
    """
    table = _load(settings, domain)
    snapshot = table.snapshot_by_name(branch) if table else None
    if table is None or snapshot is None or snapshot.summary is None:
        raise LookupError(f"silver of {domain.name} has no branch {branch}")
    changed = table.scan(row_filter=f"silver_version == {version}", snapshot_id=snapshot.snapshot_id)
    days: dict[date, int] = {}
    if domain.kind is Kind.EVENT:
        for task in table.scan(snapshot_id=snapshot.snapshot_id).plan_files():
            day = _EPOCH + timedelta(days=task.file.partition[0])
            days[day] = days.get(day, 0) + task.file.record_count
    total = int(snapshot.summary.additional_properties["total-records"])
    return StagedRows(snapshot.snapshot_id, changed.to_arrow(), total, days)


def branch_parents(settings: Settings, domain: Domain) -> dict[str, int | None]:
    """The table's branches, each with the snapshot before its newest one; empty where there is no table."""
    table = _load(settings, domain)
    if table is None:
        return {}
    parents = {snapshot.snapshot_id: snapshot.parent_snapshot_id for snapshot in table.metadata.snapshots}
    refs = table.metadata.refs.items()
    return {name: parents[ref.snapshot_id] for name, ref in refs if ref.snapshot_ref_type == SnapshotRefType.BRANCH}


def data_files(settings: Settings, domain: Domain, branch: str | None = None) -> set[str]:
    """Keys, in the bucket of silver, of the files that hold the rows of today, and of those of a ``branch``."""
    table = _load(settings, domain)
    if table is None:
        return set()
    unpublished = table.snapshot_by_name(branch) if branch else None
    scans = [table.scan(), *([table.scan(snapshot_id=unpublished.snapshot_id)] if unpublished else [])]
    paths: Iterator[str] = (task.file.file_path for scan in scans for task in scan.plan_files())
    return {path.split("://", 1)[1].split("/", 1)[1] for path in paths}


def _load(settings: Settings, domain: Domain) -> StaticTable | None:
    with connect(settings.warehouse_dsn, "paylake catalog") as connection:
        try:
            found = connection.execute(
                load_sql("silver/metadata"), {"catalog": CATALOG, "namespace": NAMESPACE, "table": domain.name}
            ).fetchone()
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
            return None  # Spark makes the catalog's tables when it first needs them.
    return None if found is None else StaticTable.from_metadata(found[0], _file_io(settings))


def _file_io(settings: Settings) -> dict[str, Any]:
    credentials = s3_credentials(settings)
    properties = {
        "py-io-impl": "pyiceberg.io.pyarrow.PyArrowFileIO",
        "s3.access-key-id": credentials.access_key,
        "s3.secret-access-key": credentials.secret_key,
        "s3.session-token": credentials.token,
        "s3.region": settings.s3_region,
        "s3.endpoint": settings.s3_endpoint_url,
    }
    return {name: value for name, value in properties.items() if value}


def _state(domain: Domain, table: StaticTable) -> SilverState:
    snapshot = table.current_snapshot()
    summary = {} if snapshot is None or snapshot.summary is None else snapshot.summary.additional_properties
    if snapshot is None or not {POSITION, COUNTS, VERSION, CONTRACT} <= summary.keys():
        raise ForeignSnapshotError(
            f"the newest snapshot of {CATALOG}.{NAMESPACE}.{domain.name} says nothing of the bronze in it: it is not "
            "from a silver run. Drop the table; the next run rebuilds it from bronze."
        )
    rows = int(summary["total-records"])
    counted = json.loads(summary[COUNTS])
    return SilverState(
        table_uuid=str(table.metadata.table_uuid),
        snapshot_id=snapshot.snapshot_id,
        silver_version=int(summary[VERSION]),
        position=positions_from_json(summary[POSITION]),
        counts=RecordCounts(
            valid=rows,
            duplicates=counted["valid"] - rows,
            quarantined=counted["quarantined"],
            tombstones=counted["tombstones"],
            # Snapshots of before there was a redrive do not say it.
            redriven=counted.get("redriven", 0),
        ),
        rows=rows,
        files=int(summary["total-data-files"]),
        committed_at=datetime.fromtimestamp(snapshot.timestamp_ms / 1000, UTC),
        contract_versions=tuple(summary[CONTRACT].split(",")),
        run=summary.get(RUN),
    )
