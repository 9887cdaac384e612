"""A damaged checkpoint is refused before Spark sees it, and the message says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from include.domains import CHECKPOINTS_BUCKET
from include.fraud.checkpoint import CheckpointError, check_checkpoint, remove_abandoned
from include.lake.s3 import s3_client
from include.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

pytestmark = pytest.mark.integration

OFFSETS = b'v1\n{"batchWatermarkMs":0,"batchTimestampMs":1,"conf":{}}\n{"topic":{"0":5}}'
# What Spark 4.1 writes.
WHOLE = {
    "metadata": b'{"id":"7a1f0a54-63a4-4b42-9a5e-0d6f31b0a1c1"}',
    "offsets/0": OFFSETS,
    "offsets/9": OFFSETS,
    "offsets/10": OFFSETS,
    "commits/9": b'v1\n{"nextBatchWatermarkMs":0}',
}


class Checkpoint:
    """A checkpoint's files in S3."""

    def __init__(self, s3: S3Client) -> None:
        self.s3 = s3
        self.name = f"test-{uuid4().hex[:12]}"

    def put(self, files: dict[str, bytes]) -> None:
        for path, content in files.items():
            self.s3.put_object(Bucket=CHECKPOINTS_BUCKET, Key=f"{self.name}/{path}", Body=content)

    def remove(self, path: str) -> None:
        self.s3.delete_object(Bucket=CHECKPOINTS_BUCKET, Key=f"{self.name}/{path}")

    def check(self) -> None:
        check_checkpoint(self.s3, self.name)


@pytest.fixture
def checkpoint(settings: Settings) -> Iterator[Checkpoint]:
    checkpoint = Checkpoint(s3_client(settings))
    yield checkpoint
    listed = checkpoint.s3.list_objects_v2(Bucket=CHECKPOINTS_BUCKET, Prefix=f"{checkpoint.name}/")
    for entry in listed.get("Contents", []):
        checkpoint.s3.delete_object(Bucket=CHECKPOINTS_BUCKET, Key=entry["Key"])


def test_no_checkpoint_is_a_new_start(checkpoint: Checkpoint) -> None:
    checkpoint.check()


def test_a_whole_checkpoint_is_taken(checkpoint: Checkpoint) -> None:
    checkpoint.put(WHOLE)
    checkpoint.check()


def test_a_checkpoint_without_batches_is_taken(checkpoint: Checkpoint) -> None:
    checkpoint.put({"metadata": WHOLE["metadata"]})
    checkpoint.check()


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("metadata", b""),
        ("metadata", b'{"id":'),
        ("metadata", b"{}"),
        ("metadata", b"\xff"),
        ("metadata", b'{"id":"fraud"}'),
        ("offsets/10", b""),
        ("offsets/10", OFFSETS[:-3]),
        ("offsets/10", OFFSETS[:20]),
        ("offsets/10", b'v1\n{}\n{"topic":{"0":-5}}'),
        ("offsets/10", b"v1\n{}\n-"),
        ("offsets/10", OFFSETS.replace(b"v1", b"v2")),
        ("offsets/9", OFFSETS[:20]),
        ("commits/9", b""),
        ("commits/9", b"v1\n{"),
        ("commits/9", b'v2\n{"nextBatchWatermarkMs":0}'),
    ],
)
def test_a_damaged_file_is_named(checkpoint: Checkpoint, path: str, content: bytes) -> None:
    checkpoint.put(WHOLE | {path: content})
    with pytest.raises(
        CheckpointError, match=rf"{checkpoint.name}/{path} is not .* delete every object of its checkpoint"
    ):
        checkpoint.check()


def test_an_old_damaged_file_does_no_harm(checkpoint: Checkpoint) -> None:
    checkpoint.put(WHOLE | {"offsets/0": b""})
    checkpoint.check()


def test_missing_metadata_is_noticed(checkpoint: Checkpoint) -> None:
    checkpoint.put(WHOLE)
    checkpoint.remove("metadata")
    with pytest.raises(CheckpointError, match="no metadata"):
        checkpoint.check()


@pytest.mark.parametrize(
    ("lost", "problem"),
    [
        (("metadata", "offsets/0", "offsets/9", "offsets/10"), "it has batches but no metadata"),
        (("offsets/0", "offsets/9", "offsets/10"), "batch 9 was committed, but the offsets of that batch are missing"),
        (("offsets/9", "offsets/10"), "batch 9 was committed, but the offsets of that batch are missing"),
        (("offsets/9",), "the offsets of batch 9 are missing"),
    ],
)
def test_lost_files_that_spark_needs_are_noticed(checkpoint: Checkpoint, lost: tuple[str, ...], problem: str) -> None:
    checkpoint.put(WHOLE)
    for path in lost:
        checkpoint.remove(path)
    with pytest.raises(CheckpointError, match=problem):
        checkpoint.check()


@pytest.mark.parametrize("lost", ["offsets/0", "commits/9"])
def test_lost_files_that_spark_can_do_without_do_no_harm(checkpoint: Checkpoint, lost: str) -> None:
    checkpoint.put(WHOLE)
    checkpoint.remove(lost)
    checkpoint.check()


def test_what_killed_drivers_left_unfinished_is_removed_once_it_is_old(checkpoint: Checkpoint) -> None:
    left = ["offsets/.11.1b6b9a1e-9d1e-4c1a-8a53-0c8d3a0f6a52.tmp", "commits/.10.c4f4.tmp", ".metadata.77aa.tmp"]
    checkpoint.put(WHOLE | dict.fromkeys(left, b"v1"))
    assert remove_abandoned(checkpoint.s3, datetime.now(UTC) - timedelta(hours=1), checkpoint.name) == 0
    assert remove_abandoned(checkpoint.s3, datetime.now(UTC) + timedelta(hours=1), checkpoint.name) == len(left)
    listed = checkpoint.s3.list_objects_v2(Bucket=CHECKPOINTS_BUCKET, Prefix=f"{checkpoint.name}/")["Contents"]
    assert {entry["Key"].removeprefix(f"{checkpoint.name}/") for entry in listed} == set(WHOLE)
    checkpoint.check()
