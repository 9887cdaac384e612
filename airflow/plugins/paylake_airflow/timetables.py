"""Schedules that Airflow lacks."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from airflow.partition_mappers.temporal import StartOfDayMapper
from airflow.sdk import Asset
from airflow.serialization.decoders import decode_asset_like
from airflow.serialization.definitions.assets import SerializedAssetBase
from airflow.serialization.encoders import encode_asset_like
from airflow.timetables.base import DagRunInfo, TimeRestriction
from airflow.timetables.simple import PartitionedAssetTimetable
from airflow.timetables.trigger import CronPartitionTimetable
from airflow.utils.types import DagRunType

DAY = "%Y-%m-%d"
"""How a day is written as a partition's key."""
EVERY_DAY = CronPartitionTimetable("0 0 * * *", timezone="UTC", key_format=DAY)
TWICE_AN_HOUR = CronPartitionTimetable("5,35 * * * *", timezone="UTC", key_format=DAY)


class DailyPartitions(PartitionedAssetTimetable):
    """A run for each day (UTC) that an asset tells of as a partition, and for each day of a backfill.

    Airflow's own ``PartitionedAssetTimetable`` knows no backfills, because it is not periodic, and no clock, as
    ``AssetOrTimeSchedule`` has one. Here there is a run twice an hour besides, whose partition is the day that it is,
    to look for what an event did not bring about.
    """

    periodic = True
    description = "Days that assets tell of, and twice an hour"

    def __init__(self, assets: Asset | SerializedAssetBase) -> None:
        super().__init__(assets=assets, default_partition_mapper=StartOfDayMapper(input_format=DAY))  # type: ignore[arg-type]

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> DailyPartitions:
        """From what `serialize` made."""
        return cls(decode_asset_like(data["asset_condition"]))

    def serialize(self) -> dict[str, Any]:
        """The rest is always the same."""
        return {"asset_condition": encode_asset_like(self.asset_condition)}

    def next_dagrun_info_v2(
        self, *, last_dagrun_info: DagRunInfo | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """The next look."""
        return TWICE_AN_HOUR.next_dagrun_info_v2(last_dagrun_info=last_dagrun_info, restriction=restriction)

    def iter_partition_dagrun_infos(self, *, earliest: datetime, latest: datetime) -> Iterable[DagRunInfo]:
        """The days of a backfill; none that is yet to come, from which Airflow would reckon the next look."""
        return EVERY_DAY.iter_partition_dagrun_infos(earliest=earliest, latest=min(latest, datetime.now(UTC)))

    def generate_run_id(self, *, run_type: DagRunType, **kwargs: Any) -> str:
        """Another one for each run: a day can be made anew as often as one likes."""
        if run_type == DagRunType.ASSET_TRIGGERED:
            return super().generate_run_id(run_type=run_type, **kwargs)
        return TWICE_AN_HOUR.generate_run_id(run_type=run_type, **kwargs)
