"""Airflow's pools as they are made in a container: those that lack, and no others."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from paylake_airflow.prepare import CONTAINER_POOLS

ROOT = Path(__file__).parents[2]

CODE = """
import json
from airflow.utils.db import initdb
initdb()
from airflow.models.pool import Pool
from airflow.utils.session import create_session
from paylake_airflow.prepare import pools

def tell():
    with create_session() as session:
        print(json.dumps({pool.pool: pool.slots for pool in Pool.get_pools(session=session)}), flush=True)

def resize(**sizes):
    with create_session() as session:
        for name, slots in sizes.items():
            Pool.create_or_update_pool(name, slots, "resized", include_deferred=False, session=session)

tell()
pools()
tell()
resize(default_pool=6, spark_batch=2, own=7)
pools()
tell()
"""


def test_pools_that_lack_are_made_and_what_somebody_has_resized_stays(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        env={
            "AIRFLOW_HOME": str(tmp_path),
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": f"{ROOT}:{ROOT / 'airflow' / 'plugins'}",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    before, made, again = (json.loads(line) for line in done.stdout.splitlines() if line.startswith("{"))
    assert before == {"default_pool": CONTAINER_POOLS["default_pool"].instead_of}, "as Airflow makes it"
    assert made == {name: pool.slots for name, pool in CONTAINER_POOLS.items()}
    assert again == {**made, "default_pool": 6, "spark_batch": 2, "own": 7}
