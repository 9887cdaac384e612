"""Give each record of a batch its one place: fraud, genuine, duplicate, quarantine, or nothing for a tombstone."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.sql import SQL, Composed, Identifier, Literal

from include.domains import TRANSACTIONS
from include.fraud.rules import Rules
from include.lake.records import BronzeRecord
from include.quality import Outcome, Rejected, Tombstone, Valid
from include.sql import load_sql
from include.warehouse import quarantine
from include.warehouse.quarantine import QuarantineRow


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
    record again changes nothing. Merchants are judged by the risk that MERCHANTS states in this very transaction.
    """
    valid = [(one.record, one.outcome.row) for one in _in_order(records) if isinstance(one.outcome, Valid)]
    rejected = [one for one in records if isinstance(one.outcome, Rejected)]
    frauds: list[dict[str, Any]] = []
    fraud = genuine = duplicates = 0
    if valid:
        _copy(conn, valid, rules)
        frauds = _insert(conn)
        fraud, genuine, duplicates = conn.execute(load_sql("count_verdicts")).fetchone() or (0, 0, 0)
    if rejected:
        quarantine.store(conn, map(_quarantine_row, rejected))
    tombstones = sum(isinstance(one.outcome, Tombstone) for one in records)
    counts = Counts(len(records), fraud, genuine, duplicates, len(rejected), tombstones)
    return Settled(counts, frauds)


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
