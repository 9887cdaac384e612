"""What an asset was last told, and telling it something new.

A run may do its work and die before its event is stored; the run that is tried again finds nothing to do. So whether
there is news is not decided by what a run did but by comparing what is there now with the newest stored event.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.sdk import Asset
from airflow.sdk.exceptions import AirflowSkipException
from airflow.sdk.execution_time.context import InletEventsAccessors


class StreamEnded(AirflowSkipException):
    """A stream did what it was told: it stopped. Skipped, not succeeded, because its end is no news of its assets."""


def last_extra(asset: Asset) -> dict[str, Any]:
    """The metadata of the asset's newest event; empty when it never had one. Only inside a running task."""
    newest = InletEventsAccessors([asset])[asset].ascending(False).limit(1)
    return dict(newest[0].extra or {}) if len(newest) else {}


def announce(context: Mapping[str, Any], asset: Asset, extra: dict[str, Any]) -> None:
    """Give ``extra`` (JSON values) to the event that is stored when the task succeeds."""
    context["outlet_events"][asset].extra = extra
