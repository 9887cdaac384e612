"""The commands of analysts in this process, on a test's own warehouse, and frauds for them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import typer
from typer.testing import CliRunner

from include.settings import Settings

START = datetime(2026, 1, 31, tzinfo=UTC)


def fraud(number: int, user: str = "U1", hours: float = 0, amount: str = "10.0001") -> dict[str, Any]:
    """What a new row of FraudTransaction says that a case wants to know; ``hours`` after a fixed start."""
    timestamp = START + timedelta(hours=hours)
    return {"txn_id": f"T{number}", "user_id": user, "timestamp": timestamp, "amount": Decimal(amount)}


def run_app(app: typer.Typer, own: Settings, *arguments: str, login: str = "ana") -> tuple[int, str, str]:
    """Run a command line as somebody; returns exit code, standard output and standard error."""
    environment = {
        "WAREHOUSE_DSN": own.warehouse_dsn,
        "KAFKA_BOOTSTRAP_SERVERS": own.kafka_bootstrap_servers,
        "LOGNAME": login,
        "COLUMNS": "200",
    }
    outcome = CliRunner().invoke(app, arguments, env=environment)
    if outcome.exception is not None and not isinstance(outcome.exception, SystemExit):
        raise outcome.exception
    return outcome.exit_code, outcome.stdout, outcome.stderr
