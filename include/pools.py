"""Airflow's pools: their names and how many slots they have."""

from __future__ import annotations

from typing import NamedTuple

STREAMS = "streams"
SPARK_BATCH = "spark_batch"
VERIFICATION = "verification"


class Pool(NamedTuple):
    """A pool of Airflow's. One that is there already stays as it is, for somebody may have resized it, unless it has
    ``instead_of`` slots."""

    slots: int
    description: str
    instead_of: int | None = None


def pools_for(processors: int) -> dict[str, Pool]:
    """The pools on a machine with so many processors, by name.

    A stream must never wait for a slot that something else holds. So every task is in one of these pools, and together
    they have no more slots than the executor (``AIRFLOW__CORE__PARALLELISM`` in airflow/airflow.env).
    """
    return {
        STREAMS: Pool(8, "Tasks that run for as long as the stack does."),
        SPARK_BATCH: Pool(min(3, max(1, processors // 2)), "Bounded Spark jobs: one for two processors."),
        VERIFICATION: Pool(1, "Whether the books balance: asked once at a time."),
        # Everything else. Airflow makes it with 128 slots.
        "default_pool": Pool(4, "Default pool", instead_of=128),
    }
