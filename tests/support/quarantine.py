"""``./paylake quarantine`` where no stack was started and the stores' addresses are known."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from include.local.layout import CLONE
from include.settings import Settings


def environment(settings: Settings, home: Path) -> dict[str, str]:
    """What the command sees."""
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
