"""What a start shows at its end: what there is by then, and the first frauds."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from include.postgres import connect
from include.settings import Settings
from include.status.flow import flow
from include.status.render import render
from include.warehouse.summary import FraudEvent, last_frauds

FRAUDS = 5


def print_data(settings: Settings, console: Console) -> None:
    """Print what there is in each layer and the last frauds with their reasons."""
    console.print()
    render(flow(settings), console)
    with connect(settings.warehouse_dsn) as connection:
        frauds = last_frauds(connection, FRAUDS)
    if frauds:
        console.print(_fraud_table(frauds))


def _fraud_table(frauds: list[FraudEvent]) -> Table:
    table = Table("transaction", "user", title="Last frauds", title_justify="left")
    table.add_column("amount", justify="right")
    table.add_column("where")
    table.add_column("why")
    for fraud in frauds:
        where = f"{fraud.channel}, {fraud.location}"
        table.add_row(
            fraud.txn_id, fraud.user_id, f"{fraud.amount:,.2f}", escape(where), escape("; ".join(fraud.messages))
        )
    return table
