"""What the warehouse's own books say is wrong: each function looks at one thing, and `problems` asks them all."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg

from include.checks.declared import CheckKind
from include.checks.result import newest
from include.domains import DOMAINS
from include.quarantine.alarms import open_alarms
from include.sql import load_sql
from include.status.problems import Problem
from include.status.times import duration, records

REDRIVE_SECONDS = 600.0
"""What was asked of quarantine and not taken in after this time is late, as any reference data."""


def problems(conn: psycopg.Connection) -> list[Problem]:
    """Everything that is wrong.

    Raises:
        psycopg.Error: the warehouse does not answer, or lacks a table.
    """
    return [found for look in _LOOKS for found in look(conn)]


def _redrives(conn: psycopg.Connection) -> Iterator[Problem]:
    """Records that somebody asked silver to take in, and that no run has taken or refused."""
    for domain, count, seconds in conn.execute(load_sql("status/late_redrives"), {"seconds": REDRIVE_SECONDS}):
        text = f"asked to leave quarantine, the first {duration(seconds)} ago, and taken in by no run: {records(count)}"
        if domain not in DOMAINS:
            back = f"`./paylake quarantine redrive --domain {domain}` takes the request back"
            text += f"; the registry has no such domain any more, {back}"
        yield Problem("redrive", f"silver {domain}", text)


def _alarms(conn: psycopg.Connection) -> Iterator[Problem]:
    """More records were rejected than is usual, and nobody has accepted that."""
    for alarm in open_alarms(conn):
        yield Problem("rejected", f"silver {alarm.domain}", f"{alarm}. {alarm.advice}")


def _checks(conn: psycopg.Connection) -> Iterator[Problem]:
    """Checks that block and failed when they last looked: what waits is published by no run."""
    for asset, found in _failing(conn, block=True).items():
        yield Problem("check", asset, f"nothing new is published: {found}. `./paylake checks {asset}` says more.")


def warnings(conn: psycopg.Connection) -> list[str]:
    """For each asset a line with the checks that only warn and failed when they last looked, without those that have an
    alarm.

    Raises:
        psycopg.Error: the warehouse does not answer, or lacks a table.
    """
    return [f"{asset}: checks warn: {names}" for asset, names in _failing(conn, block=False).items()]


def _failing(conn: psycopg.Connection, *, block: bool) -> dict[str, str]:
    """The checks that failed when they last looked, by asset."""
    failed: dict[str, dict[str, None]] = {}
    for one in newest(conn):
        if not one.passed and one.blocks is block and one.kind not in (CheckKind.FRESHNESS, CheckKind.REJECTED_SHARE):
            failed.setdefault(one.asset, {})[one.check] = None
    return {asset: ", ".join(names) for asset, names in failed.items()}


_LOOKS: tuple[Callable[[psycopg.Connection], Iterator[Problem]], ...] = (_redrives, _alarms, _checks)
