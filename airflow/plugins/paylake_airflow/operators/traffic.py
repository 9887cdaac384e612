"""Synthetic traffic: what the command line ``./paylake generate`` does, as tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import BaseOperator

from include.assets.event import Materialization
from include.domains import GENERATED_REFERENCE
from include.lifetime import die_with_parent
from paylake_airflow import assets, hooks
from paylake_airflow.events import StreamEnded, announce

if TYPE_CHECKING:
    from typing import Any

    from airflow.sdk import Context


class ProduceReferenceOperator(BaseOperator):
    """Produce every user, merchant and account of a population.

    The run's parameters are the arguments of ``include.generators.traffic.produce_reference`` of the same names.
    Metadata of the events: a `Materialization`, ``records`` on the asset's topic, and ``seed``.
    """

    def execute(self, context: Context) -> None:
        """Produce; all is delivered at the end."""
        from include.generators.traffic import produce_reference

        params = dict(context["params"])
        report = produce_reference(hooks.kafka_config(), **params)
        self.log.info("produced %s", report.as_json())
        for domain in GENERATED_REFERENCE:
            records = report.records[domain.topic]
            made = Materialization(rows_out=records, seconds=round(report.seconds, 3))
            announce(context, assets.topic(domain), made, {"records": records, "seed": params["seed"]})


class ProduceTransactionsOperator(BaseOperator):
    """Produce transactions and their labels until the task is told to stop.

    The run's parameters are the arguments of ``include.generators.traffic.produce_transactions`` of the same names.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._told_to_stop = False

    def execute(self, context: Context) -> None:
        """Produce; ends after ``on_kill``, when all that was sent is delivered."""
        from include.generators.traffic import produce_transactions

        die_with_parent()
        report = produce_transactions(hooks.kafka_config(), stop=lambda: self._told_to_stop, **context["params"])
        raise StreamEnded(f"told to stop; produced {report.as_json()}")

    def on_kill(self) -> None:
        """Tell the producer to end."""
        self._told_to_stop = True
