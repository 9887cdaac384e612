"""The fraud stream's checkpoint, looked at before Spark does: where it is damaged, people are told what to do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from include.domains import CHECKPOINTS_BUCKET
from include.spark import checkpoint as spark_checkpoint

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CHECKPOINT = "fraud"
"""The checkpoint's folder in its bucket."""


class CheckpointError(RuntimeError):
    """The stream's checkpoint cannot be used; the message says why and what to do."""

    def __init__(self, problem: str) -> None:
        super().__init__(
            f"The fraud stream's checkpoint cannot be used: {problem}. Stop the stream, delete every object under"
            f" s3://{CHECKPOINTS_BUCKET}/{CHECKPOINT}/ and start it again. It then reads bronze from the beginning and"
            " recognises each transaction that is in the warehouse already: nothing is lost and nothing doubled."
        )


def check_checkpoint(s3: S3Client, name: str = CHECKPOINT) -> None:
    """Make sure that Spark can go on from the checkpoint, or that there is none at all.

    Raises:
        CheckpointError: a file of it that Spark needs is damaged or missing.
    """
    metadata = _read(s3, f"{name}/metadata")
    try:
        positions = spark_checkpoint.checkpoint_positions(s3, f"s3a://{CHECKPOINTS_BUCKET}/{name}")
    except spark_checkpoint.CheckpointError as error:
        raise CheckpointError(str(error)) from error
    if metadata is None:
        if positions is not None:
            raise CheckpointError("it holds offsets but no metadata")
        return
    if not _has_id(metadata):
        raise CheckpointError(f"s3://{CHECKPOINTS_BUCKET}/{name}/metadata is not what Spark wrote")
    _check_commits(s3, name)


def _check_commits(s3: S3Client, name: str) -> None:
    keys = [
        entry["Key"]
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=CHECKPOINTS_BUCKET, Prefix=f"{name}/commits/")
        for entry in page.get("Contents", [])
        if entry["Key"].rpartition("/")[2].isdigit()
    ]
    if not keys:
        return
    newest = max(keys, key=lambda key: int(key.rpartition("/")[2]))
    version, _, body = (_read(s3, newest) or b"").partition(b"\n")
    if not version.startswith(b"v") or not _is_object(body):
        raise CheckpointError(f"s3://{CHECKPOINTS_BUCKET}/{newest} is not what Spark wrote")


def _read(s3: S3Client, key: str) -> bytes | None:
    try:
        return s3.get_object(Bucket=CHECKPOINTS_BUCKET, Key=key)["Body"].read()
    except s3.exceptions.NoSuchKey:
        return None


def _has_id(metadata: bytes) -> bool:
    return _is_object(metadata) and isinstance(json.loads(metadata).get("id"), str)


def _is_object(text: bytes) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False
