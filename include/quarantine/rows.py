"""Quarantine: where records go that break their contract, with every reason and their original bytes.

A record waits here until it is driven through again and accepted; then it has its place in a table, and its row here
stays, marked as done.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import psycopg
from psycopg.sql import SQL, Composed
from psycopg.types.json import Jsonb

from include.lake.coordinates import Coordinates, Span
from include.lake.records import BronzeRecord
from include.sql import load_sql

COPY_TYPES = ("text", "text", "text", "int4", "int8", "int8", "int8", "bytea", "jsonb", "text")


@dataclass(frozen=True, slots=True)
class QuarantineRow:
    """One refused record.

    ``offset`` is Kafka's, ``timestamp_ms`` Kafka's timestamp in milliseconds since 1970 (-1 if it has none),
    ``taken_ms`` when the record came (see ``BronzeRecord``), ``raw`` its value as it came (None for Kafka's null). Each
    reason has ``field`` (None when it concerns the whole record), ``code`` and ``message``.
    """

    domain: str
    topic: str
    topic_id: str
    partition: int
    offset: int
    timestamp_ms: int
    taken_ms: int
    raw: bytes | None
    reasons: Sequence[Mapping[str, str | None]]
    contract_version: str


@dataclass(frozen=True, slots=True)
class Selection:
    """Which records of quarantine are meant; None lets all pass.

    ``code`` and ``field`` are those of one and the same reason. ``since`` (included) and ``until`` (excluded) are times
    of being refused. ``done``: True for those that were driven through again, False for those that wait.
    """

    domain: str | None = None
    code: str | None = None
    field: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    done: bool | None = None

    def parameters(self) -> dict[str, Any]:
        """The values for ``include/sql/quarantine/selection.sql``."""
        reason = {key: value for key, value in (("code", self.code), ("field", self.field)) if value is not None}
        return {
            "domain": self.domain,
            # Every array contains the empty one.
            "reasons": Jsonb([reason] if reason else []),
            "since": self.since,
            "until": self.until,
            "done": self.done,
        }


class Chosen(NamedTuple):
    """A record of quarantine that was chosen; its value has ``size`` bytes."""

    domain: str
    coordinates: Coordinates
    size: int


@dataclass(frozen=True, slots=True)
class Kept:
    """A record of quarantine without its bytes, of which there are ``size`` (None for Kafka's null).

    ``requested_at`` is when somebody asked that silver take it in, ``redriven_at`` when it was taken in.
    """

    coordinates: Coordinates
    domain: str
    topic: str
    timestamp_ms: int
    size: int | None
    reasons: Sequence[Mapping[str, str | None]]
    contract_version: str
    quarantined_at: datetime
    requested_at: datetime | None
    redriven_at: datetime | None


@dataclass(frozen=True, slots=True)
class ReasonCount:
    """How many records have a reason; one with several reasons counts for each of them."""

    domain: str
    field: str | None
    code: str
    records: int


@dataclass(frozen=True, slots=True)
class Summary:
    """How many records were selected, and how many of them by domain and reason."""

    records: int
    reasons: list[ReasonCount]


def store(conn: psycopg.Connection, rows: Iterable[QuarantineRow]) -> int:
    """Keep the rows; return how many are waiting now and were not before.

    Storing a record that waits in its domain changes nothing. One that was driven through again waits again, for new
    reasons: whoever stores it says that it has no other place. One that waits in another domain changes over. Runs in
    one transaction, or as part of the caller's.

    Raises:
        psycopg.errors.CheckViolation: a row came without a reason.
    """
    with conn.transaction(), conn.cursor() as cursor:
        cursor.execute(load_sql("quarantine/stage_quarantine"))
        with cursor.copy(load_sql("quarantine/copy_quarantine")) as copy:
            copy.set_types(COPY_TYPES)
            for row in rows:
                copy.write_row(_copy_row(row))
        new = cursor.execute(load_sql("quarantine/store_quarantine")).rowcount
        # The caller's transaction may store more than once.
        cursor.execute("DROP TABLE quarantine_staging")
    return new


def counts(conn: psycopg.Connection, domain: str) -> dict[str, int]:
    """Records that wait in quarantine, by reason code; a record with several codes counts for each of them."""
    rows = conn.execute(load_sql("quarantine/count_quarantine"), {"domain": domain}).fetchall()
    return dict(rows)


def summarize(conn: psycopg.Connection, selection: Selection) -> Summary:
    """Count the selected records."""
    (_, _, _, records), *rows = conn.execute(_selecting("summarize_quarantine"), selection.parameters()).fetchall()
    return Summary(records, [ReasonCount(*row) for row in rows])


def newest(conn: psycopg.Connection, selection: Selection, limit: int) -> list[Kept]:
    """The selected records, last refused first, at most ``limit``."""
    rows = conn.execute(_selecting("list_quarantine"), selection.parameters() | {"limit": limit}).fetchall()
    return [_kept(row) for row in rows]


def knows(conn: psycopg.Connection, domain: str) -> bool:
    """Whether any record or alarm is of the domain, which may have left the registry."""
    return conn.execute(load_sql("quarantine/knows"), {"domain": domain}).fetchone() == (True,)


def find(conn: psycopg.Connection, coordinates: Coordinates) -> tuple[Kept, bytes | None] | None:
    """A record and its value as it came; None when it is not in quarantine and never was."""
    row = conn.execute(load_sql("quarantine/show_quarantine"), coordinates._asdict()).fetchone()
    return None if row is None else (_kept(row[:-1]), row[-1])


def lock_waiting(conn: psycopg.Connection, spans: Iterable[Span]) -> set[Coordinates]:
    """The waiting records within ``spans``, which nobody else can mark or take until the transaction ends."""
    return {
        Coordinates(*row) for row in conn.execute(load_sql("quarantine/lock_waiting"), spans_as_arrays(sorted(spans)))
    }


def take_waiting(conn: psycopg.Connection, chosen: Iterable[Coordinates]) -> list[BronzeRecord]:
    """Those of the chosen records that still wait, in any order; locked as by `lock_waiting`."""
    return [BronzeRecord(*row) for row in conn.execute(load_sql("quarantine/take_waiting"), as_arrays(chosen))]


def mark_redriven(conn: psycopg.Connection, landed: Iterable[Coordinates]) -> None:
    """Mark records as done, in the transaction that gives them their place; those that do not wait stay as they are."""
    conn.execute(load_sql("quarantine/mark_redriven"), as_arrays(landed))


def choose(conn: psycopg.Connection, selection: Selection, chunk: int) -> Iterator[Chosen]:
    """The records that are selected now, by domain, the oldest first; ``chunk`` of them are fetched at a time.

    The connection may begin and end transactions while they are drawn.
    """
    with conn.cursor(name="chosen_quarantine", withhold=True) as cursor:
        cursor.execute(_selecting("choose_waiting"), selection.parameters())
        while rows := cursor.fetchmany(chunk):
            for domain, *place, size in rows:
                yield Chosen(domain, Coordinates(*place), size)


def as_arrays(coordinates: Iterable[Coordinates]) -> dict[str, list[Any]]:
    """Coordinates as the parameters of statements that ``unnest`` them."""
    topic_ids, partitions, offsets = _columns(coordinates, 3)
    return {"topic_ids": topic_ids, "partitions": partitions, "offsets": offsets}


def spans_as_arrays(spans: Iterable[Span]) -> dict[str, list[Any]]:
    """The same for spans."""
    topic_ids, partitions, firsts, lasts = _columns(spans, 4)
    return {"topic_ids": topic_ids, "partitions": partitions, "firsts": firsts, "lasts": lasts}


def _columns(rows: Iterable[tuple[Any, ...]], width: int) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(width)]


def _selecting(name: str) -> Composed:
    return SQL(load_sql(f"quarantine/{name}")).format(selection=SQL(load_sql("quarantine/selection")))


def _kept(row: tuple[Any, ...]) -> Kept:
    return Kept(Coordinates(*row[:3]), *row[3:])


def _copy_row(row: QuarantineRow) -> tuple[object, ...]:
    reasons = [{key: _storable(value) for key, value in reason.items()} for reason in row.reasons]
    return (
        row.domain,
        row.topic,
        row.topic_id,
        row.partition,
        row.offset,
        row.timestamp_ms,
        row.taken_ms,
        row.raw,
        Jsonb(reasons),
        row.contract_version,
    )


def _storable(text: str | None) -> str | None:
    r"""Show as escapes what no jsonb can hold: NUL and lone surrogates, which a message may quote from a bad record."""
    if text is None:
        return None
    return text.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode("utf-8")
