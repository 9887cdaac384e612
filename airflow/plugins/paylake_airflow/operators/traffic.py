"""Synthetic traffic: what the command line ``./paylake generate`` does, as tasks."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from airflow.sdk import BaseOperator

from include.domains import REFERENCE_DOMAINS, TRANSACTIONS
from paylake_airflow import assets, hooks
from paylake_airflow.events import announce
from paylake_airflow.processes import die_with_parent

if TYPE_CHECKING:
    from typing import Any

    from airflow.sdk import Asset, Context


class ProduceReferenceOperator(BaseOperator):
    """Produce every user, merchant and account of a population.

    The run's parameters are the arguments of ``include.generators.traffic.produce_reference`` of the same names.
    Metadata of the events: ``records`` on the asset's topic, and ``seed``.
    """

    def execute(self, context: Context) -> None:
        """Produce; all is delivered at the end."""
        from include.generators.traffic import produce_reference

        params = dict(context["params"])
        report = produce_reference(hooks.kafka_config(), **params)
        self.log.info("produced %s", report.as_json())
        for domain in REFERENCE_DOMAINS.values():
            _announce(context, assets.topic(domain), report.records[domain.topic], params["seed"])


class ProduceTransactionsOperator(BaseOperator):
    """Produce transactions and their labels until the task is told to stop.

    The run's parameters are the arguments of ``include.generators.traffic.produce_transactions`` of the same names.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._told = threading.Event()

    def execute(self, context: Context) -> None:
        """Produce; ends after ``on_kill``, when all that was sent is delivered."""
        from include.generators.traffic import produce_transactions

        die_with_parent()
        params = dict(context["params"])
        report = produce_transactions(hooks.kafka_config(), stop=self._told.is_set, **params)
        self.log.info("told to stop; produced %s", report.as_json())
        for asset in (assets.topic(TRANSACTIONS), assets.LABELS):
            _announce(context, asset, report.records[asset.name], params["seed"])

    def on_kill(self) -> None:
        """Tell the producer to end."""
        self._told.set()


def _announce(context: Context, asset: Asset, records: int, seed: int) -> None:
    announce(context, asset, {"records": records, "seed": seed})
