"""A domain's silver table in Iceberg, and the one way to change it.

A run prepares its snapshot on a branch of its own that starts at the snapshot the run has read, and then moves ``main``
forward to it. Iceberg refuses that when ``main`` is no longer where the branch began, so of two runs that began at the
same state one is published and the other fails, however long one of them was asleep.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.errors import IllegalArgumentException
from pyspark.sql import Column, DataFrame, DataFrameWriterV2, SparkSession
from pyspark.sql import functions as F  # noqa: N812
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StructType

from include.domains import SILVER_BUCKET, Domain, Kind
from include.lake.catalog import (
    CATALOG,
    CONTRACT,
    COUNTS,
    NAMESPACE,
    POSITION,
    RUN,
    VERSION,
    SilverState,
    branch_parents,
)
from include.lake.positions import Positions, positions_to_json
from include.settings import Settings
from include.spark.silver_schema import table_schema

MAX_FILES = 32
"""With more data files than this, a run writes the whole table anew instead of adding another one; not of events."""
FILES_OF_A_DAY = 8
"""So many small files of events of one day are written anew as one."""
FILES_AT_ONCE = 800
"""So many at most are written anew in one run, which has a time limit: a file a day, of many days, is many files."""
FILE_BYTES = 64 * 1024 * 1024
"""A file of events is small below three quarters of this, and not made larger."""

_MAIN = "main"
_PROPERTY = "spark.sql.iceberg.snapshot-property."


class ConflictError(RuntimeError):
    """Another run has published since this one read the table; nothing of this one was published. Run it again."""


class SchemaChangeError(RuntimeError):
    """A contract changed in a way that the table cannot follow; the message names the columns."""


@dataclass(frozen=True, slots=True)
class Book:
    """What a snapshot says of the records in it.

    ``valid`` counts those that keep their contract, ``redriven`` those of them that were in quarantine before.
    ``contract_versions`` are those under which any of the records were read, the newest last.
    """

    position: Positions
    version: int
    valid: int
    quarantined: int
    tombstones: int
    contract_versions: tuple[str, ...]
    redriven: int = 0

    @classmethod
    def of(cls, state: SilverState) -> Book:
        """What the newest snapshot says."""
        return cls(
            position=state.position,
            version=state.silver_version,
            valid=state.counts.valid + state.counts.duplicates,
            quarantined=state.counts.quarantined,
            tombstones=state.counts.tombstones,
            contract_versions=state.contract_versions,
            redriven=state.counts.redriven,
        )

    def properties(self) -> dict[str, str]:
        """The book as entries of a snapshot's summary."""
        counts = {
            "valid": self.valid,
            "quarantined": self.quarantined,
            "tombstones": self.tombstones,
            "redriven": self.redriven,
        }
        return {
            POSITION: positions_to_json(self.position),
            COUNTS: json.dumps(counts),
            VERSION: str(self.version),
            CONTRACT: ",".join(self.contract_versions),
        }


class SilverTable:
    """The table of one domain, and this run's branch of it; the branch's name is the run's name, too."""

    def __init__(self, spark: SparkSession, domain: Domain, settings: Settings) -> None:
        self._spark = spark
        self._domain = domain
        self._settings = settings
        self._name = f"{CATALOG}.{NAMESPACE}.{domain.name}"
        self.branch = f"run_{uuid.uuid4().hex}"

    @property
    def _branch_table(self) -> str:
        return f"{self._name}.branch_{self.branch}"

    def create(self, book: Book) -> None:
        """Make the table with an empty first snapshot, both at once; ``book`` is that of no record at all."""
        self._spark.sql(f"CREATE NAMESPACE IF NOT EXISTS {CATALOG}.{NAMESPACE}")
        schema = table_schema(self._domain)
        # From Arrow: an empty list of Python objects would cost a Spark job with Python workers.
        nothing = self._spark.createDataFrame(to_arrow_schema(schema).empty_table(), schema)
        writer = nothing.writeTo(self._name).using("iceberg")
        if self._domain.kind is Kind.EVENT:
            writer = writer.partitionedBy(F.partitioning.days(self._domain.event_time))
        for key, value in self._table_properties().items():
            writer = writer.tableProperty(key, value)
        for key, value in book.properties().items():
            writer = writer.option(f"snapshot-property.{key}", value)
        writer.create()

    def evolve(self) -> list[str]:
        """Add the columns that the contract has gained; return their names.

        Raises:
            SchemaChangeError: a column has another type now, or is gone.
        """
        wanted, existing = table_schema(self._domain), self._spark.table(self._name).schema
        _check_changes(self._name, wanted, existing)
        added = [column for column in wanted if column.name not in existing.fieldNames()]
        for column in added:
            self._spark.sql(f"ALTER TABLE {self._name} ADD COLUMN `{column.name}` {column.dataType.simpleString()}")
        return [column.name for column in added]

    def begin(self, snapshot_id: int) -> DataFrame:
        """Open this run's branch at ``snapshot_id`` and return the rows there.

        Raises:
            ConflictError: that snapshot is gone.
        """
        try:
            self._spark.sql(f"ALTER TABLE {self._name} CREATE BRANCH {self.branch} AS OF VERSION {snapshot_id}")
        except Py4JJavaError as error:
            if "unknown snapshot" not in str(error):
                raise
            raise ConflictError(f"{self._name}: snapshot {snapshot_id} is gone") from error
        return self.prepared()

    def write(
        self, current: DataFrame, changes: DataFrame, book: Book, *, changed: int, replaced: int, files: int
    ) -> None:
        """Commit ``changes`` and ``book`` on the branch.

        Of the ``changed`` rows ``replaced`` come in place of one with the same key in ``current``: none of events.
        ``files`` is the number of the table's data files. Without changes only the book is written.

        Rows that are replaced may lie in any file: as many as there are files would have nearly all of these written
        anew by a MERGE, which sorts and joins what it writes.
        """
        if self._domain.kind is Kind.EVENT:
            # Sorted by day and a file after the other: one for each day at once would be too many for old clocks.
            self._writer(changes, book).option("fanout-enabled", "false").append()
        elif changed and (files > MAX_FILES or replaced >= files > 0):
            untouched = current.join(changes, self._domain.key, "left_anti")
            rows = untouched.unionByName(changes)
            # The hint makes files of a good size, and one where that is enough.
            rows = rows.hint("rebalance") if files > MAX_FILES else rows
            self._writer(rows, book).overwrite(F.lit(True))
        elif replaced:
            self._merge(changes, book)
        else:
            self._writer(changes, book).append()

    def replace(self, rows: DataFrame, where: Column, book: Book) -> None:
        """Commit ``rows``, sorted by day, and ``book`` on the branch, in the place of the rows ``where`` this holds.

        They are whole days, so that no file is rewritten.
        """
        self._writer(rows, book).option("fanout-enabled", "false").overwrite(where)

    def published(self) -> DataFrame:
        """The rows that everybody sees."""
        return self._spark.table(self._name)

    def prepared(self) -> DataFrame:
        """The rows on the branch."""
        return self._spark.table(self._branch_table)

    def publish(self, snapshot_id: int) -> None:
        """Make the branch's snapshot the table's, if that is still at ``snapshot_id``.

        Raises:
            ConflictError: it is not.
        """
        # A branch that was removed under a sleeping run is made again by its commit, but from another snapshot.
        if branch_parents(self._settings, self._domain).get(self.branch) != snapshot_id:
            raise ConflictError(f"{self._name}: the branch {self.branch} was taken away")
        try:
            self._call("fast_forward", f"branch => '{_MAIN}', to => '{self.branch}'")
        except IllegalArgumentException as error:  # Iceberg's word for: main is not where the branch began
            raise ConflictError(f"{self._name}: another run has published since snapshot {snapshot_id}") from error

    def drop_branches(self, *kept: str) -> None:
        """Take from every run, but those ``kept``, what it has written, so that it can not publish it.

        Only with the domain's lock.
        """
        for branch in branch_parents(self._settings, self._domain).keys() - {_MAIN, *kept}:
            self._spark.sql(f"ALTER TABLE {self._name} DROP BRANCH `{branch}`")

    def tidy(self, *kept: str) -> None:
        """Remove every branch but those ``kept``, and every snapshot but the newest; only with the domain's lock."""
        self.drop_branches(*kept)
        # Iceberg's own API: the SQL procedure runs Spark jobs to find the files, this one reads a few manifests.
        table = self._loaded()
        in_a_moment_ms = int(time.time() * 1000) + 1000  # keeps none of this very millisecond
        table.expireSnapshots().expireOlderThan(in_a_moment_ms).retainLast(1).commit()

    def compact(self, state: SilverState) -> int:
        """Write the small files of each day that has `FILES_OF_A_DAY` of them anew, on the branch; how many those were.

        At most `FILES_AT_ONCE`; what is left is the next run's.

        The branch's snapshot then says what the one of ``state`` says: the rows are the same.
        """
        actions = self._jvm.org.apache.iceberg.spark.actions.SparkActions.get(self._spark._jsparkSession)
        action = actions.rewriteDataFiles(self._loaded()).toBranch(self.branch)
        action = action.option("min-input-files", str(FILES_OF_A_DAY))
        action = action.option("target-file-size-bytes", str(FILE_BYTES))
        action = action.option("max-files-to-rewrite", str(FILES_AT_ONCE))
        said = Book.of(state).properties() | ({RUN: state.run} if state.run else {})
        for key, value in said.items():
            action = action.snapshotProperty(key, value)
        rewritten: int = action.execute().rewrittenDataFilesCount()
        return rewritten

    @property
    def _jvm(self) -> Any:
        return self._spark._jvm

    def _loaded(self) -> Any:
        """The table in Iceberg's own API, as it is now."""
        table = self._jvm.org.apache.iceberg.spark.Spark3Util.loadIcebergTable(self._spark._jsparkSession, self._name)
        table.refresh()
        return table

    def _writer(self, rows: DataFrame, book: Book) -> DataFrameWriterV2:
        writer = rows.writeTo(self._branch_table)
        for key, value in self._properties(book).items():
            writer = writer.option(f"snapshot-property.{key}", value)
        return writer

    def _merge(self, changes: DataFrame, book: Book) -> None:
        key = self._domain.key
        same_key = F.expr(f"branch_{self.branch}.`{key}` = changes.`{key}`")
        # The DataFrame's own MERGE takes no options: a snapshot's properties can only come from the session.
        with _Configured(self._spark, {_PROPERTY + name: value for name, value in self._properties(book).items()}):
            merge = changes.alias("changes").mergeInto(self._branch_table, same_key)
            merge.whenMatched().updateAll().whenNotMatched().insertAll().merge()

    def _properties(self, book: Book) -> dict[str, str]:
        return book.properties() | {RUN: self.branch}

    def _call(self, procedure: str, arguments: str) -> None:
        self._spark.sql(f"CALL {CATALOG}.system.{procedure}(table => '{self._name}', {arguments})")

    def _table_properties(self) -> dict[str, str]:
        home = f"s3a://{SILVER_BUCKET}/_metadata/{self._domain.name}"
        return {
            "location": home,
            "format-version": "2",
            "write.data.path": f"s3a://{SILVER_BUCKET}/{self._domain.silver_folder}",
            "write.metadata.path": home,
            # Plain Parquet readers know nothing of delete files.
            "write.merge.mode": "copy-on-write",
            "write.distribution-mode": "none",
            "write.metadata.delete-after-commit.enabled": "true",
            "write.metadata.previous-versions-max": "5",
        }


class _Configured:
    """Settings of the Spark session for a while."""

    def __init__(self, spark: SparkSession, settings: Mapping[str, str]) -> None:
        self._spark = spark
        self._settings = settings

    def __enter__(self) -> None:
        for key, value in self._settings.items():
            self._spark.conf.set(key, value)

    def __exit__(self, *_: object) -> None:
        for key in self._settings:
            self._spark.conf.unset(key)


def _check_changes(table: str, wanted: StructType, existing: StructType) -> None:
    types = {column.name: column.dataType for column in wanted}
    gone = [f"{column.name} is not in the contract" for column in existing if column.name not in types]
    differing = [
        f"{column.name} is {column.dataType.simpleString()}, the contract wants {types[column.name].simpleString()}"
        for column in existing
        if column.name in types and types[column.name] != column.dataType
    ]
    if gone or differing:
        raise SchemaChangeError(
            f"{table}: {'; '.join(gone + differing)}. Drop the table; the next run rebuilds it from bronze."
        )
