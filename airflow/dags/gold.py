"""Silver to gold: one DAG per domain that has a table."""

from __future__ import annotations

from airflow.sdk import DAG

from include.domains import GOLD_DOMAINS
from paylake_airflow import assets, defaults
from paylake_airflow.operators.gold import GoldLoadOperator

DOC = """\
Loads the rows of `silver/{folder}` that changed into the table **{table}** of the warehouse, in one transaction.

**Fires** when silver told of changes (the asset `silver/{folder}`). Also twice an hour, in case an event came to
nothing because a server was away for longer than all retries took.

The watermark in the warehouse says which rows it has; a run too many sends none and skips.
"""

for domain in GOLD_DOMAINS.values():
    with DAG(
        dag_id=f"gold_{domain.name}",
        schedule=defaults.when_told(assets.silver(domain), minute=25),
        default_args=defaults.BATCH,
        tags=[assets.GOLD],
        doc_md=DOC.format(folder=domain.silver_folder, table=domain.table.upper()),
        **defaults.ONE_AT_A_TIME,
    ):
        GoldLoadOperator(
            task_id="load",
            domain=domain.name,
            inlets=[assets.silver(domain)],
            outlets=[assets.gold(domain)],
        )
