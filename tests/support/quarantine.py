"""What the tests of quarantine share: contracts that refuse more than today's, the command line, and strange runs of
silver, each of them a function for `tests.support.silver.worker_process`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import yaml

from include.contracts.contract import CONTRACTS_FOLDER
from include.domains import Domain
from include.lake.bronze_log import BronzeLog
from include.lake.s3 import s3_client
from include.quarantine import landing
from include.settings import Settings
from include.spark.session import spark_session
from include.spark.silver_job import SilverJob
from include.spark.silver_run import SilverReport, domain_lock
from include.spark.silver_table import ConflictError, SilverTable
from tests.support.silver import run_silver

CLONE = Path(__file__).parents[2]


def stricter(domain: Domain, folder: Path, change: Callable[[dict[str, Any]], None]) -> Domain:
    """The domain under an older contract; ``change`` is given each field of it by name."""
    document = yaml.safe_load((CONTRACTS_FOLDER / domain.contract_file).read_text(encoding="utf-8"))
    document["version"] = "0.9.0"
    for schema in document["schema"]:
        change({field["name"]: field for field in schema["properties"]})
    path = folder / domain.contract_file
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return replace(domain, contract_file=str(path))


def allow_amounts_up_to_1000(fields: dict[str, Any]) -> None:
    fields["amount"].setdefault("logicalTypeOptions", {})["maximum"] = 1000


def require_city(fields: dict[str, Any]) -> None:
    fields["city"]["required"] = True


def environment(settings: Settings, home: Path) -> dict[str, str]:
    """What ``./paylake`` sees where no stack was started and the stores' addresses are known."""
    return os.environ | {
        "PAYLAKE_HOME": str(home / "no-stack"),
        "KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
        "S3_ENDPOINT_URL": settings.s3_endpoint_url or "",
        "AWS_ACCESS_KEY_ID": settings.s3_access_key_id or "",
        "AWS_SECRET_ACCESS_KEY": settings.s3_secret_access_key or "",
        "WAREHOUSE_DSN": settings.warehouse_dsn,
        "PYTHONPATH": str(CLONE),
    }


def start_quarantine(settings: Settings, home: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """Start ``./paylake quarantine`` in this Python environment."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "include.cli", "quarantine", *arguments],
        env=environment(settings, home),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def run_quarantine(settings: Settings, home: Path, *arguments: str) -> tuple[int, bytes, str]:
    """Run it to its end; returns exit code, standard output and standard error."""
    process = start_quarantine(settings, home, *arguments)
    output, errors = process.communicate(timeout=120)
    return process.returncode, output, errors.decode()


def redrive(settings: Settings, home: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Redrive without being asked; returns exit code and report."""
    code, output, errors = run_quarantine(settings, home, "redrive", "--yes", "--json", *arguments)
    assert output, errors
    report: dict[str, Any] = json.loads(output)
    return code, report


class FellAsleepError(BaseException):
    """No Exception: it is not a fault, which a run would answer by trying again."""


sleepers: list[tuple[SilverTable, int]] = []


def fall_asleep_before_publishing(domain: Domain, settings: Settings) -> None:
    """A silver run that has written everything, and stops there for a long time."""

    def fall_asleep(table: SilverTable, snapshot_id: int) -> None:
        sleepers.append((table, snapshot_id))
        raise FellAsleepError

    with patch.object(SilverTable, "publish", fall_asleep):
        try:
            run_silver(domain, settings)
        except FellAsleepError:
            return
    raise AssertionError("the run had nothing to publish")


def begin_a_run(domain: Domain, settings: Settings) -> None:
    """A silver run that does no more than settle what others have left."""
    with domain_lock(settings, domain) as lock:
        bronze = BronzeLog(s3_client(settings), domain)
        SilverJob(spark_session("begins", settings), domain, settings, lock, bronze).take_over()


def wake_up() -> bool:
    """Let the run go on that fell asleep in this process; tells whether it published."""
    table, snapshot_id = sleepers.pop()
    try:
        table.publish(snapshot_id)
    except ConflictError:
        return False
    return True


def run_silver_record_by_record(domain: Domain, settings: Settings) -> SilverReport:
    """A silver run that takes one record out of quarantine with each snapshot."""
    with patch.object(landing, "REQUESTED_BYTES", 1):
        return run_silver(domain, settings)
