"""The lease that lets only the newest driver of the fraud stream write.

A driver takes the lease once, at its start, and by that raises its epoch. Each batch's transaction then holds the
lease's row with ``FOR SHARE``: the epoch cannot be raised while a batch is being written, and after it was raised no
older driver gets another batch in. A driver that was paused or orphaned is thereby harmless whenever it wakes.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import psycopg
from psycopg import errors

from include.sql import load_sql

FRAUD_STREAM = "fraud_stream"
APPLICATION_NAME = "paylake-fraud-stream"
"""How drivers call their database sessions; `acquire` ends those of this name that hold a lease and do not move."""

log = logging.getLogger(__name__)


class StaleLeaseError(RuntimeError):
    """Another driver took the lease after this one; this one must stop and has written nothing since."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write as ``name``, valid as long as nobody raised the epoch."""

    name: str
    epoch: int


def acquire(conn: psycopg.Connection, holder: str, *, name: str = FRAUD_STREAM, patience: float = 5.0) -> Lease:
    """Take the lease from whoever has it, in a transaction of its own on ``conn`` (in autocommit mode).

    A batch of the former holder that is about to commit gets ``patience`` seconds. A holder that is slower than that
    (paused in the middle of its transaction, or cut off from the network) has its database session ended, which rolls
    its batch back.

    Raises:
        psycopg.OperationalError: the database cannot be reached, or its session could not be ended.
    """
    try:
        return _raise_epoch(conn, holder, name, patience)
    except errors.LockNotAvailable:
        ended = conn.execute(load_sql("fraud/end_lease_holders"), {"application": APPLICATION_NAME}).fetchall()
        log.warning("lease %s: ended %d database sessions of drivers that did not let go", name, len(ended))
        return _raise_epoch(conn, holder, name, patience)


def _raise_epoch(conn: psycopg.Connection, holder: str, name: str, patience: float) -> Lease:
    with conn.transaction():
        conn.execute("SELECT set_config('lock_timeout', %s, true)", (f"{round(patience * 1000)}ms",))
        row = conn.execute(load_sql("fraud/acquire_lease"), {"name": name, "holder": holder}).fetchone()
    assert row is not None  # noqa: S101 - INSERT .. RETURNING returns its row
    return Lease(name, row[0])


def hold(conn: psycopg.Connection, lease: Lease) -> None:
    """Keep the lease's epoch from being raised until the current transaction ends.

    Raises:
        StaleLeaseError: it has been raised already.
    """
    row = conn.execute("SELECT epoch FROM ops.stream_lease WHERE name = %s FOR SHARE", (lease.name,)).fetchone()
    if row is None or row[0] != lease.epoch:
        newest = "gone" if row is None else f"at epoch {row[0]}"
        raise StaleLeaseError(f"the lease {lease.name} is {newest}, this driver has epoch {lease.epoch}")
