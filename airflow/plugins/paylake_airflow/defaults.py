"""What all DAGs have in common."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import Asset, AssetOrTimeSchedule, CronTriggerTimetable
from airflow.sdk.definitions.timetables.simple import ContinuousTimetable

from include import pools

OWNER = "paylake"

# A run looks at what is in the stores now, whatever its date. So there is one at a time, and none is made up for. The
# runs of a backfill would come on top of that, and could only do the same thing again and again: Airflow refuses it.
ONE_AT_A_TIME: dict[str, Any] = {
    "catchup": False,
    "max_active_runs": 1,
    "allowed_run_types": ["scheduled", "manual", "operator_triggered", "asset_triggered", "asset_materialization"],
}
# A run makes the day anew that is its partition, whatever its date: so there may be several, and backfills make sense.
BY_DAY: dict[str, Any] = {"catchup": False, "max_active_runs": 2}

# Long enough for a server that restarts, short enough that data is not late once it is back.
BATCH: dict[str, Any] = {
    "owner": OWNER,
    "retries": 5,
    "retry_delay": timedelta(seconds=10),
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": timedelta(minutes=5),
    "execution_timeout": timedelta(minutes=30),
}
# A stream has no end, so no time limit. The pauses between its tries do not grow: a stream that ran well for weeks
# would wait the longer for each fault it has survived. After its retries are used up its run fails and the next begins
# at once, so a stream that cannot start makes a run that failed about once a minute, not one every second.
STREAM: dict[str, Any] = {
    "owner": OWNER,
    "pool": pools.STREAMS,
    "retries": 8,
    "retry_delay": timedelta(seconds=5),
}
# Airflow names a run of an endless DAG after the end of the one before. Without a start in the past the first run ends
# at the moment it begins, so the second would have the first one's name and is never made.
STREAM_START = datetime(2026, 1, 1, tzinfo=UTC)


def when_told(asset: Asset, minute: int) -> AssetOrTimeSchedule:
    """Run when ``asset`` tells something, and twice an hour, at ``minute`` and half an hour later, to look for oneself.

    For an event whose run failed for good (an outage longer than all retries) wakes nobody again.
    """
    clock = CronTriggerTimetable(f"{minute},{minute + 30} * * * *", timezone="UTC")
    return AssetOrTimeSchedule(assets=asset, timetable=clock)


def seldom(asset: Asset, many: Asset) -> AssetOrTimeSchedule:
    """Run every quarter of an hour, and when ``many`` told that so much came of ``asset`` that it should not wait.

    ``asset``, which a stream brings forth, tells nothing: it is there for the asset graph.
    """
    return AssetOrTimeSchedule(
        assets=asset | many, timetable=CronTriggerTimetable("10,25,40,55 * * * *", timezone="UTC")
    )


def always(asset: Asset) -> AssetOrTimeSchedule:
    """``@continuous``, for a stream that reads ``asset``.

    The asset is there for the asset graph, which draws what is in a schedule. It wakes nobody: streams tell nothing
    (see ``StreamEnded``). An event for a DAG that is running would wait for its next run, and the scheduler would log
    that every second.
    """
    return AssetOrTimeSchedule(assets=asset, timetable=ContinuousTimetable())
