"""The fraud stream under the bench: begun anew, and watched by a reader of the warehouse."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable

from psycopg import Connection

from include.bench.submit import SECONDS, BenchError
from include.bench.traffic import remove_folder
from include.domains import CHECKPOINTS_BUCKET
from include.lake.s3 import s3_client
from include.settings import Settings
from include.warehouse.schema import apply_schema

CHECKPOINT = "bench"
_EMPTY = (
    "TRUNCATE fraudtransaction, genuinetransaction, ops.transaction_seen, ops.transaction_duplicate, ops.stream_batch"
)

# There is one checkpoint, and the primary key begins with it: without it each look would read the whole ledger.
_NEWEST = """
    SELECT coalesce(max(batch_id), -1) FROM ops.stream_batch
    WHERE checkpoint_id = (SELECT min(checkpoint_id) FROM ops.stream_batch)
"""


def begin_anew(settings: Settings, conn: Connection) -> None:
    """Have the stream judge all that is in bronze, as if it never had."""
    forget_checkpoint(settings)
    apply_schema(conn)
    conn.execute(_EMPTY)


def forget_checkpoint(settings: Settings) -> None:
    """Have the next query begin at bronze's beginning."""
    remove_folder(s3_client(settings), CHECKPOINTS_BUCKET, CHECKPOINT)


class Watch:
    """When another session than the stream's first saw each micro-batch, by Unix time.

    It looks at the ledger ``every`` so many seconds, so a batch is seen that much after its commit at most. The
    ledger's own ``committed_at`` does not tell: it is when the batch's transaction began.
    """

    def __init__(self, conn: Connection, job: subprocess.Popen[bytes], every: float = 0.02) -> None:
        self.seen: dict[int, float] = {}
        self._every = every
        self._conn = conn
        self._job = job
        self._newest = -1

    def until(self, condition: Callable[[], bool], what: str, seconds: float = SECONDS) -> None:
        """Look until the condition holds, and at once when it does.

        Raises:
            BenchError: ``seconds`` passed, or the stream ended by itself.
        """
        deadline = time.monotonic() + seconds
        while True:
            self._look()
            if condition():
                return
            if self._job.poll() is not None:
                raise BenchError(f"the stream ended with {self._job.returncode} before {what}")
            if time.monotonic() > deadline:
                raise BenchError(f"waited for {seconds:.0f} s in vain for {what}")
            time.sleep(self._every)

    def _look(self) -> None:
        ((newest,),) = self._conn.execute(_NEWEST).fetchall()
        now = time.time()
        for batch_id in range(self._newest + 1, newest + 1):
            self.seen[batch_id] = now
        self._newest = newest
