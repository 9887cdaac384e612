"""Bronze to silver: one DAG per domain of reference data."""

from __future__ import annotations

from airflow.sdk import DAG, TriggerRule, chain

from include import pools
from include.domains import REFERENCE_DOMAINS
from paylake_airflow import assets, defaults
from paylake_airflow.operators.spark import RequireAcceptanceOperator, SilverOperator

DOC = """\
Cleans what bronze has got of **{topic}** and merges it by `{key}` into the Iceberg table whose Parquet files are in the
folder `{folder}` of the bucket `silver`. Records that break the contract go to quarantine with every reason. Where more
of them do than `PAYLAKE_MAX_REJECTED_SHARE` allows, the good ones land all the same, but the task `require_acceptance`
fails this run and each one after it until somebody accepts that: `./paylake quarantine accept`.

**Fires** when bronze told of new records (the asset `bronze/{bronze}`). Also twice an hour, in case an event came to
nothing because a server was away for longer than all retries took.

A run reads from where the table says it is to where bronze ends, and takes in what `./paylake quarantine redrive` asked
for. When there is nothing of either, Spark is not started: the job of another reference domain takes along what waits
here, unless this DAG is paused, and then this run only tells of it.
"""

for domain in REFERENCE_DOMAINS.values():
    with DAG(
        dag_id=f"silver_{domain.name}",
        schedule=defaults.when_told(assets.bronze(domain), minute=15),
        default_args=defaults.BATCH,
        tags=[assets.SILVER],
        doc_md=DOC.format(topic=domain.topic, key=domain.key, folder=domain.silver_folder, bronze=domain.bronze_folder),
        **defaults.ONE_AT_A_TIME,
    ):
        chain(
            SilverOperator(
                task_id="clean",
                domain=domain.name,
                others={other: f"silver_{other}" for other in REFERENCE_DOMAINS if other != domain.name},
                pool=pools.SPARK_BATCH,
                inlets=[assets.bronze(domain)],
                outlets=[assets.silver(domain)],
            ),
            # Also when there was nothing to clean: an alarm stays until it is accepted.
            RequireAcceptanceOperator(
                task_id="require_acceptance", domain=domain.name, trigger_rule=TriggerRule.NONE_FAILED
            ),
        )
