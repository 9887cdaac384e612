"""Objects of the lake's buckets."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def objects(s3: S3Client, bucket: str, prefix: str = "") -> dict[str, str]:
    """Key and entity tag of all objects whose keys begin so."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return {entry["Key"]: entry["ETag"] for page in pages for entry in page.get("Contents", [])}


def remove_objects(s3: S3Client, bucket: str, prefix: str) -> None:
    """Remove them."""
    for key in objects(s3, bucket, prefix):
        s3.delete_object(Bucket=bucket, Key=key)
