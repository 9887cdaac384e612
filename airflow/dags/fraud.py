"""A verdict on every transaction, within seconds."""

from __future__ import annotations

from airflow.sdk import DAG

from include.domains import MERCHANTS, TRANSACTIONS
from paylake_airflow import assets, defaults
from paylake_airflow.operators.spark import SparkStreamOperator

DOC = """\
Judges every transaction in bronze by the rules in `include/fraud/rules.yaml` and writes it to **FraudTransaction** or
**GenuineTransaction**; each fraud is printed in the task's log, with its reasons. Which merchants are of high risk, it
looks up in MERCHANTS.

**Fires** always: one Spark Structured Streaming query, as one task without end. When the task is stopped or dies, its
driver dies with it, it is tried again, and then the next run goes on from the checkpoint. A driver that stands still is
killed, and then as above. One that was left behind somewhere writes nothing more: the lease in the warehouse belongs to
the newest.
"""

with DAG(
    dag_id="fraud_stream",
    schedule=defaults.always(assets.bronze(TRANSACTIONS)),
    start_date=defaults.STREAM_START,
    default_args=defaults.STREAM,
    tags=[assets.FRAUD],
    doc_md=DOC,
    **defaults.ONE_AT_A_TIME,
):
    SparkStreamOperator(
        task_id="judge",
        job="fraud_stream",
        inlets=[assets.bronze(TRANSACTIONS), assets.gold(MERCHANTS)],
        outlets=[assets.FRAUD_TRANSACTION, assets.GENUINE_TRANSACTION],
    )
