"""When the writer flushes, and how long it puts up with a server that is away."""

from __future__ import annotations

from dataclasses import dataclass

from include.lake.objects import MAX_OBJECT_BYTES


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds an ingestion.

    An object of a partition is written when the partition's oldest waiting record has waited ``flush_seconds``, or
    when its waiting records number ``flush_records`` or have ``flush_bytes``; all are written when those of all
    partitions take ``buffer_bytes`` of memory, so that memory is bounded however many partitions there are.

    It is written sooner, but not before ``flush_soonest_seconds``, when the number of waiting records times the seconds
    that the oldest has waited reaches ``flush_record_seconds``: an object is a price for ever, which few records that
    wait for a second are not worth, and many are. With the defaults a partition that gets 10 records a second or
    less makes an object a second, one that gets 160 or more makes four.

    ``fetch_queue_kilobytes`` bounds what was fetched and waits to be taken, also while S3 is away. ``gap_seconds``:
    how long offsets without records at the end of a partition (marks of transactions) wait for a record to be covered
    together. ``outage_seconds``: how long S3 or Kafka may be away before the ingestion ends with an error.
    ``check_seconds``: how often a quiet topic is looked at for a new id or new partitions. ``stall_seconds``: how long
    to listen for what Kafka has of a partition and does not deliver, before that counts as unreadable.
    ``retry_seconds``: how often a partition that is stuck is tried again while following.
    """

    flush_records: int = 5_000
    flush_bytes: int = MAX_OBJECT_BYTES
    flush_seconds: float = 1.0
    flush_soonest_seconds: float = 0.25
    flush_record_seconds: float = 10.0
    buffer_bytes: int = 64 * 1024 * 1024
    gap_seconds: float = 5.0
    check_seconds: float = 1.0
    outage_seconds: float = 600.0
    stall_seconds: float = 60.0
    retry_seconds: float = 30.0
    fetch_queue_kilobytes: int = 16 * 1024
