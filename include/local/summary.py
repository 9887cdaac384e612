"""What ``up`` shows at its end."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from include.local import clients, kafka, minio
from include.local.layout import Stack
from include.local.ports import HOST
from include.local.secrets import Secrets
from include.postgres import connect
from include.settings import Settings
from include.status.flow import flow
from include.status.render import render
from include.warehouse.databases import WAREHOUSE_OWNER
from include.warehouse.summary import FraudEvent, last_frauds

FRAUDS = 5


def print_summary(stack: Stack, secrets: Secrets, console: Console) -> None:
    """Print rows per layer, the last frauds with their reasons, the addresses, and where the passwords are."""
    print_data(clients.settings(stack, secrets), console)
    console.print(_address_table(stack))
    console.print(
        f"The passwords are in {stack.secrets_file}; ./paylake env prints them for a shell.\n"
        "The stack keeps running: ./paylake status, ./paylake logs fraud -f, ./paylake down.",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


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


def _address_table(stack: Stack) -> Table:
    table = Table("", "address", "user", title="Addresses", title_justify="left")
    table.add_row("Airflow", clients.airflow_url(stack), clients.AIRFLOW_USER)
    table.add_row("MinIO console", f"http://{HOST}:{stack.ports.minio_console}", minio.USER)
    table.add_row("PostgreSQL", f"{HOST}:{stack.ports.postgres}, database warehouse", WAREHOUSE_OWNER)
    table.add_row("Kafka", kafka.bootstrap_servers(stack), "")
    return table
