"""Synthetic bank traffic into Kafka."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, Param

from include.domains import GENERATED_REFERENCE, TRANSACTIONS, Generator
from include.generators.population import DEFAULT_MERCHANTS, DEFAULT_SEED, DEFAULT_USERS
from paylake_airflow import assets, defaults
from paylake_airflow.operators.traffic import ProduceReferenceOperator, ProduceTransactionsOperator

REFERENCE = """\
Produces a population: every user, merchant and account that the seed gives, with some real-world dirt.

**Fires** once, as soon as it is not paused; later only when triggered by hand. The same seed and counts give the same
population, as newer versions of the same rows.
"""
TRAFFIC = """\
Produces the transactions of that population, and the truth about each to a topic of its own. It needs no reference data
to be there: the population comes from the same seed.

**Fires** always: one run, one task, without end. Pause it to stop the traffic after marking the running task as failed.
For another rate, trigger it with other parameters and mark the running task as failed: the new run takes over.
"""


def share(default: float, title: str, maximum: float = 1) -> Param:
    """A parameter between 0 and ``maximum``."""
    return Param(default, type="number", minimum=0, maximum=maximum, title=title)


POPULATION: dict[str, Any] = {
    "seed": Param(DEFAULT_SEED, type="integer", title="Seed of the population"),
    "users": Param(DEFAULT_USERS, type="integer", minimum=1, title="Number of users"),
    "merchants": Param(DEFAULT_MERCHANTS, type="integer", minimum=1, title="Number of merchants"),
}
COMMON: dict[str, Any] = {"tags": [assets.KAFKA], **defaults.ONE_AT_A_TIME}

with DAG(
    dag_id=Generator.REFERENCE,
    schedule="@once",
    default_args=defaults.BATCH,
    doc_md=REFERENCE,
    params={**POPULATION, "dirt_share": share(0.05, "Share of records with dirt")},
    **COMMON,
):
    ProduceReferenceOperator(task_id="produce", outlets=[assets.topic(domain) for domain in GENERATED_REFERENCE])

with DAG(
    dag_id=Generator.TRANSACTIONS,
    schedule="@continuous",
    start_date=defaults.STREAM_START,
    default_args=defaults.STREAM,
    doc_md=TRAFFIC,
    params={
        **POPULATION,
        "rate": Param(10.0, type="number", exclusiveMinimum=0, title="Transactions per second"),
        "fraud_share": share(0.02, "Share of frauds", maximum=0.5),
        "dirt_share": share(0.01, "Share of records with dirt"),
    },
    **COMMON,
):
    ProduceTransactionsOperator(task_id="produce", outlets=[assets.topic(TRANSACTIONS), assets.LABELS])
