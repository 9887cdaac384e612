"""Rows and freshness of each layer, asked from the stores themselves, and how they are shown."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg
from botocore.exceptions import BotoCoreError, ClientError
from pyiceberg.exceptions import NoSuchTableError
from rich.console import Console
from rich.table import Table
from sqlalchemy.exc import SQLAlchemyError

from include.domains import DOMAINS, REFERENCE_DOMAINS, Domain
from include.lake.bronze_log import BronzeLog
from include.lake.catalog import silver_state
from include.lake.s3 import s3_client
from include.settings import Settings
from include.warehouse.connect import connect
from include.warehouse.summary import layer_rows

LAYER_OF_TABLE = {"fraudtransaction": "fraud", "genuinetransaction": "fraud", "quarantine": "quarantine"}

STORE_ERRORS = (psycopg.Error, BotoCoreError, ClientError, SQLAlchemyError, NoSuchTableError, OSError)


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


def layers(settings: Settings) -> tuple[list[LayerPart], dict[str, str]]:
    """Each part of each layer that answers, and why the others do not."""
    found: list[LayerPart] = []
    problems: dict[str, str] = {}
    with ThreadPoolExecutor() as pool:
        answers = {name: pool.submit(ask, settings) for name, ask in LAYERS.items()}
    for name, answer in answers.items():
        try:
            found += answer.result()
        except STORE_ERRORS as error:
            problems[name] = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return found, problems


def layers_as_json(parts: list[LayerPart]) -> list[dict[str, Any]]:
    """The parts as plain values; times in ISO 8601, UTC."""
    return [asdict(part) | {"updated": part.updated and part.updated.isoformat()} for part in parts]


def render_layers(parts: list[LayerPart], problems: dict[str, str], console: Console) -> None:
    """Print the layers that answered as a table, and why the others did not."""
    if parts:
        console.print(layer_table(parts))
    for layer, reason in problems.items():
        console.print(f"{layer} does not answer: {reason}", style="red", markup=False)


def layer_table(parts: list[LayerPart]) -> Table:
    """Rows and last update of each part of each layer."""
    table = Table("layer", "name", title="Layers", title_justify="left")
    table.add_column("rows", justify="right")
    table.add_column("last update")
    previous = ""
    for part in parts:
        layer, previous = ("" if part.layer == previous else part.layer), part.layer
        table.add_row(layer, part.name, f"{part.rows:,}", _ago(part.updated))
    return table


def _ago(moment: datetime | None) -> str:
    if moment is None:
        return "-"
    seconds = int((datetime.now(UTC) - moment).total_seconds())
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC ({duration(max(seconds, 0))} ago)"


def duration(seconds: int | None) -> str:
    """A time in its two largest units, such as ``2 h 5 min``; ``-`` for None."""
    if seconds is None:
        return "-"
    days, rest = divmod(seconds, 86400)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    shown = [f"{value} {unit}" for value, unit in parts if value][:2]
    return " ".join(shown) or "0 s"


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
