"""The fraud stream's checkpoint, looked at before Spark does: where it is damaged, people are told what to do."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import TYPE_CHECKING

from include.domains import CHECKPOINTS_BUCKET
from include.lake.positions import InvalidPositionsError, Positions, positions_from_json

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CHECKPOINT = "fraud"
"""The checkpoint's folder in its bucket, unless another one is asked for."""

VERSION = b"v1"
"""The first line of each file in the checkpoint's logs; this Spark reads no other."""

TEMPORARY = re.compile(r"\..+\.tmp")
"""How Spark calls a file of the checkpoint until it is whole."""

UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class CheckpointError(RuntimeError):
    """The stream's checkpoint cannot be used; the message says why and what to do."""

    def __init__(self, problem: str) -> None:
        super().__init__(
            f"The fraud stream's checkpoint cannot be used: {problem}. Stop the stream, delete every object of"
            f" its checkpoint (s3://{CHECKPOINTS_BUCKET}/{CHECKPOINT}/ unless it was given another name) and start it"
            " again. It then reads bronze from the beginning and recognises each transaction that is in the warehouse"
            " already: nothing is lost and nothing doubled."
        )


def check_checkpoint(s3: S3Client, name: str = CHECKPOINT) -> None:
    """Make sure that Spark can go on from the checkpoint, or that there is none at all.

    Spark writes its files in this order: metadata once; for each micro-batch offsets, then commits. To go on it reads
    the newest commits and the newest two offsets; older files do no harm, whatever became of them.

    Raises:
        CheckpointError: a file of it that Spark needs is damaged or missing.
    """
    # From the last written to the first: the driver that is to be replaced may still write.
    commits = _newest_batch(s3, f"{name}/commits/")
    offsets = _newest_batch(s3, f"{name}/offsets/")
    metadata = _read(s3, f"{name}/metadata")
    if metadata is None and (offsets is not None or commits is not None):
        raise CheckpointError("it has batches but no metadata")
    if metadata is not None and not _has_id(metadata):
        raise _damaged(f"{name}/metadata")
    if commits is not None and (offsets is None or offsets < commits):
        raise CheckpointError(f"batch {commits} was committed, but the offsets of that batch are missing")
    for batch in () if offsets is None else range(max(0, offsets - 1), offsets + 1):
        _offsets(s3, name, batch)
    if commits is not None and not _is_commit(_read(s3, f"{name}/commits/{commits}") or b""):
        raise _damaged(f"{name}/commits/{commits}")


def batch_positions(s3: S3Client, name: str, batch_id: int) -> tuple[Positions, Positions]:
    """Where the micro-batch ``batch_id``, which Spark has begun, starts and ends in bronze.

    Raises:
        CheckpointError: the checkpoint does not tell.
    """
    before = _offsets(s3, name, batch_id - 1) if batch_id > 0 else {}
    return before, _offsets(s3, name, batch_id)


def remove_abandoned(s3: S3Client, before: datetime, name: str = CHECKPOINT) -> int:
    """Remove what drivers that were killed had begun to write before a moment and left unfinished; how many files.

    Finished ones are Spark's own to remove: it keeps those of the newest hundred batches.
    """
    left = [
        entry["Key"]
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=CHECKPOINTS_BUCKET, Prefix=f"{name}/")
        for entry in page.get("Contents", [])
        if TEMPORARY.fullmatch(entry["Key"].rpartition("/")[2]) and entry["LastModified"] < before
    ]
    for key in left:
        s3.delete_object(Bucket=CHECKPOINTS_BUCKET, Key=key)
    return len(left)


def _offsets(s3: S3Client, name: str, batch: int) -> Positions:
    content = _read(s3, f"{name}/offsets/{batch}")
    if content is None:
        raise CheckpointError(f"the offsets of batch {batch} are missing")
    if not _are_offsets(content):
        raise _damaged(f"{name}/offsets/{batch}")
    return positions_from_json(content.splitlines()[2].decode())


def _damaged(key: str) -> CheckpointError:
    return CheckpointError(f"s3://{CHECKPOINTS_BUCKET}/{key} is not what Spark wrote")


def _newest_batch(s3: S3Client, prefix: str) -> int | None:
    """The newest batch in one of the checkpoint's logs, whose files are named by the batch's number."""
    batches = [
        int(number)
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=CHECKPOINTS_BUCKET, Prefix=prefix)
        for entry in page.get("Contents", [])
        if (number := entry["Key"].removeprefix(prefix)).isdecimal()
    ]
    return max(batches, default=None)


def _read(s3: S3Client, key: str) -> bytes | None:
    try:
        return s3.get_object(Bucket=CHECKPOINTS_BUCKET, Key=key)["Body"].read()
    except s3.exceptions.NoSuchKey:
        return None


def _has_id(metadata: bytes) -> bool:
    return _is_object(metadata) and UUID.fullmatch(str(json.loads(metadata).get("id"))) is not None


def _are_offsets(text: bytes) -> bool:
    """A version, one line about the batch, and one line for each source, of which we have one."""
    lines = text.splitlines()
    if len(lines) != 3 or lines[0] != VERSION or not _is_object(lines[1]):
        return False
    try:
        positions_from_json(lines[2].decode("utf-8", "replace"))
    except InvalidPositionsError:
        return False
    return True


def _is_commit(text: bytes) -> bool:
    version, _, body = text.partition(b"\n")
    return version == VERSION and _is_object(body)


def _is_object(text: bytes) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False
