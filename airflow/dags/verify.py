"""Do the books balance? Asked of the stores themselves, on a schedule."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, CronTriggerTimetable, chain

from include import pools
from include.domains import DOMAINS, GOLD_DOMAINS
from paylake_airflow import assets, defaults
from paylake_airflow.operators.verify import RequireBalanceOperator, VerifyOperator

# The first data of all may take that long on a small machine.
WAIT_SECONDS = 900.0

DOC = """\
Proves from Kafka, MinIO and PostgreSQL themselves that every record is in exactly one place, like `./paylake verify`.
The asset `checks/books` tells what came out; where something is wrong, the task `require_balance` fails and lists it.

**Fires** every quarter of an hour, and when triggered by hand. It reads all of Kafka and bronze, so on a lake of many
millions of records it is better run less often: change the schedule here.
"""

with DAG(
    dag_id="verify_books",
    schedule=CronTriggerTimetable("*/15 * * * *", timezone="UTC"),
    # What is wrong does not pass by itself, and what is merely late is waited for, in a pool of its own.
    default_args={
        **defaults.BATCH,
        "retries": 0,
        "execution_timeout": timedelta(hours=2),
        "pool": pools.VERIFICATION,
    },
    tags=[assets.CHECKS],
    doc_md=DOC,
    **defaults.ONE_AT_A_TIME,
):
    chain(
        VerifyOperator(
            task_id="verify",
            wait_seconds=WAIT_SECONDS,
            inlets=[
                *(assets.bronze(domain) for domain in DOMAINS.values()),
                *(assets.silver(domain) for domain in DOMAINS.values()),
                *(assets.gold(domain) for domain in GOLD_DOMAINS.values()),
                assets.FRAUD_TRANSACTION,
                assets.GENUINE_TRANSACTION,
            ],
            outlets=[assets.BOOKS],
        ),
        RequireBalanceOperator(task_id="require_balance", verified="verify"),
    )
