"""What ``up`` shows at its end."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from include.local.layout import Stack
from include.local.ports import HOST
from include.local.secrets import Secrets
from include.local.servers import clients, kafka, minio
from include.stack.summary import print_data
from include.warehouse.databases import WAREHOUSE_OWNER


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


def _address_table(stack: Stack) -> Table:
    table = Table("", "address", "user", title="Addresses", title_justify="left")
    table.add_row("Airflow", clients.airflow_url(stack), clients.AIRFLOW_USER)
    table.add_row("MinIO console", f"http://{HOST}:{stack.ports.minio_console}", minio.USER)
    table.add_row("PostgreSQL", f"{HOST}:{stack.ports.postgres}, database warehouse", WAREHOUSE_OWNER)
    table.add_row("Kafka", kafka.bootstrap_servers(stack), "")
    return table
