"""Kafka's topics, made anew."""

from __future__ import annotations

from airflow.sdk import DAG, Param, chain

from include.domains import DOMAINS
from paylake_airflow import assets, defaults
from paylake_airflow.operators.topics import CONFIRMATION, ConfirmOperator, DrainTopicsOperator, ResetTopicsOperator

TOPICS = [*(domain.topic for domain in DOMAINS.values()), assets.LABELS.name]

DOC = f"""\
Deletes topics and creates them anew, empty. What they held goes to bronze first, and everything downstream goes on:
bronze knows a new topic from an old one by its id.

**Fires** only when triggered by hand, with two parameters: which topics, and the word `{CONFIRMATION}`. Stop whoever
produces into them before: what arrives between the last look and the deletion is deleted with the topic.
"""

with DAG(
    dag_id="reset_topics",
    schedule=None,
    default_args=defaults.BATCH,
    tags=[assets.KAFKA],
    doc_md=DOC,
    params={
        "topics": Param(
            [],
            type="array",
            items={"type": "string", "enum": TOPICS},
            examples=TOPICS,
            minItems=1,
            uniqueItems=True,
            title="Topics",
            description="The topics to delete and create anew.",
        ),
        "confirm": Param(
            "",
            type="string",
            title="Confirmation",
            description=f"Type the word {CONFIRMATION}: the messages in these topics will be deleted from Kafka.",
        ),
    },
    **defaults.ONE_AT_A_TIME,
):
    chain(
        ConfirmOperator(task_id="ensure_confirmed", retries=0),
        DrainTopicsOperator(task_id="drain"),
        # Not tried again: a second try would delete what arrived since the first.
        ResetTopicsOperator(task_id="reset", retries=0),
    )
