"""Follows the first data until every table of the warehouse has rows."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import psycopg

from include.airflow_api import AirflowApi, AirflowApiError
from include.domains import GENERATED_REFERENCE, Generator
from include.errors import StackError
from include.postgres import connect
from include.settings import Settings
from include.stack.steps import Task
from include.warehouse.summary import layer_rows

REFERENCE_TABLES = tuple(domain.table for domain in GENERATED_REFERENCE)
TABLES = (*REFERENCE_TABLES, "fraudtransaction", "genuinetransaction")
PARSE_SECONDS = 180.0
DATA_SECONDS = 900.0
EVERY_SECONDS = 1.0
FAILURES_EVERY_SECONDS = 20.0


def await_read(api: AirflowApi, folder: Path, task: Task) -> None:
    """Wait until every DAG file of the folder was read.

    Raises:
        StackError: one can not be imported, or was not read in time.
    """
    files = {path.name for path in folder.glob("*.py")}
    unread = partial(_told, partial(_unread, api, files))
    task.wait_until(unread, seconds=PARSE_SECONDS, what="Reading the DAGs", every=EVERY_SECONDS)


def _told(ask: Callable[[], str | None]) -> str | None:
    """What Airflow still lacks; on a busy machine that may be an answer in time. What it refuses is raised."""
    try:
        return ask()
    except AirflowApiError as error:
        if error.status is not None:
            raise
        return str(error)


def _unread(api: AirflowApi, files: set[str]) -> str | None:
    if errors := api.import_errors():
        raise StackError(f"{errors[0]['filename']} can not be imported:\n{errors[0]['stack_trace'].strip()}")
    missing = files - {dag["relative_fileloc"] for dag in api.dags()}
    return f"{', '.join(sorted(missing))} not read yet" if missing else None


def follow(api: AirflowApi, settings: Settings, task: Task) -> str:
    """Wait until each table that we produce data for has rows; reference data that failed is generated again.

    Raises:
        StackError: a table is still empty after the limit; it names the DAGs whose runs failed.
    """
    failures = Failures(api)
    with connect(settings.warehouse_dsn) as connection:
        if not any(_rows(connection)[name] for name in REFERENCE_TABLES):
            again = partial(_told, partial(_generate_again, api))
            task.wait_until(again, seconds=PARSE_SECONDS, what="An answer of Airflow", every=EVERY_SECONDS)

        def empty(table: str) -> str | None:
            rows = _rows(connection)
            if rows[table]:
                return None
            there = ", ".join(f"{count:,} {name}" for name, count in rows.items() if count)
            missing = ", ".join(name for name, count in rows.items() if not count)
            return f"{there or 'no rows'} so far, none in {missing}{failures.text()}"

        # A limit for each table: a slow machine may take its time, as long as it gets somewhere.
        for table in TABLES:
            what = f"The first row in {table}"
            task.wait_until(partial(empty, table), seconds=DATA_SECONDS, what=what, every=EVERY_SECONDS)
    return f"all {len(TABLES)} tables have rows"


def _rows(connection: psycopg.Connection) -> dict[str, int]:
    found = {layer.name: layer.rows for layer in layer_rows(connection)}
    return {name: found[name] for name in TABLES}


def _generate_again(api: AirflowApi) -> None:
    """Have reference data generated once more if that has failed."""
    runs = api.runs(Generator.REFERENCE)
    if runs and runs[0]["state"] == "failed":
        api.trigger(Generator.REFERENCE)


@dataclass(slots=True)
class Failures:
    """Which DAGs have failed, asked seldom: Airflow has more important things to do while data is on its way."""

    api: AirflowApi
    _known: str = ""
    _asked: float = field(default_factory=time.monotonic)

    def text(self) -> str:
        """A remark on failed runs; empty when there are none, or while Airflow is too busy to tell."""
        if time.monotonic() - self._asked > FAILURES_EVERY_SECONDS:
            self._asked = time.monotonic()
            try:
                failed = sorted({run["dag_id"] for run in self.api.runs("~") if run["state"] == "failed"})
            except AirflowApiError as error:
                self._known = f"; {error}"
            else:
                self._known = f"; failed: {', '.join(failed)} (see logs {failed[0]})" if failed else ""
        return self._known
