"""What a silver run's checks say of it: those that block before it publishes, those that warn after that.

A run writes on a branch of its own, which nobody reads. What it has written there is read back and checked; where a
check that blocks fails, the branch is left for people to look at, and the table as it was. So a kill in between is that
of a run that has not published: nothing is lost, and nothing doubled. Only what the run changed is looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

import psycopg

from include.checks import drift
from include.checks.declared import Check, CheckKind, Severity, checks_of
from include.checks.loaded import missing
from include.checks.result import CheckFailedError, Result, blocking, store
from include.checks.rows import RowChecks
from include.domains import Domain
from include.lake.catalog import CATALOG, NAMESPACE, StagedRows, staged_rows
from include.quality.isolate import lies_in_records
from include.quality.limit import RejectedLimit
from include.settings import Settings


class CheckBrokenError(RuntimeError):
    """A check could not be made, for a fault of ours: no record is to blame, so none goes to quarantine for it."""


@contextmanager
def _without_blame(asset: str) -> Iterator[None]:
    """Let no error of a check pass for one that lies in a record."""
    try:
        yield
    except Exception as error:
        if not lies_in_records(error):
            raise
        raise CheckBrokenError(f"the checks of {asset} could not be made: {type(error).__name__}: {error}") from error


class SilverAudit:
    """The checks of a run of a domain, which writes on ``branch``; ``lock`` is what holds the domain's lock."""

    def __init__(self, settings: Settings, domain: Domain, lock: psycopg.Connection, branch: str) -> None:
        self._settings = settings
        self._domain = domain
        self._lock = lock
        self._branch = branch
        self._checks = checks_of(domain, domain.silver_asset)

    def before(self, version: int, *, changed: int, total: int) -> StagedRows:
        """Read what lies on the branch as ``version``, and look at it with the checks that block.

        The run has ``changed`` rows, and the table has to have ``total`` with them.

        Raises:
            CheckFailedError: one of them fails; what all of them found is stored.
            CheckBrokenError: one of them could not be made.
        """
        with _without_blame(self._domain.silver_asset):
            staged = staged_rows(self._settings, self._domain, self._branch, version)
            rows = RowChecks(self._domain, staged.rows)
            found = list(rows.results(self._of(Severity.BLOCK)))
            for check in self._of(Severity.BLOCK, CheckKind.ROWS_ADD_UP):
                differing = abs(staged.total - total) + abs(len(staged.rows) - changed)
                found.append(Result(check, not differing, rows=staged.total, value=float(differing)))
            self._store(staged.snapshot_id, found)
        if blocking(found):
            raise CheckFailedError(
                self._domain.silver_asset,
                found,
                f". What was refused is branch {self._branch} of {CATALOG}.{NAMESPACE}.{self._domain.name}, until a run"
                " publishes or fails again",
                staged.snapshot_id,
            )
        return staged

    def after(self, staged: StagedRows, before: int) -> None:
        """Look at what was published with the checks that warn; the table had ``before`` rows before.

        Raises:
            CheckBrokenError: one of them could not be made.
        """
        with _without_blame(self._domain.silver_asset):
            rows = RowChecks(self._domain, staged.rows)
            found = list(rows.results(self._of(Severity.WARN)))
            for check in self._of(Severity.WARN, CheckKind.REFERENCE):
                values = rows.values(check.column or "").to_pylist()
                found += rows.reference(check, missing(self._lock, check, values))
            for check in self._of(Severity.WARN, CheckKind.ROW_COUNT_DRIFT):
                found += (
                    drift.day_drift(check, staged.days, rows.days(), datetime.now(UTC).date())
                    if staged.days
                    else drift.table_drift(check, before, staged.total)
                )
            self._store(staged.snapshot_id, found)

    def refused(self, records: int, rejected: int, limit: RejectedLimit, *, alarm: bool) -> None:
        """Note the share of refused records, which is all right unless there is an ``alarm``."""
        if records:
            share = rejected / records
            for check in self._of(Severity.WARN, CheckKind.REJECTED_SHARE):
                allowed = replace(check, max_share=limit.share)
                self._store(None, [Result(allowed, not alarm, records, rejected, share)])

    def _of(self, severity: Severity, *kinds: CheckKind) -> list[Check]:
        return [one for one in self._checks if one.severity is severity and (not kinds or one.kind in kinds)]

    def _store(self, snapshot_id: int | None, found: Iterable[Result]) -> None:
        store(self._lock, self._branch, snapshot_id, found)
