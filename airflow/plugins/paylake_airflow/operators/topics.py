"""Making topics anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from include.domains import DOMAINS
from paylake_airflow import hooks

if TYPE_CHECKING:
    from airflow.sdk import Context

CONFIRMATION = "reset"


class ConfirmOperator(BaseOperator):
    """Fail, without another try, unless the run's parameter ``confirm`` is the word ``reset``."""

    def execute(self, context: Context) -> None:
        """Compare; leading and trailing spaces do not count."""
        given = str(context["params"]["confirm"]).strip()
        topics = ", ".join(context["params"]["topics"])
        if given != CONFIRMATION:
            raise AirflowFailException(
                f"Not confirmed, nothing was touched. This run would delete all messages of {topics}: "
                f"trigger it again with the parameter confirm set to {CONFIRMATION!r} (it was {given!r})."
            )
        self.log.info("confirmed: %s will be made anew", topics)


class DrainTopicsOperator(BaseOperator):
    """Bring into bronze what the topics named by the parameter ``topics`` still hold, so that no reset loses it.

    Goes over what retention took before it was ingested and over what cannot be read, which no other ingestion does: a
    reset is the way out of that.

    Tells no asset: the trigger that watches a topic fires when it was made anew, and the bronze DAG that it wakes
    tells. A topic that is no domain's (the labels) has no bronze and is passed over.
    """

    def execute(self, context: Context) -> None:
        """Drain one topic after the other."""
        from include.ingest import TopicMissingError, ingest
        from include.lake.s3 import s3_client

        s3 = s3_client(hooks.stack_settings())
        for domain in DOMAINS.values():
            if domain.topic not in context["params"]["topics"]:
                continue
            try:
                report = ingest(domain, consumer_config=hooks.kafka_config(), s3=s3, stop=lambda: False, over_gaps=True)
            except TopicMissingError as missing:
                self.log.info("nothing to drain: %s", missing)
            else:
                self.log.info("%s is in bronze: %s", domain.topic, report)
                for obstacle in report.gone_over:
                    self.log.warning("%s: %s", domain.topic, obstacle)


class ResetTopicsOperator(BaseOperator):
    """Delete the topics named by the parameter ``topics``, wait until they are gone, and create them anew, empty."""

    def execute(self, context: Context) -> None:
        """Reset all of them."""
        from include.kafka.topics import reset_topics

        new = reset_topics(hooks.kafka_admin(), context["params"]["topics"])
        for name, topic_id in new.items():
            self.log.info("%s was made anew, its topic id is %s", name, topic_id)
