"""What would grow for ever, kept within limits."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from paylake_airflow import hooks

if TYPE_CHECKING:
    from airflow.sdk import Context


class PruneMetadataOperator(BaseOperator):
    """Delete old rows of Airflow's own database, which the connection ``airflow_db`` names.

    :param age: of the youngest row that is deleted
    """

    def __init__(self, *, age: timedelta, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.age = age

    def execute(self, context: Context) -> None:
        """Delete them, in a process that may open the database."""
        database = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": hooks.airflow_dsn()}
        before = datetime.now(UTC) - self.age
        command = [sys.executable, "-m", "paylake_airflow.metadata", before.isoformat()]
        subprocess.run(command, env=os.environ | database, check=True)


class PruneLogsOperator(BaseOperator):
    """Remove old logs of Airflow's tasks, and cut large ones that still grow.

    :param age: since when nothing was added to the youngest log that is removed
    :param most_bytes: of a log that still grows
    """

    def __init__(self, *, age: timedelta, most_bytes: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.age = age
        self.most_bytes = most_bytes

    def execute(self, context: Context) -> None:
        """Remove them."""
        from airflow.sdk.configuration import conf

        from paylake_airflow import task_logs

        folder = Path(conf.get("logging", "base_log_folder"))
        task_logs.prune(folder, time.time() - self.age.total_seconds(), self.most_bytes)


class PruneBackTestsOperator(BaseOperator):
    """Remove old pictures of back-tests from the lake.

    :param age: of the youngest one that is removed
    """

    def __init__(self, *, age: timedelta, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.age = age

    def execute(self, context: Context) -> None:
        """Remove them."""
        from include.backtest.picture import remove_old
        from include.lake.s3 import s3_client

        removed = remove_old(s3_client(hooks.stack_settings()), datetime.now(UTC) - self.age)
        self.log.info("%d pictures of back-tests", removed)


class PruneChecksOperator(BaseOperator):
    """Delete old results of checks, but what each found last.

    :param age: of the youngest result that is deleted
    """

    def __init__(self, *, age: timedelta, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.age = age

    def execute(self, context: Context) -> None:
        """Delete them."""
        from include.checks.result import forget
        from include.postgres import connect

        with connect(hooks.warehouse_dsn(), "paylake retention") as connection:
            forgotten = forget(connection, self.age.days)
        self.log.info("%d results of checks", forgotten)


class PruneStreamOperator(BaseOperator):
    """Delete what the fraud stream needs no more: old rows of its ledger, unfinished files of its checkpoint.

    :param age: of the youngest row and file that is deleted
    """

    def __init__(self, *, age: timedelta, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.age = age

    def execute(self, context: Context) -> None:
        """Delete them."""
        from include.fraud import checkpoint, ledger
        from include.lake.s3 import s3_client
        from include.postgres import connect

        with connect(hooks.warehouse_dsn(), "paylake retention") as connection:
            batches = ledger.prune(connection, self.age)
        files = checkpoint.remove_abandoned(s3_client(hooks.stack_settings()), datetime.now(UTC) - self.age)
        self.log.info("%d batches of the ledger, %d unfinished files of the checkpoint", batches, files)
