"""How a record gets from quarantine into silver exactly once, though one is PostgreSQL and the other is Iceberg.

Silver's snapshot decides. Before a run publishes, it writes its name into the rows of the records that it takes in; its
snapshot bears the same name; only after that it marks the rows as done. So, whoever died when: a row that is not done
yet and bears the name of silver's newest snapshot is in silver, and one that bears another name is not, because the run
of that name has not published. Whoever holds the domain's lock settles both before anything else.

Of most domains a row is done when the record is in silver, which somebody has asked for. A transaction is done when it
has its verdict (``redriven_at``); silver, which has passed it, takes it in after that without being asked, and this is
marked apart (``settled_in_silver_at``).

All functions want the connection that holds the domain's lock: when the lock is gone, they fail.
"""

from __future__ import annotations

from collections.abc import Iterable

import psycopg
from psycopg.sql import SQL, Composed

from include.domains import Domain
from include.lake.coordinates import Coordinates, Span
from include.lake.positions import Positions, positions_to_json
from include.lake.records import BronzeRecord
from include.quarantine.rows import as_arrays, spans_as_arrays
from include.sql import load_sql

REQUESTED_BYTES = 64 * 1024 * 1024
"""So many bytes of requested records one snapshot takes in; what was asked for beyond that is left to the next one."""

_TERMS = {
    False: {
        "open": SQL("redriven_at IS NULL"),
        "asked": SQL("redrive_requested_at IS NOT NULL"),
        "landed_at": SQL("redriven_at"),
        "refused": SQL("redrive_requested_at = NULL"),
    },
    True: {
        "open": SQL("redriven_at IS NOT NULL AND settled_in_silver_at IS NULL"),
        "asked": SQL("true"),
        "landed_at": SQL("settled_in_silver_at"),
        "refused": SQL("settled_in_silver_at = now()"),
    },
}
"""What the rows of a domain say, by whether its records are judged."""


def in_hand(conn: psycopg.Connection, domain: Domain, position: Positions) -> bool:
    """Whether silver, which is at ``position``, has to do with quarantine: it has passed a record that it is to take
    in, or a run died in the middle."""
    values = {"domain": domain.name, "position": positions_to_json(position)}
    return conn.execute(_landing("in_hand", domain), values).fetchone() == (True,)


def unsettled(conn: psycopg.Connection, spans: Iterable[Span]) -> dict[Coordinates, bool]:
    """Of judged records in ``spans`` those that wait (False), and those that have got their verdict since (True)."""
    rows = conn.execute(load_sql("quarantine/unsettled"), spans_as_arrays(spans))
    return {Coordinates(*record): has_verdict for *record, has_verdict in rows}


def requested(conn: psycopg.Connection, domain: Domain, position: Positions) -> list[BronzeRecord]:
    """Records that silver is to take in, and has passed at ``position``, as they are in bronze.

    About `REQUESTED_BYTES` at most.
    """
    values = {"domain": domain.name, "position": positions_to_json(position), "limit_bytes": REQUESTED_BYTES}
    return [BronzeRecord(*row) for row in conn.execute(_landing("requested_records", domain), values)]


def enter(
    conn: psycopg.Connection, domain: Domain, run: str, landing: Iterable[Coordinates], refused: Iterable[Coordinates]
) -> None:
    """Say which records ``run`` is about to publish, and that it refused those others, which it was to take in.

    The records are the domain's from now on: they may have been refused when it had another name.
    """
    with conn.transaction():
        values = as_arrays(landing) | {"domain": domain.name, "run": run}
        conn.execute(_landing("enter_landing", domain), values)
        refuse(conn, domain, refused)


def refuse(conn: psycopg.Connection, domain: Domain, refused: Iterable[Coordinates]) -> None:
    """Say that silver does not take these records in, which it was to."""
    conn.execute(_landing("refuse_requests", domain), as_arrays(refused))


def withdraw(conn: psycopg.Connection, requests: Iterable[Coordinates]) -> None:
    """Take back what was asked of silver for these records, whose domain has left the registry."""
    conn.execute(_of_kind("refuse_requests", judged=False), as_arrays(requests))


def land(conn: psycopg.Connection, domain: Domain, run: str | None) -> int:
    """Mark what ``run`` takes in as done, for silver's newest snapshot is of that run; return how many that were."""
    return conn.execute(_landing("land_run", domain), {"domain": domain.name, "run": run}).rowcount


def forget(conn: psycopg.Connection, domain: Domain) -> int:
    """Take back what runs have entered that will never publish; return how many records that were.

    After `land`, and after it was made sure that none of them, should it only be asleep, can still publish.
    """
    return conn.execute(_landing("forget_runs", domain), {"domain": domain.name}).rowcount


def _landing(name: str, domain: Domain) -> Composed:
    return _of_kind(name, judged=domain.judged)


def _of_kind(name: str, *, judged: bool) -> Composed:
    return SQL(load_sql(f"quarantine/{name}")).format(**_TERMS[judged], passed=SQL(load_sql("quarantine/passed")))
