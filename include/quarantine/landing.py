"""How a record gets from quarantine into silver exactly once, though one is PostgreSQL and the other is Iceberg.

Silver's snapshot decides. Before a run publishes, it writes its name into the rows of the records that it takes in; its
snapshot bears the same name; only after that it marks the rows as done. So, whoever died when: a row that is not done
yet and bears the name of silver's newest snapshot is in silver, and one that bears another name is not, because the run
of that name has not published. Whoever holds the domain's lock settles both before anything else.

All functions want the connection that holds the domain's lock: when the lock is gone, they fail.
"""

from __future__ import annotations

from collections.abc import Iterable

import psycopg

from include.lake.records import BronzeRecord
from include.sql import load_sql
from include.warehouse.quarantine import Coordinates, as_arrays

REQUESTED_BYTES = 64 * 1024 * 1024
"""So many bytes of requested records one snapshot takes in; what was asked for beyond that is left to the next one."""


def in_hand(conn: psycopg.Connection, domain: str) -> bool:
    """Whether a run has something to do in quarantine: somebody asked for it, or a run died in the middle."""
    return conn.execute(load_sql("quarantine/in_hand"), {"domain": domain}).fetchone() == (True,)


def requested(conn: psycopg.Connection, domain: str) -> list[BronzeRecord]:
    """Records that somebody asked silver to take in, as they are in bronze; about `REQUESTED_BYTES` at most."""
    values = {"domain": domain, "limit_bytes": REQUESTED_BYTES}
    return [BronzeRecord(*row) for row in conn.execute(load_sql("quarantine/requested_records"), values)]


def enter(
    conn: psycopg.Connection, domain: str, run: str, landing: Iterable[Coordinates], refused: Iterable[Coordinates]
) -> None:
    """Say which records ``run`` is about to publish, and that it refused those others, for which somebody had asked.

    The records are the domain's from now on: they may have been refused when it had another name.
    """
    with conn.transaction():
        conn.execute(load_sql("quarantine/enter_landing"), as_arrays(landing) | {"domain": domain, "run": run})
        refuse(conn, refused)


def refuse(conn: psycopg.Connection, refused: Iterable[Coordinates]) -> None:
    """Say that silver does not take these records in, for which somebody had asked."""
    conn.execute(load_sql("quarantine/refuse_requests"), as_arrays(refused))


def land(conn: psycopg.Connection, domain: str, run: str | None) -> int:
    """Mark what ``run`` takes in as done, for silver's newest snapshot is of that run; return how many that were."""
    return conn.execute(load_sql("quarantine/land_run"), {"domain": domain, "run": run}).rowcount


def forget(conn: psycopg.Connection, domain: str) -> int:
    """Take back what runs have entered that will never publish; return how many records that were.

    After `land`, and after it was made sure that none of them, should it only be asleep, can still publish.
    """
    return conn.execute(load_sql("quarantine/forget_runs"), {"domain": domain}).rowcount
