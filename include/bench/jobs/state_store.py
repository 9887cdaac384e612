"""What is remembered of users in Spark's state store, as `transformWithState` keeps it; told payments from files.

Prints, as JSON, rows and milliseconds of each micro-batch (a file), and the bytes of the store's files in the
checkpoint. It reads, moves on and writes the same series as Paylake, but makes no feature of their sums and knows no
merchants: these would be a second query.
"""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from pyspark.sql import Row
from pyspark.sql.streaming.stateful_processor import StatefulProcessor, StatefulProcessorHandle, TimerValues

from include.bench.rulebooks import FEATURES
from include.fraud.features import Entity, Feature, Member
from include.fraud.memory import SECOND, Memory, Plan
from include.settings import Settings
from include.spark.session import spark_session

_STORE = {
    "spark.sql.streaming.stateStore.providerClass": (
        "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider"
    ),
    "spark.sql.streaming.stateStore.rocksdb.changelogCheckpointing.enabled": "true",
    "spark.sql.shuffle.partitions": "2",
}
_PAYMENT = (
    "txn_id string, user_id string, amount decimal(19,4), merchant_id string, channel string, location string,"
    " timestamp timestamp"
)
_PASSES: Mapping[str | None, Callable[[Row], bool]] = {
    None: lambda _row: True,
    "channel = 'Online' and amount < 5": lambda row: row.channel == "Online" and row.amount < 5,
    "channel <> 'Online'": lambda row: bool(row.channel != "Online"),
}
"""The filters of the features."""


class Remembering(StatefulProcessor):
    """Remembers each user, and each user at a merchant."""

    def init(self, handle: StatefulProcessorHandle) -> None:
        """Begin a task."""
        features = [Feature.model_validate({"name": name, **one}) for name, one in FEATURES.items()]
        self._own, self._there = (
            Plan.of(one for one in features if one.entity is entity) for entity in (Entity.USER, Entity.USER_MERCHANT)
        )
        self._state = handle.getValueState("memory", "memory binary")

    def handleInputRows(  # noqa: N802 - Spark's name
        self,
        key: tuple[str],
        rows: Iterator[Row],
        timerValues: TimerValues,  # noqa: N803
    ) -> Iterator[Row]:
        """Remember a user's payments, oldest first, and tell how many were counted at the last."""
        stored = self._state.get()
        memory: Memory = pickle.loads(stored[0]) if stored else self._own.blank(0)  # noqa: S301 - written below
        for row in sorted(rows, key=lambda row: row.timestamp):
            at_merchant = memory.at_merchants.setdefault(row.merchant_id, self._there.blank(0))
            _pass_by(self._own, memory, row)
            _pass_by(self._there, at_merchant, row)
        self._state.update((pickle.dumps(memory, pickle.HIGHEST_PROTOCOL),))
        yield Row(user_id=key[0], counted=memory.series[0].count)

    def close(self) -> None:
        """End a task."""


def _pass_by(plan: Plan, memory: Memory, row: Row) -> None:
    time, amount = round(row.timestamp.timestamp() * SECOND), int(row.amount.scaleb(4))
    members = {Member.MERCHANT: row.merchant_id, Member.LOCATION: row.location}
    for series, (window, kinds) in zip(memory.series, plan.windows.items(), strict=True):
        pane = time // window.pane
        series.move_to(pane)
        if _PASSES[window.filter](row):
            series.add(pane, amount, [members[kind] for kind in kinds])
    for number, text in enumerate(plan.filters):
        if _PASSES[text](row):
            memory.see(number, (time, row.txn_id, row.location))


def main(folder: str) -> None:
    """Take a file of payments after the other, until all are in."""
    spark = spark_session("bench", Settings.from_environment(), source=False)
    for name, value in _STORE.items():
        spark.conf.set(name, value)
    payments = spark.readStream.schema(_PAYMENT).option("maxFilesPerTrigger", 1).parquet(folder)
    remembered = payments.groupBy("user_id").transformWithState(
        Remembering(), "user_id string, counted long", "Append", "None"
    )
    with TemporaryDirectory(prefix="paylake-bench-") as checkpoint:
        query = (
            remembered.writeStream.format("noop")
            .option("checkpointLocation", checkpoint)
            .trigger(availableNow=True)
            .start()
        )
        query.awaitTermination()
        batches = [
            (one.numInputRows, one.durationMs["triggerExecution"]) for one in query.recentProgress if one.numInputRows
        ]
        size = sum(path.stat().st_size for path in (Path(checkpoint) / "state").rglob("*") if path.is_file())
    print(json.dumps({"batches": batches, "bytes": size}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
