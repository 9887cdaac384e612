"""Give each record of a batch its one place: fraud, genuine, duplicate, quarantine, or nothing for a tombstone.

A record keeps the place it has got, whatever its contract says later, also where that reads another ``txn_id``; only
one that waits in quarantine may move, once, into a verdict table or among the duplicates.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, NamedTuple

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg.rows import dict_row
from psycopg.sql import SQL, Composed, Identifier, Literal
from psycopg.types.json import Jsonb

from include.cases.opening import open_cases
from include.domains import TRANSACTIONS
from include.fraud.ledger import Counts
from include.fraud.order import in_order
from include.fraud.scorer import Moment, Scorer
from include.fraud.staged import staged_columns, written
from include.fraud.verdicts import NotCounted
from include.lake.coordinates import Coordinates
from include.quality import Rejected
from include.quality.columns import REJECTED, TOMBSTONE, VALID, bronze_records, outcome_batch, spans, with_outcome
from include.quality.isolate import halves_of, isolate, unprocessable
from include.quarantine import rows as quarantine
from include.quarantine.rows import QuarantineRow
from include.sql import load_sql


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of records: their counts, and the rows that are new in FraudTransaction.

    ``newest_taken_ms`` is when the newest of them came, see ``BronzeRecord``; None where there is none.
    """

    counts: Counts
    frauds: list[dict[str, Any]]
    newest_taken_ms: int | None


def together(parts: Sequence[Settled]) -> Settled:
    """What became of the records of all parts, of which there is at least one."""
    counted = [asdict(part.counts) for part in parts]
    return Settled(
        Counts(**{name: sum(one[name] for one in counted) for name in counted[0]}),
        [row for part in parts for row in part.frauds],
        max((part.newest_taken_ms for part in parts if part.newest_taken_ms is not None), default=None),
    )


def open_staging(conn: psycopg.Connection) -> None:
    """Make the session's staging table; once per connection, before the first `settle`."""
    conn.execute(_statement("stage_verdicts"))


def settle(conn: psycopg.Connection, outcomes: pa.Table, scorer: Scorer) -> Settled:
    """Write every record to the one place where it belongs, within the caller's transaction.

    ``outcomes`` has ``outcome_schema``. Of several records with one ``txn_id`` the first that was ever settled has it;
    the others are duplicates. Settling a record again changes nothing, unless it waits in quarantine and keeps its
    contract now: then it lands, and is marked as done there. Transactions are judged, one after the other, by what was
    scored before them and by what the warehouse says of merchants and lists in this very transaction.
    """
    # Before any record is locked, in whatever transaction: otherwise each of two could wait for the other.
    scorer.lock(conn)
    return settle_locked(conn, outcomes, scorer, quarantine.lock_waiting(conn, spans(outcomes)))


def settle_locked(
    conn: psycopg.Connection, outcomes: pa.Table, scorer: Scorer, waiting: Collection[Coordinates]
) -> Settled:
    """Do what `settle` does for a caller who holds the scorer's lock and those of the records in ``waiting``."""
    valid = in_order(with_outcome(outcomes, VALID))
    rejected = with_outcome(outcomes, REJECTED)
    if waiting:
        quarantine.mark_redriven(conn, set(_coordinates(valid)).intersection(waiting))
    valid, had = _apart_from_renamed(conn, valid)
    claimed = _claim(conn, valid, scorer) if valid.num_rows else _Claimed(0, 0, 0, [])
    placed = _places(conn, _coordinates(rejected)) if rejected.num_rows else {}
    named = zip(_coordinates(rejected), rejected.to_pylist(), strict=True)
    refused = [_quarantine_row(outcome) for coordinates, outcome in named if coordinates not in placed]
    if refused:
        quarantine.store(conn, refused)
    had.update(place.name for place in placed.values())
    counts = Counts(
        records=outcomes.num_rows,
        fraud=claimed.fraud + had["fraud"],
        genuine=claimed.genuine + had["genuine"],
        duplicates=claimed.duplicates + had["duplicate"],
        quarantined=len(refused),
        tombstones=with_outcome(outcomes, TOMBSTONE).num_rows,
    )
    return Settled(counts, claimed.frauds, pc.max(outcomes["taken_ms"]).as_py())


def settle_apart(
    conn: psycopg.Connection, outcomes: pa.Table, scorer: Scorer, waiting: Collection[Coordinates] | None = None
) -> Settled:
    """Do what `settle` does, but refuse each record with which that fails, as ``unprocessable``, and settle the others.

    Takes a savepoint, and one more for each half of what failed. With ``waiting`` it does what `settle_locked` does.
    """

    def take(part: pa.Table) -> Settled:
        try:
            with conn.transaction():
                return settle(conn, part, scorer) if waiting is None else settle_locked(conn, part, scorer, waiting)
        except Exception:
            scorer.undo()
            raise

    def refuse(part: pa.Table, error: Exception) -> Settled:
        refused = Rejected((unprocessable(error),))
        outcomes = outcome_batch(TRANSACTIONS, ((record, refused) for record in bronze_records(part)))
        return take(pa.Table.from_batches([outcomes]))

    return together(isolate(in_order(outcomes), take, halves_of, refuse))


def stored_frauds(conn: psycopg.Connection, txn_ids: Iterable[str]) -> list[dict[str, Any]]:
    """The rows of FraudTransaction that have these ids."""
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_statement("select_fraud"), {"txn_ids": list(txn_ids)}).fetchall()


@dataclass(frozen=True, slots=True)
class _Claimed:
    """Where a batch's valid records are, and the rows that are new in FraudTransaction."""

    fraud: int
    genuine: int
    duplicates: int
    frauds: list[dict[str, Any]]


def _claim(conn: psycopg.Connection, valid: pa.Table, scorer: Scorer) -> _Claimed:
    moment = scorer.next_moment(conn)
    valid, new = _new_first(conn, valid)
    verdicts = scorer.score(valid.slice(0, new))
    staged = staged_columns(valid, scorer.rules.version, verdicts)
    values = {"moment": moment.at, "lists_version": moment.lists_version}
    with conn.cursor(row_factory=dict_row) as cursor:
        cursor.execute("TRUNCATE verdict_staging")  # others of this transaction may be there
        with cursor.copy(_statement("copy_verdicts")) as copy:
            copy.write(written(staged))
        cursor.execute(_statement("claim_transactions"))
        # Where each record has got its claim just now, as nearly always, nobody has to ask who has it.
        all_new = cursor.rowcount == valid.num_rows
        frauds = cursor.execute(_statement("insert_fraud", all_new), values).fetchall()
        cursor.execute(_statement("insert_genuine", all_new), values)
    hits = verdicts.not_counted
    _note_hits(conn, [valid["txn_id"][hit.row].as_py() for hit in hits], hits, scorer, moment)
    open_cases(conn, frauds, moment.at)
    if all_new:
        return _Claimed(len(frauds), valid.num_rows - len(frauds), 0, frauds)
    _note_duplicates(conn, valid["value"])
    fraud, genuine, duplicates = conn.execute(load_sql("fraud/count_verdicts")).fetchone() or (0, 0, 0)
    return _Claimed(fraud, genuine, duplicates, frauds)


def _new_first(conn: psycopg.Connection, valid: pa.Table) -> tuple[pa.Table, int]:
    """The records, first those that get a verdict now, in the order of scoring; how many these are.

    A record whose id has a verdict is none of them, nor one whose id another record has that comes before it.
    """
    txn_ids = valid["txn_id"].to_pylist()
    known = {txn_id for (txn_id,) in conn.execute(load_sql("fraud/known_transactions"), {"txn_ids": txn_ids})}
    is_new = []
    for txn_id in txn_ids:
        is_new.append(txn_id not in known)
        known.add(txn_id)
    mask = pa.array(is_new, pa.bool_())
    # Without the others: a replay of what has a verdict does not know of them.
    new = in_order(valid.filter(mask))
    return pa.concat_tables([new, valid.filter(pc.invert(mask))]), new.num_rows


def _note_hits(
    conn: psycopg.Connection, txn_ids: Sequence[str], hits: Sequence[NotCounted], scorer: Scorer, moment: Moment
) -> None:
    """Note the rules that fired without making their transaction fraud."""
    if hits:
        columns = {
            "txn_ids": txn_ids,
            "rules": [hit.rule for hit in hits],
            "modes": [hit.mode for hit in hits],
            "evidence": [Jsonb(hit.evidence) for hit in hits],
        }
        version = {"rules_version": scorer.rules.version, "moment": moment.at}
        conn.execute(load_sql("fraud/insert_hits"), columns | version)


def _note_duplicates(conn: psycopg.Connection, values: pa.ChunkedArray) -> None:
    """Note the records whose ``txn_id`` another record has; ``values`` are the bytes of those that are staged."""
    places = [place for (place,) in conn.execute(load_sql("fraud/find_duplicates"))]
    if places:
        raw = values.take(pa.array(places, pa.int64())).to_pylist()
        conn.execute(_statement("note_duplicates"), {"places": places, "raw": raw})


class _Place(NamedTuple):
    """Where a record is (fraud, genuine or duplicate), and the id that it was read with when it got there."""

    name: str
    txn_id: str


def _places(conn: psycopg.Connection, records: Iterable[Coordinates]) -> dict[Coordinates, _Place]:
    """The places of those of the records that have a verdict or are duplicates."""
    found = conn.execute(load_sql("fraud/find_places"), quarantine.as_arrays(records)).fetchall()
    return {Coordinates(*record): _Place(name, txn_id) for *record, name, txn_id in found}


def _apart_from_renamed(conn: psycopg.Connection, valid: pa.Table) -> tuple[pa.Table, Counter[str]]:
    """The records without those that were settled before under another id, and where these are.

    A contract that was mended may read another id than the one that has the record's claim, and the new id must not
    get a second one. What is new, as nearly always, costs one question.
    """
    read = quarantine.spans_as_arrays(spans(valid))
    if conn.execute(load_sql("fraud/any_settled"), read).fetchone() == (False,):
        return valid, Counter()
    records = _coordinates(valid)
    places = _places(conn, records)
    new = [
        record not in places or places[record].txn_id == txn_id
        for record, txn_id in zip(records, valid["txn_id"].to_pylist(), strict=True)
    ]
    renamed = (places[record].name for record, is_new in zip(records, new, strict=True) if not is_new)
    return valid.filter(pa.array(new, pa.bool_())), Counter(renamed)


def _coordinates(outcomes: pa.Table) -> list[Coordinates]:
    columns = (outcomes[name].to_pylist() for name in Coordinates._fields)
    return list(map(Coordinates, *columns))


def _quarantine_row(outcome: Mapping[str, Any]) -> QuarantineRow:
    return QuarantineRow(
        domain=TRANSACTIONS.name,
        topic=TRANSACTIONS.topic,
        topic_id=outcome["topic_id"],
        partition=outcome["partition"],
        offset=outcome["offset"],
        timestamp_ms=outcome["timestamp_ms"],
        taken_ms=outcome["taken_ms"],
        raw=outcome["value"],
        reasons=json.loads(outcome["reasons"]),
        contract_version=TRANSACTIONS.contract.version,
    )


@cache
def _statement(name: str, all_new: bool = False) -> Composed:
    columns = SQL(", ").join(Identifier(column.name) for column in TRANSACTIONS.contract.columns)
    owned = SQL("" if all_new else load_sql("fraud/owned_claims"))
    return SQL(load_sql(f"fraud/{name}")).format(columns=columns, body_hash=_body_hash(), owned=owned)


def _body_hash() -> Composed:
    """SQL for a hash of what a record says, whatever way it was spelled."""
    fields = (field.name for field in TRANSACTIONS.contract.record)
    members = SQL(", ").join(SQL("{}, {}").format(Literal(name), Identifier(name)) for name in fields)
    return SQL("sha256(convert_to(jsonb_strip_nulls(jsonb_build_object({}))::text, 'UTF8'))").format(members)
