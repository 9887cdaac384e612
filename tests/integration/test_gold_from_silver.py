"""Bronze to silver to gold, with the true silver job: what gold holds is what silver holds."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterable, Iterator
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from include.domains import BRONZE_BUCKET, PROFILES
from include.lake.catalog import SilverState, changed_rows
from include.lake.incoming import IncomingRecords
from include.lake.objects import encode, object_key
from include.lake.records import IncomingRecord
from include.lake.s3 import s3_client
from include.postgres import connect
from include.settings import Settings
from include.spark.session import spark_session
from include.status import lag
from include.status.stores import Stores
from include.warehouse.gold import LakeSilver, load, load_from
from include.warehouse.schema import apply_schema
from tests.support.bronze import any_topic_id
from tests.support.silver import run_silver

pytestmark = pytest.mark.integration


@pytest.fixture
def conn(settings: Settings) -> Iterator[psycopg.Connection]:
    with connect(settings.warehouse_dsn) as conn:
        apply_schema(conn)
        yield conn


class Source:
    """A topic's life of its own, whose records go to bronze; its users' ids are nobody else's."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic_id = any_topic_id()
        self._offset = 0
        self._prefix = str(uuid.uuid4().int)[:12]

    def user_id(self, number: int) -> str:
        return f"U{self._prefix}{number:04}"

    def send(self, *users: dict[str, Any]) -> None:
        """Write the records to bronze and let silver take them in."""
        self.put(*users)
        run_silver(PROFILES, self._settings)

    def put(self, *users: dict[str, Any]) -> None:
        """Write the records to bronze."""
        defaults = {"country": "pt", "account_type": "savings", "credit_score": 700, "status": "active"}
        records = [
            IncomingRecord(self._offset + place, int(time.time() * 1000), None, json.dumps(defaults | user).encode())
            for place, user in enumerate(users)
        ]
        end = self._offset + len(records)
        for encoded in encode(
            IncomingRecords.of(records),
            topic=PROFILES.topic,
            key_fields=PROFILES.key_fields,
            partition=0,
            start=self._offset,
            end=end,
            now_ms=int(time.time() * 1000),
        ):
            key = object_key(PROFILES.bronze_folder, self._topic_id, 0, encoded.start)
            s3_client(self._settings).put_object(
                Bucket=BRONZE_BUCKET, Key=key, Body=encoded.body, Metadata=encoded.metadata
            )
        self._offset = end

    def user(self, number: int, name: str, timestamp: str = "2026-01-31 13:45:00") -> dict[str, Any]:
        return {"user_id": self.user_id(number), "name": name, "timestamp": timestamp}


@pytest.fixture
def source(settings: Settings) -> Source:
    return Source(settings)


def in_gold(conn: psycopg.Connection) -> list[dict[str, Any]]:
    with conn.cursor(row_factory=psycopg.rows.dict_row) as cursor:
        rows = cursor.execute("SELECT * FROM users ORDER BY user_id").fetchall()
    return [{name: value for name, value in row.items() if name != "loaded_at"} for row in rows]


def in_silver(settings: Settings) -> list[dict[str, Any]]:
    """Silver's rows as gold should hold them."""
    _, batches = changed_rows(settings, PROFILES, 0)
    rows = [row for batch in batches for row in batch.to_pylist()]
    for row in rows:
        del row["silver_version"]
        row["time"] = row["timestamp"].time()
    return sorted(rows, key=lambda row: row["user_id"])


def names(conn: psycopg.Connection, source: Source) -> dict[str, str]:
    query = "SELECT user_id, name FROM users WHERE user_id LIKE %s"
    return dict(conn.execute(query, (source.user_id(0)[:13] + "%",)).fetchall())


def test_gold_is_silver(settings: Settings, conn: psycopg.Connection, source: Source) -> None:
    wild = source.user(20, 'Ana "Nan\\a" D\'Água, Jr.')
    source.send(*(source.user(number, "Dr. Ana Maria Silva") for number in range(20)), wild)
    first = load(PROFILES, conn, settings)
    assert first.inserted >= 21
    assert in_gold(conn) == in_silver(settings)
    assert load(PROFILES, conn, settings).rows_sent == 0

    source.send(
        source.user(1, "Newer Name", "2026-02-01T00:00:00.000001Z"),
        source.user(2, "Older Name", "2025-01-01 00:00:00"),
        source.user(21, "New User"),
    )
    second = load(PROFILES, conn, settings)
    assert (second.rows_sent, second.inserted, second.updated, second.deleted) == (2, 1, 1, 0)
    assert in_gold(conn) == in_silver(settings)
    found = names(conn, source)
    assert found[source.user_id(1)] == "Newer Name"
    assert found[source.user_id(2)] == "Dr. Ana Maria Silva"


def test_rebuilt_silver_changes_nothing(settings: Settings, conn: psycopg.Connection, source: Source) -> None:
    source.send(source.user(1, "Ana Silva"))
    load(PROFILES, conn, settings)
    before = conn.execute("SELECT * FROM users ORDER BY user_id").fetchall()
    spark_session("drop silver", settings).sql(f"DROP TABLE lake.silver.{PROFILES.name}")
    assert load(PROFILES, conn, settings).rows_sent == 0
    run_silver(PROFILES, settings)
    report = load(PROFILES, conn, settings)
    assert (report.inserted, report.updated, report.deleted) == (0, 0, 0)
    assert report.rows_sent == len(before)
    assert conn.execute("SELECT * FROM users ORDER BY user_id").fetchall() == before


def test_silver_run_between_plan_and_read(settings: Settings, conn: psycopg.Connection, source: Source) -> None:
    source.send(source.user(1, "Before"))
    load(PROFILES, conn, settings)
    source.send(source.user(1, "Planned", "2026-02-01 00:00:00"))

    class Overtaken(LakeSilver):
        """Once a first plan is being read, silver moves on and removes the files."""

        plans: list[int] = []  # noqa: RUF012

        def rows_after(self, silver_version: int) -> tuple[SilverState, Iterable[pa.RecordBatch]]:
            state, batches = super().rows_after(silver_version)
            self.plans.append(state.silver_version)
            return state, self._overtaken(batches) if len(self.plans) == 1 else batches

        def _overtaken(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            source.send(source.user(1, "Newest", "2026-02-02 00:00:00"))
            yield from batches

    report = load_from(Overtaken(settings, PROFILES), PROFILES, conn)
    assert Overtaken.plans == [report.silver_version - 1, report.silver_version]
    assert names(conn, source) == {source.user_id(1): "Newest"}
    assert in_gold(conn) == in_silver(settings)


def test_what_waits_for_silver_and_for_gold_is_counted(
    conn: psycopg.Connection, settings: Settings, source: Source
) -> None:
    stores = Stores(settings)

    def waiting() -> tuple[int, int]:
        return lag.silver(stores, PROFILES).lag.records, lag.gold(stores, PROFILES).lag.records

    source.send(source.user(1, "Ana Silva"))
    load(PROFILES, conn, settings)
    loaded = time.time()
    assert waiting() == (0, 0)

    source.put(source.user(2, "Rui Costa"), source.user(3, "Eva Lima"))
    assert waiting() == (2, 0)
    age = lag.silver(stores, PROFILES).lag.seconds
    assert age is not None
    assert age <= time.time() - loaded + 2  # S3 tells whole seconds
    run_silver(PROFILES, settings)
    assert waiting() == (0, 2)

    source.send(source.user(2, "Rui Dias", timestamp="2026-02-01 13:45:00"))
    assert waiting() == (0, 2), "one row of each version"
    age = lag.gold(stores, PROFILES).lag.seconds
    assert age is not None
    assert age >= time.time() - loaded - 2, "the older one has waited since before the newest snapshot"
    load(PROFILES, conn, settings)
    assert waiting() == (0, 0)

    source.send(source.user(2, "Too Late", timestamp="2026-01-01 13:45:00"))
    assert waiting() == (0, 0), "a new snapshot without a new row"
    conn.execute("DELETE FROM ops.gold_watermark WHERE domain = 'profiles'")
    assert waiting()[1] == len(in_gold(conn))
    load(PROFILES, conn, settings)
    assert waiting() == (0, 0)
