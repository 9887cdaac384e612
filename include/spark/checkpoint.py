"""Where a streaming query left off, read from its checkpoint in S3."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from include.lake.positions import InvalidPositionsError, Positions, positions_from_json

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_LOCATION = re.compile(r"s3a?://(?P<bucket>[^/]+)/(?P<path>.+?)/*")
_BATCH = re.compile(r"[0-9]+")
_VERSION = "v1"


class CheckpointError(RuntimeError):
    """A checkpoint cannot be understood; the message names the file and what to do."""


def checkpoint_positions(s3: S3Client, location: str) -> Positions | None:
    """The end of the newest micro-batch that the checkpoint at ``location`` (``s3a://bucket/path``) has planned.

    None when there is no checkpoint, or none of its micro-batches. The query must have one source.

    Raises:
        CheckpointError: ``location`` is no S3 address, or the newest file of the offset log is damaged.
    """
    match = _LOCATION.fullmatch(location)
    if match is None:
        raise CheckpointError(f"{location} is no address of the form s3a://bucket/path")
    bucket, folder = match["bucket"], f"{match['path']}/offsets/"
    newest = _newest_batch(s3, bucket, folder)
    if newest is None:
        return None
    key = f"{folder}{newest}"
    text = s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode("utf-8", errors="replace")
    # Spark's offset log: a version, one line about the batch, then one line per source.
    lines = text.splitlines()
    if len(lines) != 3 or lines[0] != _VERSION:
        raise CheckpointError(_damaged(bucket, key, f"it has not the 3 lines of an offset log {_VERSION}"))
    try:
        return positions_from_json(lines[2])
    except InvalidPositionsError as error:
        raise CheckpointError(_damaged(bucket, key, str(error))) from error


def _newest_batch(s3: S3Client, bucket: str, folder: str) -> int | None:
    batches = [
        int(name)
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=folder, Delimiter="/")
        for entry in page.get("Contents", [])
        if _BATCH.fullmatch(name := entry["Key"].removeprefix(folder))
    ]
    return max(batches, default=None)


def _damaged(bucket: str, key: str, what: str) -> str:
    return (
        f"the checkpoint file s3a://{bucket}/{key} is damaged: {what}. Move the whole checkpoint away: a query without "
        "one starts from the beginning of bronze and adds nothing twice"
    )
