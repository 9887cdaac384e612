"""The fraud stream's checkpoint, looked at before Spark does: where it is damaged, people are told what to do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from include.domains import CHECKPOINTS_BUCKET
from include.lake.positions import InvalidPositionsError, positions_from_json

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CHECKPOINT = "fraud"
"""The checkpoint's folder in its bucket, unless another one is asked for."""


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

    Spark writes its files in this order: metadata once; for each micro-batch offsets, then commits.

    Raises:
        CheckpointError: a file of it that Spark needs is damaged or missing.
    """
    metadata = _read(s3, f"{name}/metadata")
    offsets = _newest_of_log(s3, f"{name}/offsets/")
    if metadata is None:
        if offsets is not None:
            raise CheckpointError("it has offsets but no metadata")
        return
    if not _has_id(metadata):
        raise _damaged(f"{name}/metadata")
    if offsets is not None and not _are_offsets(_read(s3, offsets) or b""):
        raise _damaged(offsets)
    commits = _newest_of_log(s3, f"{name}/commits/")
    if commits is not None and not _is_commit(_read(s3, commits) or b""):
        raise _damaged(commits)


def _damaged(key: str) -> CheckpointError:
    return CheckpointError(f"s3://{CHECKPOINTS_BUCKET}/{key} is not what Spark wrote")


def _newest_of_log(s3: S3Client, prefix: str) -> str | None:
    """The key of the newest batch in one of the checkpoint's logs, whose files are named by batch number."""
    batches = [
        int(number)
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=CHECKPOINTS_BUCKET, Prefix=prefix)
        for entry in page.get("Contents", [])
        if (number := entry["Key"].removeprefix(prefix)).isdigit()
    ]
    return f"{prefix}{max(batches)}" if batches else None


def _read(s3: S3Client, key: str) -> bytes | None:
    try:
        return s3.get_object(Bucket=CHECKPOINTS_BUCKET, Key=key)["Body"].read()
    except s3.exceptions.NoSuchKey:
        return None


def _has_id(metadata: bytes) -> bool:
    return _is_object(metadata) and isinstance(json.loads(metadata).get("id"), str)


def _are_offsets(text: bytes) -> bool:
    """A version, one line about the batch, and one line for each source, of which we have one."""
    lines = text.splitlines()
    if len(lines) != 3 or not lines[0].startswith(b"v") or not _is_object(lines[1]):
        return False
    try:
        positions_from_json(lines[2].decode("utf-8", "replace"))
    except InvalidPositionsError:
        return False
    return True


def _is_commit(text: bytes) -> bool:
    version, _, body = text.partition(b"\n")
    return version.startswith(b"v") and _is_object(body)


def _is_object(text: bytes) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False
