"""Bronze to silver: one DAG per domain."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, Param, TriggerRule, chain

from include import pools
from include.domains import BATCH_DOMAINS, DOMAINS, Kind
from paylake_airflow import assets, defaults
from paylake_airflow.operators.spark import RequireAcceptanceOperator, SilverOperator

CLEAN = """\
Cleans what bronze has got of **{topic}** and {takes} the Iceberg table whose Parquet files are in the folder `{folder}`
of the bucket `silver`. Records that break the contract go to quarantine with every reason. Where more of them do than
`PAYLAKE_MAX_REJECTED_SHARE` allows, the good ones land all the same, but the task `require_acceptance` fails this run
and each one after it until somebody accepts that: `./paylake quarantine accept`.

**Fires** when bronze told of new records (the asset `bronze/{bronze}`). Also twice an hour, in case an event came to
nothing because a server was away for longer than all retries took.

A run reads from where the table says it is to where bronze ends, and takes in what `./paylake quarantine redrive` asked
for. When there is nothing of either, Spark is not started: the job of another domain takes along what waits here,
unless this DAG is paused, and then this run only tells of it.
"""
FOLLOW = """\
Cleans the history of **{topic}** and {takes} the Iceberg table whose Parquet files are in the folder `{folder}` of the
bucket `silver`, for analysts and for training, so that they need not ask PostgreSQL. It follows the fraud stream, which
decides what is refused: what waits in quarantine is left out until it has got its verdict. The small files of a day
become few.

**Fires** every quarter of an hour, and when a million records came (the asset `{every_million}`).

A run reads from where the table says it is to where the stream is, for five minutes at most. One with the parameters
`from` and `to` first makes these days anew from all of bronze.
"""
A_DAY: dict[str, Any] = {"type": ["null", "string"], "format": "date"}
TAKES = {
    Kind.REFERENCE: "merges it by `{key}` into",
    Kind.EVENT: "adds each record, by the day of its `{event_time}`, to",
}

for domain in DOMAINS.values():
    names = {
        "topic": domain.topic,
        "takes": TAKES[domain.kind].format(key=domain.key, event_time=domain.event_time),
        "folder": domain.silver_folder,
        "bronze": domain.bronze_folder,
    }
    common: dict[str, Any] = {
        "dag_id": f"silver_{domain.name}",
        "default_args": defaults.BATCH,
        "tags": [assets.SILVER],
        **defaults.ONE_AT_A_TIME,
    }
    clean: dict[str, Any] = {
        "task_id": "clean",
        "domain": domain.name,
        "pool": pools.SPARK_BATCH,
        "inlets": [assets.bronze(domain)],
        "outlets": [assets.silver(domain)],
    }
    if domain.judged:
        with DAG(
            **common,
            schedule=defaults.seldom(assets.bronze(domain), assets.every_million(domain)),
            doc_md=FOLLOW.format(**names, every_million=assets.every_million(domain).name),
            params={
                "from": Param(None, **A_DAY, title="From", description="First day (UTC) to make anew; empty: none."),
                "to": Param(None, **A_DAY, title="To", description="Last day to make anew."),
            },
        ):
            SilverOperator(**clean | {"inlets": [*clean["inlets"], assets.every_million(domain)]}, others={})
    else:
        with DAG(
            **common,
            schedule=defaults.when_told(assets.bronze(domain), minute=15),
            doc_md=CLEAN.format(**names),
        ):
            chain(
                SilverOperator(
                    **clean,
                    others={other: f"silver_{other}" for other in BATCH_DOMAINS if other != domain.name},
                ),
                # Also when there was nothing to clean: an alarm stays until it is accepted.
                RequireAcceptanceOperator(
                    task_id="require_acceptance", domain=domain.name, trigger_rule=TriggerRule.NONE_FAILED
                ),
            )
