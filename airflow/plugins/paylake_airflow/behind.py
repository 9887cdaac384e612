"""How far the layers are behind, for the events of assets: the same numbers that ``./paylake status`` shows."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from paylake_airflow import hooks

if TYPE_CHECKING:
    from include.domains import Domain

SECONDS = 15.0
"""So long an event waits for its numbers. A run has done its work by then, and must not fail for want of them."""


def behind(layer: str, domain: Domain) -> dict[str, Any]:
    """How far ``layer`` is behind the one before it in this domain, now.

    ``records`` and ``seconds`` as in ``include.status.lag.Lag``; both None, and the ``problem`` in one line, where that
    cannot be told. Nothing is raised.
    """
    return _numbers({(layer, domain.name)})[layer][domain.name]


def all_behind() -> dict[str, dict[str, dict[str, Any]]]:
    """The same of every layer, the verdicts among them: by layer, by domain."""
    from include.status.lag import QUESTIONS

    return _numbers(set(QUESTIONS))


def _numbers(wanted: set[tuple[str, str]]) -> dict[str, dict[str, dict[str, Any]]]:
    from include.status.asking import ask, reason
    from include.status.lag import QUESTIONS
    from include.status.stores import Stores

    found: dict[str, dict[str, dict[str, Any]]] = {layer: {} for layer, _ in sorted(wanted)}
    try:
        # Here, because only a task's main thread may ask Airflow for connections.
        stores = Stores(hooks.stack_settings(), hooks.kafka_config())
    except Exception as error:  # noqa: BLE001 (the run's work is done: what is wrong with a connection is only reported)
        for layer, domain in wanted:
            found[layer][domain] = _unknown(reason(error))
        return found
    delays, reasons = ask({key: partial(QUESTIONS[key], stores) for key in wanted}, SECONDS)
    for (layer, domain), delay in delays.items():
        found[layer][domain] = delay.lag.numbers()
    for (layer, domain), text in reasons.items():
        found[layer][domain] = _unknown(text)
    return found


def _unknown(problem: str) -> dict[str, Any]:
    return {"records": None, "seconds": None, "problem": problem}
