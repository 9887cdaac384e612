"""Kafka to bronze: one DAG per domain.

Topics are drained when something arrived; transactions, which are judged at once, are followed without a pause.
"""

from __future__ import annotations

from airflow.sdk import DAG, TriggerRule, chain

from include.domains import DOMAINS
from paylake_airflow import assets, defaults
from paylake_airflow.operators.ingest import FollowOperator, IngestOperator, RequireReadableOperator

DRAIN = """\
Brings everything that the topic **{topic}** holds into the folder `{folder}` of the bucket `bronze`.

**Fires** when the topic's end offsets moved, whoever produced: a trigger in the triggerer watches them (the asset
`{topic}`). Also twice an hour, in case an event came to nothing because Kafka or MinIO was away for longer than all
retries took.

What there is to do is read from bronze itself, so a run too many finds nothing, skips, and wakes nobody.

What cannot be read, or was deleted by Kafka before it was read, stops its partition and no other one: the task
`require_readable` names it and fails the run.
"""
FOLLOW = """\
Brings the topic **{topic}** into the folder `{folder}` of the bucket `bronze` as it comes, so that the fraud stream can
judge each transaction within seconds.

**Fires** always: one run, one task, without end. When the task is stopped or dies, it is tried again, and then the next
run goes on where bronze ends. Nothing is lost or doubled by killing it. What cannot be read stops its partition and no
other one; the log names it once, and `./paylake status` and `./paylake verify` as long as it lasts.
"""

for domain in DOMAINS.values():
    names = {"topic": domain.topic, "folder": domain.bronze_folder}
    edges = {"inlets": [assets.topic(domain)], "outlets": [assets.bronze(domain)]}
    common = {"dag_id": f"bronze_{domain.name}", "tags": [assets.BRONZE], **defaults.ONE_AT_A_TIME}
    if not domain.judged:
        with DAG(
            **common,
            schedule=defaults.when_told(assets.topic(domain), minute=5),
            default_args=defaults.BATCH,
            doc_md=DRAIN.format(**names),
        ):
            chain(
                IngestOperator(task_id="ingest", domain=domain.name, **edges),
                # Also when nothing new came: a partition stays stuck until somebody does something.
                RequireReadableOperator(
                    task_id="require_readable", domain=domain.name, trigger_rule=TriggerRule.NONE_FAILED
                ),
            )
    else:
        with DAG(
            **common,
            schedule=defaults.always(assets.topic(domain)),
            start_date=defaults.STREAM_START,
            default_args=defaults.STREAM,
            doc_md=FOLLOW.format(**names),
        ):
            FollowOperator(task_id="ingest", domain=domain.name, **edges)
