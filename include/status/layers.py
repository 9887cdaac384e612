"""Rows and freshness of each part of each layer, asked from the stores themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from include.domains import DOMAINS, GOLD_DOMAINS, TRANSACTIONS, Domain
from include.lake.bronze_log import BronzeLog
from include.lake.catalog import silver_state
from include.status.stores import Stores
from include.warehouse.summary import LAYER_TABLES, LayerTable, rows_of

_DOMAIN_OF_TABLE = {domain.table.lower(): domain.name for domain in GOLD_DOMAINS.values()}


@dataclass(frozen=True, slots=True)
class LayerPart:
    """One folder of bronze, one table of silver, gold or the verdicts, or the quarantine (which has no domain).

    ``updated`` is None while it is empty. Bronze's rows are the Kafka offsets it covers: its records, and gaps if a
    producer used transactions. ``exact`` is False where counting took too long: then it is the server's estimate.
    """

    layer: str
    name: str
    domain: str | None
    rows: int
    updated: datetime | None
    exact: bool = True


def layer_parts(stores: Stores) -> dict[str, Callable[[], LayerPart]]:
    """The question for each part, by its name.

    A question raises whatever a client raises when its store does not answer, or has what it should not have.
    """
    return {
        **{f"bronze/{each.bronze_folder}": partial(_bronze, stores, each) for each in DOMAINS.values()},
        **{f"silver/{each.silver_folder}": partial(_silver, stores, each) for each in DOMAINS.values()},
        **{f"{_layer(each)}/{each.name}": partial(_table, stores, each) for each in LAYER_TABLES},
    }


def _bronze(stores: Stores, domain: Domain) -> LayerPart:
    log = BronzeLog(stores.s3, domain)
    rows, updated = 0, None
    for topic_id, partitions in log.end_positions().items():
        for partition, end in partitions.items():
            rows += end
            written = _last_written(log, topic_id, partition, end)
            updated = max(filter(None, (updated, written)), default=None)
    return LayerPart("bronze", domain.bronze_folder, domain.name, rows, updated)


def _last_written(log: BronzeLog, topic_id: str, partition: int, end: int) -> datetime | None:
    """When the object was written that covers the last offset."""
    return next((listed.last_modified for listed in log.objects_from(topic_id, partition, max(0, end - 1))), None)


def _silver(stores: Stores, domain: Domain) -> LayerPart:
    state = silver_state(stores.settings, domain)
    rows, updated = (state.rows, state.committed_at) if state else (0, None)
    return LayerPart("silver", domain.silver_folder, domain.name, rows, updated)


def _table(stores: Stores, table: LayerTable) -> LayerPart:
    with stores.warehouse() as connection:
        found = rows_of(connection, table)
    layer, domain = _layer(table), _DOMAIN_OF_TABLE.get(table.name)
    return LayerPart(
        layer,
        table.name,
        TRANSACTIONS.name if layer == "verdicts" else domain,
        found.rows,
        found.last_update,
        found.exact,
    )


def _layer(table: LayerTable) -> str:
    if table.schema != "public":
        return "quarantine"
    return "gold" if table.name in _DOMAIN_OF_TABLE else "verdicts"
