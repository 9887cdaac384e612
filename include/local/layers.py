"""Rows and freshness of each layer, asked from the stores themselves."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from include.domains import DOMAINS, REFERENCE_DOMAINS, Domain
from include.lake.bronze_log import BronzeLog
from include.lake.catalog import silver_state
from include.lake.s3 import s3_client
from include.settings import Settings
from include.warehouse.connect import connect
from include.warehouse.summary import layer_rows

LAYER_OF_TABLE = {"fraudtransaction": "fraud", "genuinetransaction": "fraud", "quarantine": "quarantine"}


@dataclass(frozen=True, slots=True)
class LayerPart:
    """One folder of bronze, one table of silver, gold or fraud. ``updated`` is None while it is empty.

    Bronze's rows are the Kafka offsets it covers: its records, and gaps if a producer used transactions.
    """

    layer: str
    name: str
    rows: int
    updated: datetime | None


def bronze_parts(settings: Settings) -> list[LayerPart]:
    """The folders of bronze.

    Raises:
        botocore.exceptions.ClientError or BotoCoreError: the store does not answer.
    """
    return [_bronze(BronzeLog(s3_client(settings), domain), domain) for domain in DOMAINS.values()]


def silver_parts(settings: Settings) -> list[LayerPart]:
    """The tables of silver; one that was not made yet has no rows."""
    return [_silver(settings, domain) for domain in REFERENCE_DOMAINS.values()]


def warehouse_parts(settings: Settings) -> list[LayerPart]:
    """The tables of gold and fraud, and the quarantine.

    Raises:
        psycopg.Error: the warehouse does not answer.
    """
    with connect(settings.warehouse_dsn) as connection:
        return [
            LayerPart(LAYER_OF_TABLE.get(table.name, "gold"), table.name, table.rows, table.last_update)
            for table in layer_rows(connection)
        ]


LAYERS = {"bronze": bronze_parts, "silver": silver_parts, "warehouse": warehouse_parts}


def _silver(settings: Settings, domain: Domain) -> LayerPart:
    state = silver_state(settings, domain)
    rows, updated = (state.rows, state.committed_at) if state else (0, None)
    return LayerPart("silver", str(domain.silver_folder), rows, updated)


def _bronze(log: BronzeLog, domain: Domain) -> LayerPart:
    rows, updated = 0, None
    for topic_id, partitions in log.end_positions().items():
        for partition, end in partitions.items():
            written = _last_written(log, topic_id, partition, end)
            rows, updated = rows + end, written if updated is None else max(updated, written)
    return LayerPart("bronze", domain.bronze_folder, rows, updated)


def _last_written(log: BronzeLog, topic_id: str, partition: int, end: int) -> datetime:
    """When the object was written that ends at ``end``, without listing all that came before."""
    width = 1000
    while True:
        found = list(log.objects(topic_id, partition, max(0, end - width)))
        if found:
            return found[-1].last_modified
        width *= 4
