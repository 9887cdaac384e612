"""Compaction: the many small files of a day's events become few, in a snapshot that holds the same rows."""

from __future__ import annotations

import logging

from pyspark.sql import SparkSession

from include.domains import Domain
from include.lake.catalog import silver_state
from include.lake.silver_files import remove_stray_files
from include.settings import Settings
from include.spark.silver_table import SilverTable

log = logging.getLogger("paylake.silver")


def compact(spark: SparkSession, domain: Domain, settings: Settings) -> int:
    """Write each day's small files of the domain's silver anew where there are many; return how many those were.

    Only while holding the domain's lock. It may die anywhere: what is published is whole, a later run does the rest.

    Raises:
        ConflictError: another run has published meanwhile, though this one held the lock once; nothing was changed.
    """
    state = silver_state(settings, domain)
    if state is None:
        return 0
    table = SilverTable(spark, domain, settings)
    table.begin(state.snapshot_id)
    rewritten = table.compact(state)
    if rewritten:
        table.publish(state.snapshot_id)
        log.info("%s: %d small files are few now", domain.name, rewritten)
    table.tidy()
    remove_stray_files(settings, domain)
    return rewritten
