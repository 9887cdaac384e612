"""The S3 client that everything outside Spark uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from include.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def s3_client(settings: Settings) -> S3Client:
    """A client for any S3; path-style addresses, because a bucket's own host name exists on AWS only.

    Retries are botocore's standard mode: five attempts with back-off, then the error is raised.
    """
    return boto3.client(
        "s3",
        endpoint_url=settings.s3_endpoint_url,
        aws_access_key_id=settings.s3_access_key_id,
        aws_secret_access_key=settings.s3_secret_access_key,
        region_name=settings.s3_region,
        config=Config(s3={"addressing_style": "path"}, retries={"mode": "standard", "total_max_attempts": 5}),
    )
