"""Drive records of quarantine through again, after their contract or its rules were mended.

Each record is classified by today's contract. One that is still rejected is left alone. One that keeps its contract
lands: a transaction at once, in the database transaction that also marks it as done; a record of reference data with
the next silver run, which is asked here to take it in. Either way it lands once, whatever is killed, and two redrives
of the same records at once do no harm.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, TypeAlias

import psycopg
import pyarrow as pa

from include.domains import DOMAINS, TRANSACTIONS
from include.fraud.scorer import Scorer
from include.fraud.settle import open_staging, settle_apart
from include.lake.coordinates import Coordinates
from include.lake.records import BronzeRecord
from include.quality import Outcome, Rejected, Tombstone, Valid, classify
from include.quality.columns import outcome_batch
from include.quarantine import landing
from include.quarantine import rows as quarantine
from include.quarantine.rows import Chosen, ReasonCount, Selection
from include.sql import load_sql

CHUNK = 200
"""Records that are locked, classified and settled in one database transaction; all of them are in memory then."""
CHUNK_BYTES = 32 * 1024 * 1024
"""So many bytes their values have at most, or there is one of them."""
POLL_SECONDS = 0.5
UNKNOWN_DOMAIN = "unknown_domain"
"""The reason why a record stays whose domain has left the registry: no contract says what it has to be."""

Show = Callable[[list[dict[str, Any]]], None]
"""What is done with rows that are new in FraudTransaction."""


_Judged: TypeAlias = tuple[BronzeRecord, Outcome]


class UnknownRecordError(LookupError):
    """Coordinates were given of a record that never was in quarantine; the message names it."""


@dataclass(slots=True)
class Redriven:
    """What became of the chosen records that were waiting.

    Of ``chosen`` records ``valid`` keep their contract now (by domain) and ``rejected`` do not, for these ``reasons``
    (domain, field, code; a record counts for each of its reasons). A delete from an envelope that is taken off now is
    one of these, with the code ``tombstone``: it has no table to land in. So is a record whose domain has left the
    registry, with the code ``unknown_domain``. ``landed`` are in their table (by domain), of
    which transactions are ``fraud``, ``genuine`` or ``duplicates``. ``refused`` were not taken in after all, and
    ``requested`` wait for its next run (both by domain). ``already_done`` of the coordinates that were given had landed
    before.
    """

    chosen: int = 0
    valid: Counter[str] = field(default_factory=Counter)
    rejected: int = 0
    reasons: Counter[tuple[str, str | None, str]] = field(default_factory=Counter)
    landed: Counter[str] = field(default_factory=Counter)
    fraud: int = 0
    genuine: int = 0
    duplicates: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    requested: Counter[str] = field(default_factory=Counter)
    already_done: int = 0

    @property
    def all_landed(self) -> bool:
        """Whether each chosen record is in its table."""
        return self.landed.total() == self.chosen

    def by_reason(self) -> list[ReasonCount]:
        """The reasons of those that are still rejected, most frequent first within a domain."""
        ordered = sorted(self.reasons.items(), key=lambda one: (one[0][0], -one[1], one[0][2], one[0][1] or ""))
        return [ReasonCount(*reason, records) for reason, records in ordered]


class Redrive:
    """One redrive of some records, over one connection of its own.

    Transactions are judged by the rules in use. ``show`` is given each fraud after it was committed.
    """

    def __init__(self, conn: psycopg.Connection, chosen: Selection | Sequence[Coordinates], show: Show) -> None:
        self._conn = conn
        self._chosen = chosen
        self._scorer = Scorer()
        self._show = show
        open_staging(conn)
        conn.execute(load_sql("quarantine/stage_requests"))

    def examine(self) -> Redriven:
        """Classify the chosen records that wait, and change nothing.

        Raises:
            UnknownRecordError: see the class.
        """
        found = Redriven()
        for domain, chunk in self._chunks(found):
            self._sorted_out(found, domain, chunk)
        return found

    def drive(self) -> Redriven:
        """Land the transactions among them that keep their contract, and ask silver for the others that do.

        Raises:
            UnknownRecordError: see the class.
        """
        found = Redriven()
        for domain, chunk in self._chunks(found):
            frauds: list[dict[str, Any]] = []
            with self._conn.transaction():
                if domain == TRANSACTIONS.name:
                    # Before any record is locked, as the stream does: otherwise each could wait for the other.
                    self._scorer.lock(self._conn)
                valid = self._sorted_out(found, domain, chunk)
                if domain not in DOMAINS:
                    # Asked for while it had its domain, it would wait for a silver run that never comes.
                    landing.withdraw(self._conn, chunk)
                elif domain == TRANSACTIONS.name:
                    frauds = self._settle(found, valid)
                else:
                    keep = (record.coordinates for record, _ in valid)
                    self._conn.execute(load_sql("quarantine/request_redrive"), quarantine.as_arrays(keep))
            self._show(frauds)
        self._follow(found)
        return found

    def wait(self, found: Redriven, seconds: float) -> None:
        """Wait until silver has decided about all that it was asked for, but no longer than this; correct ``found``."""
        deadline = time.monotonic() + seconds
        while found.requested.total() and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
            self._follow(found)

    def _follow(self, found: Redriven) -> None:
        for domain, landed, refused, requested in self._conn.execute(load_sql("quarantine/follow_requests")):
            found.landed[domain], found.refused[domain], found.requested[domain] = landed, refused, requested

    def _chunks(self, found: Redriven) -> Iterator[tuple[str, list[Coordinates]]]:
        """The chosen records, each list of one domain (its name) and of at most `CHUNK` records and `CHUNK_BYTES`."""
        chosen = self._chosen
        if isinstance(chosen, Selection):
            waiting: Iterable[Chosen] = quarantine.choose(self._conn, chosen, CHUNK)
        else:
            waiting = self._waiting_of(found, chosen)
        for name, group in groupby(waiting, key=lambda one: one.domain):
            chunk: list[Coordinates] = []
            size = 0
            for one in group:
                size += one.size
                if chunk and (len(chunk) == CHUNK or size > CHUNK_BYTES):
                    yield name, chunk
                    chunk, size = [], one.size
                chunk.append(one.coordinates)
            yield name, chunk

    def _waiting_of(self, found: Redriven, records: Sequence[Coordinates]) -> list[Chosen]:
        waiting = []
        for record in dict.fromkeys(records):
            known = quarantine.find(self._conn, record)
            if known is None:
                raise UnknownRecordError(f"{record} is not in quarantine and never was")
            if known[0].redriven_at is None:
                waiting.append(Chosen(known[0].domain, record, known[0].size or 0))
            else:
                found.already_done += 1
        return sorted(waiting)

    def _sorted_out(self, found: Redriven, name: str, chosen: Sequence[Coordinates]) -> list[_Judged]:
        """Classify those of the records that still wait, count them, and return the valid ones in the given order."""
        order = {record: number for number, record in enumerate(chosen)}
        records = sorted(quarantine.take_waiting(self._conn, chosen), key=lambda record: order[record.coordinates])
        found.chosen += len(records)
        domain = DOMAINS.get(name)
        if domain is None:
            found.rejected += len(records)
            found.reasons[(name, None, UNKNOWN_DOMAIN)] += len(records)
            return []
        judged = [(record, classify(domain, record)) for record in records]
        valid: list[_Judged] = [one for one in judged if isinstance(one[1], Valid)]
        found.valid[name] += len(valid)
        for _, outcome in judged:
            if isinstance(outcome, Rejected):
                found.rejected += 1
                found.reasons.update({(name, reason.field, reason.code) for reason in outcome.reasons})
            elif isinstance(outcome, Tombstone):
                found.rejected += 1
                found.reasons[(name, None, "tombstone")] += 1
        return valid

    def _settle(self, found: Redriven, valid: Sequence[_Judged]) -> list[dict[str, Any]]:
        waiting = {record.coordinates for record, _ in valid}
        outcomes = pa.Table.from_batches([outcome_batch(TRANSACTIONS, valid)])
        settled = settle_apart(self._conn, outcomes, self._scorer, waiting)
        found.refused[TRANSACTIONS.name] += settled.counts.quarantined
        found.landed[TRANSACTIONS.name] += settled.counts.records - settled.counts.quarantined
        found.fraud += settled.counts.fraud
        found.genuine += settled.counts.genuine
        found.duplicates += settled.counts.duplicates
        return settled.frauds
