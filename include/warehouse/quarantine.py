"""Quarantine: where records go that break their contract, with every reason and their original bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import psycopg
from psycopg.types.json import Jsonb

from include.sql import load_sql

COPY_TYPES = ("text", "text", "text", "int4", "int8", "int8", "bytea", "jsonb", "text")


@dataclass(frozen=True, slots=True)
class QuarantineRow:
    """One refused record.

    ``offset`` is Kafka's, ``timestamp_ms`` Kafka's timestamp in milliseconds since 1970 (-1 if it has none), ``raw``
    the record's value as it came (None for Kafka's null). Each reason has ``field`` (None when it concerns the whole
    record), ``code`` and ``message``.
    """

    domain: str
    topic: str
    topic_id: str
    partition: int
    offset: int
    timestamp_ms: int
    raw: bytes | None
    reasons: Sequence[Mapping[str, str | None]]
    contract_version: str


def store(conn: psycopg.Connection, rows: Iterable[QuarantineRow]) -> int:
    """Keep the rows; return how many were new.

    Storing a record again changes nothing. Runs in one transaction, or as part of the caller's.

    Raises:
        psycopg.errors.CheckViolation: a row came without a reason.
    """
    with conn.transaction(), conn.cursor() as cursor:
        cursor.execute(load_sql("stage_quarantine"))
        with cursor.copy(load_sql("copy_quarantine")) as copy:
            copy.set_types(COPY_TYPES)
            for row in rows:
                copy.write_row(_copy_row(row))
        new = cursor.execute(load_sql("store_quarantine")).rowcount
        # The caller's transaction may store more than once.
        cursor.execute("DROP TABLE quarantine_staging")
    return new


def counts(conn: psycopg.Connection, domain: str) -> dict[str, int]:
    """Records that wait in quarantine, by reason code; a record with several codes counts for each of them."""
    rows = conn.execute(load_sql("count_quarantine"), {"domain": domain}).fetchall()
    return dict(rows)


def _copy_row(row: QuarantineRow) -> tuple[object, ...]:
    reasons = [{key: _storable(value) for key, value in reason.items()} for reason in row.reasons]
    return (
        row.domain,
        row.topic,
        row.topic_id,
        row.partition,
        row.offset,
        row.timestamp_ms,
        row.raw,
        Jsonb(reasons),
        row.contract_version,
    )


def _storable(text: str | None) -> str | None:
    r"""Show as escapes what no jsonb can hold: NUL and lone surrogates, which a message may quote from a bad record."""
    if text is None:
        return None
    return text.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode("utf-8")
