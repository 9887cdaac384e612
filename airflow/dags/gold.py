"""Silver to gold: one DAG per domain that has a table, and one for the daily rollup of verdicts."""

from __future__ import annotations

from airflow.sdk import DAG

from include.domains import GOLD_DOMAINS, TRANSACTIONS
from paylake_airflow import assets, defaults
from paylake_airflow.operators.gold import DailyFraudOperator, GoldLoadOperator
from paylake_airflow.timetables import DailyPartitions

DOC = """\
Loads the rows of `silver/{folder}` that changed into the table **{table}** of the warehouse, in one transaction.

**Fires** when silver told of changes (the asset `silver/{folder}`). Also twice an hour, in case an event came to
nothing because a server was away for longer than all retries took.

The watermark in the warehouse says which rows it has; a run too many sends none and skips.
"""

DAILY = """\
Makes days of the table **daily_fraud** anew from FraudTransaction and GenuineTransaction: transactions, frauds and
amounts by merchant, channel and the rules that fired. Each day in a transaction of its own.

**Fires** for each day of which silver told that it has got transactions (the partitions of the asset
`{silver}`): by then all of these have their verdicts. Also twice an hour, for the days that are behind silver all the
same, in case an event came to nothing. A run by hand is for the day of its partition key, or for the days that are
behind; a backfill makes a range of days anew.
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

with DAG(
    dag_id="gold_daily_fraud",
    schedule=DailyPartitions(assets.silver(TRANSACTIONS)),
    default_args=defaults.BATCH,
    tags=[assets.GOLD],
    doc_md=DAILY.format(silver=assets.silver(TRANSACTIONS).name),
    **defaults.BY_DAY,
):
    DailyFraudOperator(
        task_id="rebuild",
        inlets=[assets.silver(TRANSACTIONS), assets.FRAUD_TRANSACTION, assets.GENUINE_TRANSACTION],
        outlets=[assets.DAILY_FRAUD],
    )
