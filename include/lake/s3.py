"""The S3 client that everything outside Spark uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from include.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def s3_client(settings: Settings, attempts: int = 5) -> S3Client:
    """A client for any S3; path-style addresses, because a bucket's own host name exists on AWS only.

    Retries are botocore's standard mode: ``attempts`` with back-off, then the error is raised. An attempt ends after
    5 s without a connection and after 30 s without a byte.
    """
    return boto3.client(
        "s3",
        endpoint_url=settings.s3_endpoint_url,
        aws_access_key_id=settings.s3_access_key_id,
        aws_secret_access_key=settings.s3_secret_access_key,
        region_name=settings.s3_region,
        config=Config(
            s3={"addressing_style": "path"},
            retries={"mode": "standard", "total_max_attempts": attempts},
            connect_timeout=5,
            read_timeout=30,
        ),
    )


def status_of(error: ClientError) -> int:
    """The HTTP status of S3's answer, 0 when it gave none."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def is_missing(error: ClientError) -> bool:
    """Whether S3 said that there is no such object."""
    return status_of(error) == 404
