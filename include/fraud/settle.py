"""Give each record of a batch its one place: fraud, genuine, duplicate, quarantine, or nothing for a tombstone.

A record keeps the place it has got, whatever its contract says later; only one that waits in quarantine may move, once,
into a verdict table or among the duplicates.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.sql import SQL, Composed, Identifier, Literal

from include.domains import TRANSACTIONS
from include.fraud.rules import Rules
from include.lake.records import BronzeRecord, spans
from include.quality import Outcome, Rejected, Tombstone, Valid
from include.quality.isolate import halves_of, isolate, unprocessable
from include.sql import load_sql
from include.warehouse import quarantine
from include.warehouse.quarantine import Coordinates, QuarantineRow, Span


@dataclass(frozen=True, slots=True)
class Classified:
    """A record of bronze and what its contract says about it."""

    record: BronzeRecord
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Counts:
    """Where the records of a batch are, each counted once. A replay counts as the first time."""

    records: int
    fraud: int
    genuine: int
    duplicates: int
    quarantined: int
    tombstones: int


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of a batch: its counts, and the rows that are new in FraudTransaction."""

    counts: Counts
    frauds: list[dict[str, Any]]


def open_staging(conn: psycopg.Connection) -> None:
    """Make the session's staging table; once per connection, before the first `settle`."""
    conn.execute(_statement("stage_verdicts"))


def settle(conn: psycopg.Connection, records: Sequence[Classified], rules: Rules) -> Settled:
    """Write every record to the one place where it belongs, within the caller's transaction.

    Of several records with one ``txn_id`` the first that was ever settled has it; the others are duplicates. Settling a
    record again changes nothing, unless it waits in quarantine and keeps its contract now: then it lands, and is marked
    as done there. Merchants are judged by the risk that MERCHANTS states in this very transaction.
    """
    read = spans(one.record for one in records)
    waiting = quarantine.lock_waiting(conn, (Span(*partition, *ends) for partition, ends in read.items()))
    return settle_locked(conn, records, rules, waiting)


def settle_locked(
    conn: psycopg.Connection, records: Sequence[Classified], rules: Rules, waiting: Collection[Coordinates]
) -> Settled:
    """Do what `settle` does for a caller who has locked those of the records that wait in quarantine (``waiting``)."""
    valid = [(one.record, one.outcome.row) for one in _in_order(records) if isinstance(one.outcome, Valid)]
    rejected = {Coordinates.of(one.record): one for one in records if isinstance(one.outcome, Rejected)}
    frauds: list[dict[str, Any]] = []
    fraud = genuine = duplicates = 0
    if valid:
        _copy(conn, valid, rules)
        frauds = _insert(conn)
        fraud, genuine, duplicates = conn.execute(load_sql("count_verdicts")).fetchone() or (0, 0, 0)
    if waiting:
        quarantine.mark_redriven(conn, {Coordinates.of(record) for record, _ in valid}.intersection(waiting))
    placed = _places(conn, rejected) if rejected else {}
    refused = [one for coordinates, one in rejected.items() if coordinates not in placed]
    if refused:
        quarantine.store(conn, map(_quarantine_row, refused))
    had = Counter(placed.values())
    tombstones = sum(isinstance(one.outcome, Tombstone) for one in records)
    counts = Counts(
        records=len(records),
        fraud=fraud + had["fraud"],
        genuine=genuine + had["genuine"],
        duplicates=duplicates + had["duplicate"],
        quarantined=len(refused),
        tombstones=tombstones,
    )
    return Settled(counts, frauds)


def settle_apart(
    conn: psycopg.Connection,
    records: Sequence[Classified],
    rules: Rules,
    waiting: Collection[Coordinates] | None = None,
) -> Settled:
    """Do what `settle` does, but refuse each record with which that fails, as ``unprocessable``, and settle the others.

    Takes a savepoint, and one more for each half of what failed. With ``waiting`` it does what `settle_locked` does.
    """

    def take(part: Sequence[Classified]) -> Settled:
        with conn.transaction():
            conn.execute("TRUNCATE verdict_staging")  # of the part before
            return settle(conn, part, rules) if waiting is None else settle_locked(conn, part, rules, waiting)

    def refuse(part: Sequence[Classified], error: Exception) -> Settled:
        return take([Classified(one.record, Rejected((unprocessable(error),))) for one in part])

    ordered: Sequence[Classified] = _in_order(records)
    parts = isolate(ordered, take, halves_of, refuse)
    counted = [asdict(part.counts) for part in parts]
    counts = Counts(**{name: sum(one[name] for one in counted) for name in counted[0]})
    return Settled(counts, [row for part in parts for row in part.frauds])


def stored_frauds(conn: psycopg.Connection, records: Iterable[Classified]) -> list[dict[str, Any]]:
    """The rows of FraudTransaction that these records, settled before, have become."""
    own = {one.outcome.row["txn_id"] for one in records if isinstance(one.outcome, Valid)}
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_statement("select_fraud"), {"txn_ids": list(own)}).fetchall()


def _in_order(records: Sequence[Classified]) -> list[Classified]:
    """By topic (older ones come first in a batch), partition and offset: who is first must not depend on chance."""
    rank = {topic_id: place for place, topic_id in enumerate(dict.fromkeys(one.record.topic_id for one in records))}
    return sorted(records, key=lambda one: (rank[one.record.topic_id], one.record.partition, one.record.offset))


def _copy(conn: psycopg.Connection, valid: list[tuple[BronzeRecord, dict[str, Any]]], rules: Rules) -> None:
    merchants = list({row["merchant_id"] for _, row in valid})
    risks: dict[str, str] = dict(conn.execute(load_sql("select_merchant_risks"), {"ids": merchants}).fetchall())
    with conn.cursor() as cursor, cursor.copy(_statement("copy_verdicts")) as copy:
        for staged in _staged(valid, rules, risks):
            copy.write_row(staged)


def _staged(
    valid: list[tuple[BronzeRecord, dict[str, Any]]], rules: Rules, risks: dict[str, str]
) -> Iterator[tuple[object, ...]]:
    columns = _columns()
    for place, (record, row) in enumerate(valid):
        fired = rules.verdict(row, risks.get(row["merchant_id"]))
        yield (
            place,
            "fraud" if fired else "genuine",
            *(row[column] for column in columns),
            rules.version,
            # As text, because psycopg's own adaptation of lists and JSON takes longer than all the rest. Rule names
            # need no quotes in an array.
            "{" + ",".join(one.rule for one in fired) + "}",
            json.dumps([one.as_json() for one in fired]) if fired else "[]",
            record.topic_id,
            record.partition,
            record.offset,
            record.value,
        )


def _insert(conn: psycopg.Connection) -> list[dict[str, Any]]:
    with conn.cursor(row_factory=dict_row) as cursor:
        cursor.execute(_statement("claim_transactions"))
        frauds = cursor.execute(_statement("insert_fraud")).fetchall()
        cursor.execute(_statement("insert_genuine"))
        cursor.execute(_statement("note_duplicates"))
    return frauds


def _places(conn: psycopg.Connection, records: Iterable[Coordinates]) -> dict[Coordinates, str]:
    """Where those of the records are that have a verdict or are duplicates: fraud, genuine or duplicate."""
    found = conn.execute(load_sql("find_places"), quarantine.as_arrays(records)).fetchall()
    return {Coordinates(*place): where for *place, where in found}


def _quarantine_row(one: Classified) -> QuarantineRow:
    record, outcome = one.record, one.outcome
    assert isinstance(outcome, Rejected)  # noqa: S101 - the caller chose by this
    return QuarantineRow(
        domain=TRANSACTIONS.name,
        topic=TRANSACTIONS.topic,
        topic_id=record.topic_id,
        partition=record.partition,
        offset=record.offset,
        timestamp_ms=record.timestamp_ms,
        taken_ms=record.taken_ms,
        raw=record.value,
        reasons=[reason.as_dict() for reason in outcome.reasons],
        contract_version=TRANSACTIONS.contract.version,
    )


@cache
def _columns() -> tuple[str, ...]:
    return tuple(column.name for column in TRANSACTIONS.contract.columns)


@cache
def _statement(name: str) -> Composed:
    columns = SQL(", ").join(map(Identifier, _columns()))
    return SQL(load_sql(name)).format(columns=columns, body_hash=_body_hash())


def _body_hash() -> Composed:
    """SQL for a hash of what a record says, whatever way it was spelled."""
    fields = (field.name for field in TRANSACTIONS.contract.record)
    members = SQL(", ").join(SQL("{}, {}").format(Literal(name), Identifier(name)) for name in fields)
    return SQL("sha256(convert_to(jsonb_strip_nulls(jsonb_build_object({}))::text, 'UTF8'))").format(members)
