"""Silver's command: the session of Spark starts before Python has loaded all that a run needs."""

from __future__ import annotations

import subprocess
import sys

LATER = ("boto3", "pyiceberg", "include.quality", "include.spark.silver_run")
LOADED = f"import sys, include.spark.silver; print([name for name in {LATER} if name in sys.modules])"


def test_little_is_loaded_before_the_session_starts() -> None:
    """An import too many costs each run half a second, and nothing else would tell."""
    loaded = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"
