"""When a part of Airflow counts as hung, in whatever kind of stack."""

from __future__ import annotations

HUNG_SECONDS = 60.0
"""One that was well is killed when it has been silent, or had a problem, for longer than this."""
START_SECONDS = 300.0
"""The same for one that was never well: it may still be starting, on a machine that is busy."""
