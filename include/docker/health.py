"""Whether the Airflow process of this container does its work; kills it when it has hung for too long.

    python -P -m include.docker.health scheduler

Docker starts again what ends, not what hangs, so this check also ends what gives no sign of life: the container ends
with it, and its restart policy does the rest. Nothing is killed while the database is away, without which nothing can
be known, nor in the minute after, in which all find their way back.
"""

from __future__ import annotations

import http.client
import os
import re
import sys
import time
import urllib.request
from pathlib import Path

import psutil
import psycopg

from include.liveness import HUNG_SECONDS, START_SECONDS

JOBS = {"scheduler": "SchedulerJob", "dag-processor": "DagProcessorJob", "triggerer": "TriggererJob"}
API_SERVER = "api-server"
API_SERVER_URL = "http://127.0.0.1:8080/api/v2/monitor/health"
LATE_SECONDS = 30.0
"""A sign of life older than this is a problem; each process gives one every few seconds."""
WAIT_SECONDS = 5
ANSWERED = Path("/tmp/paylake-answered")  # noqa: S108 (of this container alone)
AWAY = Path("/tmp/paylake-database-away")  # noqa: S108 (of this container alone)
HANGS = Path("/tmp/paylake-hangs")  # noqa: S108 (of this container alone)


def api_server_silence() -> float | None:
    """Seconds since the API server answered one of these checks; None when it has not since this container started."""
    try:
        with urllib.request.urlopen(API_SERVER_URL, timeout=WAIT_SECONDS):
            ANSWERED.touch()
            return 0.0
    except (OSError, http.client.HTTPException):
        last = ANSWERED.stat().st_mtime if ANSWERED.exists() else 0.0
        return time.time() - last if last > started() else None


def heartbeat_silence(connection: psycopg.Connection, job: str) -> float | None:
    """Seconds since the last sign of life of a job; None when it has given none since this container started."""
    row = connection.execute(
        "SELECT extract(epoch FROM now() - max(latest_heartbeat))::float8 FROM job WHERE job_type = %s", [job]
    ).fetchone()
    silence: float | None = row[0] if row else None
    return None if silence is None or silence > time.time() - started() else silence


def started() -> float:
    """The Unix time at which the first process of this container started."""
    return psutil.Process(1).create_time()


def kill_main_process() -> None:
    """Kill the process that the container's first one, an init that forwards signals, keeps."""
    for child in psutil.Process(1).children():
        child.kill()


def database() -> psycopg.Connection:
    """A connection to Airflow's own database.

    Raises:
        psycopg.OperationalError: it does not answer.
    """
    url = os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
    return psycopg.connect(re.sub(r"^postgresql\+\w+:", "postgresql:", url), connect_timeout=WAIT_SECONDS)


def main(name: str) -> None:
    """Check once; the exit code is 0 when all is well."""
    try:
        with database() as connection:
            silence = api_server_silence() if name == API_SERVER else heartbeat_silence(connection, JOBS[name])
    except psycopg.Error as error:
        AWAY.touch()
        sys.exit(f"the database does not answer: {error}")
    if silence is not None and silence <= (0.0 if name == API_SERVER else LATE_SECONDS):
        return
    age = time.time() - started()
    problem = f"{name}: no sign of life for {age if silence is None else silence:.0f} s"
    hangs = (age > START_SECONDS) if silence is None else (silence > HUNG_SECONDS)
    if hangs and not _lately(AWAY):
        # The first look after the machine has slept finds everyone silent: only the second one counts.
        if _lately(HANGS):
            problem += "; it is killed"
            kill_main_process()
        HANGS.touch()
    sys.exit(problem)


def _lately(note: Path) -> bool:
    return note.exists() and time.time() - note.stat().st_mtime < HUNG_SECONDS


if __name__ == "__main__":
    main(sys.argv[1])
